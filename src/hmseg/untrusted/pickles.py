"""Pickles, looked through opcode by opcode before anything is built of them.

An unpickler that looks up no names still does what the file says: an entry of the memo numbered 2^28 makes
C's array of four gigabytes, and a dict's key of a million tuples in one another ends the process, for hashing
recurses without a bound. Both are seen in the opcodes.
"""

from __future__ import annotations

import pickletools
from collections.abc import Container
from typing import BinaryIO, NamedTuple

DEEPEST = 200
"""Containers in one another; checkpoints have about a dozen."""
_GETS = ("GET", "BINGET", "LONG_BINGET")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_CODE = ("GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "BUILD")
_MARK = -1


class PickleRefused(ValueError):  # noqa: N818 - reads as what it is in a message
    """A pickle that is not opened; the message says why."""


def scan(file: BinaryIO, most: int, allowed: Container[str] | None = None) -> None:
    """Looks through one pickle; the file stands behind it afterwards.

    Args:
        file: stands at the pickle's first byte.
        most: numbers that entries of the memo may have, such as the file's bytes: each takes two of them.
        allowed: names of the opcodes that may come; None for all.

    Raises:
        PickleRefused: another opcode, a memo beyond ``most``, or nested deeper than ``DEEPEST``.
        Exception: pickletools raises ValueError, and more on damaged bytes.

    Example:
        >>> import io, pickle
        >>> scan(io.BytesIO(pickle.dumps({"a": [1]})), 100)
        >>> scan(io.BytesIO(pickle.dumps("a")), 100, allowed={"PROTO", "FRAME"})
        Traceback (most recent call last):
        hmseg.untrusted.pickles.PickleRefused: it holds a str
    """
    stack: list[int] = []  # how deep each object on the unpickler's stack is
    memo: dict[int, int] = {}
    for opcode, argument, _ in pickletools.genops(file):
        name = opcode.name
        if allowed is not None and name not in allowed:
            raise PickleRefused(_held(opcode))
        if name in _CONSTANTS:
            stack.append(0)
        elif name in _PUTS:
            place = len(memo) if name == "MEMOIZE" else int(argument or 0)
            if not 0 <= place <= most:
                raise PickleRefused(f"it numbers an object {place}")
            memo[place] = stack[-1] if stack else 0
        elif name in _GETS:
            stack.append(memo.get(int(argument or 0), 0))
        elif name == "DUP":
            stack.append(stack[-1] if stack else 0)
        else:
            _step(_EFFECTS[name], stack)


class _Effect(NamedTuple):
    """What an opcode does to the stack: takes all down to a mark, then so many more, and makes something."""

    to_mark: bool
    takes: int
    makes: tuple[bool, ...]  # a mark, or an object
    fills: bool  # what it makes is the container that it took


_EFFECTS = {
    each.name: _Effect(
        pickletools.markobject in each.stack_before,
        len(each.stack_before[: each.stack_before.index(pickletools.markobject)])
        if pickletools.markobject in each.stack_before
        else len(each.stack_before),
        tuple(after is pickletools.markobject for after in each.stack_after),
        each.name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"),
    )
    for each in pickletools.opcodes
}


_CONSTANTS = frozenset(
    name
    for name, effect in _EFFECTS.items()
    if (effect.to_mark, effect.takes, effect.makes) == (False, 0, (False,)) and name not in _GETS
)


def _held(opcode: pickletools.OpcodeInfo) -> str:
    """What an opcode that may not come would make."""
    if opcode.name in _CODE or opcode.name.startswith("EXT"):
        return "it names a class or function"
    if opcode.name in ("PERSID", "BINPERSID"):
        return "it refers to objects outside of it"
    return f"it holds a {' and '.join(each.name for each in opcode.stack_after) or opcode.name}"


def _step(effect: _Effect, stack: list[int]) -> None:
    """Keeps the stack of depths: what is made is one deeper than what is taken."""
    content = own = -1
    if effect.to_mark:
        while stack and (top := stack.pop()) != _MARK:
            content = max(content, top)
    for left in range(effect.takes, 0, -1):
        if stack and (top := stack.pop()) != _MARK:
            if effect.fills and left == 1:
                own = top
            else:
                content = max(content, top)
    deep = max(own, content + 1)
    if deep > DEEPEST and effect.makes:
        raise PickleRefused(f"it is nested more than {DEEPEST} deep")
    stack.extend(_MARK if mark else deep for mark in effect.makes)
