"""Typed reading of nested plain data that anybody may have written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, overload

from hmseg.errors import DataError

_NEEDED: Any = object()
MAX_TEXT = 500


def printable(text: str) -> str:
    """A text without line breaks and control characters, cut where it is endless.

    Example:
        >>> printable("a\\x00b\\nc")
        'a b c'
    """
    return "".join(char if char.isprintable() else " " for char in text[:MAX_TEXT])


@dataclass(frozen=True)
class Reader:
    """A mapping and where it stands.

    Attributes:
        values: the mapping.
        where: for messages: file, record, path of keys.

    Example:
        >>> reader = Reader({"miou": 40, "test": {"shot": "one"}}, "a.jsonl")
        >>> reader.number("miou")
        40.0
        >>> reader.node("test").whole("shot")
        Traceback (most recent call last):
        hmseg.errors.DataError: a.jsonl: test.shot: expected a whole number of at least 0, got 'one'
    """

    values: Mapping[str, Any]
    where: str
    path: str = ""

    def _value(self, key: str, default: Any) -> Any:
        value = self.values.get(key)
        if value is not None:
            return value
        if default is _NEEDED:
            raise self.wrong(key, "a value")
        return default

    def wrong(self, key: str, expected: str) -> DataError:
        """The error for a key."""
        value = self.values.get(key)  # its text may be endless, or nested beyond what can be written
        plain = value is None or isinstance(value, str | int | float)
        got = printable(repr(value) if plain else f"a {type(value).__name__}")[:60]
        return DataError(f"{self.where}: {self.path}{key}: expected {expected}, got {got}")

    def text(self, key: str, default: str = _NEEDED) -> str:
        """A text, without control characters."""
        value = self._value(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, "a text")
        return printable(value)

    @overload
    def number(self, key: str) -> float: ...
    @overload
    def number(self, key: str, default: None) -> float | None: ...
    def number(self, key: str, default: Any = _NEEDED) -> float | None:
        """A finite number."""
        value = self._value(key, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2.0**63:
            raise self.wrong(key, "a number")
        return float(value)

    @overload
    def whole(self, key: str) -> int: ...
    @overload
    def whole(self, key: str, default: int | None) -> int | None: ...
    def whole(self, key: str, default: Any = _NEEDED) -> int | None:
        """A whole number of at least 0."""
        value = self._value(key, default)
        if value is None:
            return None
        if not _whole(value):
            raise self.wrong(key, "a whole number of at least 0")
        return int(value)

    def wholes(self, key: str) -> tuple[int, ...]:
        """A whole number or a list of them, as a tuple; empty where there is none."""
        value = self._value(key, ())
        several = list(value) if isinstance(value, list | tuple) else [value]
        if not all(_whole(each) for each in several):
            raise self.wrong(key, "a whole number or a list of them")
        return tuple(several)

    def flag(self, key: str) -> bool:
        """True or false; false where it is missing."""
        value = self._value(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def node(self, key: str, optional: bool = False) -> Reader:
        """A mapping; empty where an optional one is missing."""
        value = self._value(key, {} if optional else _NEEDED)
        if not isinstance(value, Mapping):
            raise self.wrong(key, "an object")
        return Reader(value, self.where, f"{self.path}{key}.")

    def nodes(self, key: str) -> list[Reader]:
        """A list of mappings; empty where it is missing."""
        value = self._value(key, [])
        if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
            raise self.wrong(key, "a list of objects")
        return [Reader(each, self.where, f"{self.path}{key}[{n}].") for n, each in enumerate(value)]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
