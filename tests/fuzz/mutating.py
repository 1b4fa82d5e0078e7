"""Mutated bytes: flips, cuts, copies, splices, odd numbers and words, the same for a number."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

ODD = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xff" * 8)
WORDS = (
    *(
        b"-1",
        b"0",
        b"1e999",
        b"NaN",
        b"-Infinity",
        b"9" * 25,
        b"9" * 5000,
        b"null",
        b"true",
        b'""',
        b"[]",
        b"{}",
    ),
    *(b"../", b"\\", b"\n", b"\r", b"\xe2\x80\xa8", b"\\ud800", b"\xed\xa0\x80", b"${oc.env:HOME}", b"%s%n"),
    *(b"[" * 3000, b"_target_", b"\x1b[2J", b"\xef\xbb\xbf", b",", b":", b'"', b"}"),
)
_TOKEN = re.compile(rb"\d+|[A-Za-z_]+|\"[^\"]*\"")


def mutated(seeds: Sequence[bytes], number: int) -> bytes:
    """The mutation of this number: one to six changes to one of the seeds.

    Example:
        >>> mutated([b"abc", b"xyz"], 3) == mutated([b"abc", b"xyz"], 3)
        True
    """
    choose = random.Random(number)
    content = bytearray(choose.choice(seeds))
    for _ in range(choose.randint(1, 6)):
        choose.choice(_CHANGES)(content, choose, seeds)
    return bytes(content)


def _place(content: bytearray, choose: random.Random) -> int:
    return choose.randint(0, len(content))


def _flip(content: bytearray, choose: random.Random, seeds: Sequence[bytes]) -> None:
    if content:
        content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)


def _overwrite(content: bytearray, choose: random.Random, seeds: Sequence[bytes]) -> None:
    place, odd = _place(content, choose), choose.choice(ODD)
    content[place : place + len(odd)] = odd


def _cut(content: bytearray, choose: random.Random, seeds: Sequence[bytes]) -> None:
    del content[_place(content, choose) :]


def _drop(content: bytearray, choose: random.Random, seeds: Sequence[bytes]) -> None:
    place = _place(content, choose)
    del content[place : place + choose.randint(1, 40)]


def _repeat(content: bytearray, choose: random.Random, seeds: Sequence[bytes]) -> None:
    place = _place(content, choose)
    content[place:place] = content[place : place + choose.randint(1, 200)] * choose.randint(1, 20)


def _insert(content: bytearray, choose: random.Random, seeds: Sequence[bytes]) -> None:
    place = _place(content, choose)
    content[place:place] = choose.choice(WORDS + ODD)


def _splice(content: bytearray, choose: random.Random, seeds: Sequence[bytes]) -> None:
    other = choose.choice(seeds)
    content[_place(content, choose) :] = other[choose.randint(0, len(other)) :]


def _reword(content: bytearray, choose: random.Random, seeds: Sequence[bytes]) -> None:
    tokens = list(_TOKEN.finditer(content))
    if tokens:
        token = choose.choice(tokens)
        content[token.start() : token.end()] = choose.choice(WORDS)


_CHANGES = (_flip, _flip, _overwrite, _cut, _drop, _repeat, _insert, _splice, _reword, _reword)
