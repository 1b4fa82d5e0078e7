"""HSNet's COCO lists are pickles, and a pickle can run code: this reader accepts plain data only."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from hmseg.errors import DataError

_LARGEST = 256 * 2**20  # bytes; the published ones have 13 at most
_PLAIN = (dict, list, str, int)
# What malformed pickles make the standard library's reader raise.
_DAMAGED = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    OverflowError, MemoryError, RecursionError,
)  # fmt: skip


class _Refused(pickle.UnpicklingError):
    """The pickle names a class or function."""


class _PlainUnpickler(pickle.Unpickler):
    """Looks up no name at all: without one a pickle can build dicts, lists, text, numbers and the like."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _Refused(f"it names {module}.{name}")

    def persistent_load(self, pid: object) -> NoReturn:
        raise _Refused("it refers to objects outside of it")


def read_plain_pickle(path: Path) -> Any:
    """The content of a pickle that holds dicts, lists, text and whole numbers only.

    Nothing of the file is run: it can't name any class or function.

    Raises:
        DataError: the file is missing, damaged, too large, or holds anything else.
    """
    remedy = "fetch the published list again, or use the text form"
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"list {path} has more than {_LARGEST >> 20} MiB: {remedy}")
        content = _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
        odd = _not_plain(content)
    except OSError:
        raise DataError(f"list {path} cannot be read: put the published COCO-20i lists there") from None
    except _Refused as error:
        raise DataError(
            f"list {path} is a pickle with more than plain data ({error}), which is not loaded: {remedy}"
        ) from None
    except DataError:
        raise
    except _DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"list {path} is no pickle or a damaged one ({reason}): {remedy}") from None
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
