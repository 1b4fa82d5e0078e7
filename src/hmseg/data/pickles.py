"""HSNet's COCO lists are pickles, and a pickle can run code: this reader accepts plain data only."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from hmseg.errors import DataError
from hmseg.untrusted import parsing, read_bytes, reason
from hmseg.untrusted.pickles import PickleRefused, scan

_LARGEST = 256 * 10**6  # bytes; the published ones have 13 million at most
_PLAIN = (dict, list, str, int)
_OPCODES = frozenset(
    (
        "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP",
        "GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE",
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4",
        "STRING", "BINSTRING", "SHORT_BINSTRING",
        "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
        "EMPTY_LIST", "APPEND", "APPENDS", "LIST", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS",
    )
)  # fmt: skip
"""What dicts, lists, text and whole numbers are made of, in every protocol."""


class _PlainUnpickler(pickle.Unpickler):
    """Looks up no name at all, should one come through."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise PickleRefused(f"it names {module}.{name}")


def read_plain_pickle(path: Path) -> Any:
    """The content of a pickle that holds dicts, lists, text and whole numbers only.

    Nothing of the file is run, or even built, before all of its opcodes are known to be harmless.

    Raises:
        DataError: the file is missing, damaged, too large, or holds anything else.
    """
    remedy = "fetch the published list again, or use the text form"
    try:
        raw = read_bytes(path, _LARGEST)
    except OSError as error:
        raise DataError(
            f"list {path} cannot be read ({reason(error)}): put the published COCO-20i lists there"
        ) from None
    with parsing(lambda why: DataError(f"list {path} is no pickle or a damaged one ({why}): {remedy}")):
        try:
            scan(io.BytesIO(raw), most=len(raw), allowed=_OPCODES)
        except PickleRefused as error:
            raise DataError(
                f"list {path} is a pickle with more than plain data ({error}), which is not loaded: {remedy}"
            ) from None
        content = _PlainUnpickler(io.BytesIO(raw)).load()
        odd = _not_plain(content)
    if odd is not None:
        raise DataError(
            f"list {path} holds a {odd.__name__}, dicts, lists, text and whole numbers were expected: "
            f"{remedy}"
        )
    return content


def _not_plain(content: Any) -> type | None:
    """The type of the first thing that is not plain; subclasses are not, nor are booleans."""
    waiting, seen = [content], set()
    while waiting:
        each = waiting.pop()
        if type(each) not in _PLAIN:
            return type(each)
        if isinstance(each, dict | list):
            if id(each) in seen:  # a pickle may hold itself
                continue
            seen.add(id(each))
            waiting += [*each.keys(), *each.values()] if isinstance(each, dict) else each
    return None
