"""The scan of a pickle's opcodes knows how deep its objects are, without building any."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from typing import Any

import pytest

from hmseg.untrusted.pickles import DEEPEST, PickleRefused, scan


def nest(depth: int, kind: type) -> Any:
    node: Any = kind()
    for _ in range(depth):
        node = {"a": node} if kind is dict else kind([node])
    return node


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_depth_is_that_of_the_objects(protocol: int, kind: type) -> None:
    within, beyond = (pickle.dumps(nest(depth, kind), protocol) for depth in (150, DEEPEST + 20))
    scan(io.BytesIO(within), len(within))
    with pytest.raises(PickleRefused, match="nested more than 200 deep"):
        scan(io.BytesIO(beyond), len(beyond))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_long_is_not_deep(protocol: int) -> None:
    content = [list(range(3000)), OrderedDict((n, (n, "a")) for n in range(3000)), ("a",) * 3000]
    raw = pickle.dumps(content, protocol)
    file = io.BytesIO(raw + b"behind")
    scan(file, len(raw))
    assert file.read() == b"behind"


def test_lists_filled_one_by_one_are_not_deep() -> None:
    raw = b"\x80\x02]" + b"K\x01a" * 5000 + b"."
    assert len(pickle.loads(raw)) == 5000
    scan(io.BytesIO(raw), len(raw))


def test_depth_goes_through_the_memo() -> None:
    step = b"q\x00" + b"0" + b"h\x00" + b"\x85"  # put, pop, get, a tuple of it
    raw = b"\x80\x02)" + step * 300 + b"."
    with pytest.raises(PickleRefused, match="deep"):
        scan(io.BytesIO(raw), len(raw))
