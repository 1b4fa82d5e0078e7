"""Pickles: plain data comes through, everything else is refused before it can do anything."""

from __future__ import annotations

import collections
import datetime
import pickle
from pathlib import Path
from typing import Any

import pytest

from hmseg.data.pickles import read_plain_pickle
from hmseg.errors import DataError

PLAIN = {0: ["val2014/a.jpg", "b"], 4: [], 8: ["a"] * 3}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "fold0.pkl"
    path.write_bytes(pickle.dumps(PLAIN, protocol))
    assert read_plain_pickle(path) == PLAIN


class Harmful:
    """Would write a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return (Path.touch, (self.target,))


def test_code_is_not_run(tmp_path: Path) -> None:
    path, target = tmp_path / "fold0.pkl", tmp_path / "touched"
    path.write_bytes(pickle.dumps({0: [Harmful(target)]}))
    with pytest.raises(DataError, match="pickle with more than plain data .* which is not loaded: fetch the"):
        read_plain_pickle(path)
    assert not target.exists()
    pickle.loads(path.read_bytes())
    assert target.exists()  # so the test would have seen it


@pytest.mark.parametrize(
    "content", [collections.OrderedDict(a=1), {0: [datetime.date(2020, 1, 1)]}, [len], [2**0.5j]]
)
def test_anything_that_needs_a_name_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "fold0.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="more than plain data .it names a class or function"):
        read_plain_pickle(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [((1, 2), "tuple"), ({0: [b"a"]}, "bytes"), ([1.5], "float"), ([None], "None"), ([True], "bool"),
     ({("a",): 1}, "tuple"), ({1, 2}, "set")],
)  # fmt: skip
def test_other_types_are_named(tmp_path: Path, content: Any, kind: str) -> None:
    path = tmp_path / "fold0.pkl"
    path.write_bytes(pickle.dumps(content, pickle.HIGHEST_PROTOCOL))
    with pytest.raises(DataError, match=rf"more than plain data \(it holds a {kind}\), which is not loaded"):
        read_plain_pickle(path)


def test_a_truth_value_of_protocol_0_is_no_whole_number(tmp_path: Path) -> None:
    path = tmp_path / "fold0.pkl"
    path.write_bytes(pickle.dumps([True], 0))
    with pytest.raises(DataError, match="holds a bool, dicts, lists, text and whole numbers were expected"):
        read_plain_pickle(path)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x80\x02}" + b")" + b"\x85" * 10**6 + b"K\x01s.",  # a key of 10^6 tuples
        b"\x80\x02]r\xff\xff\xff\x1f.",  # nine bytes for a memo of 4 GB
        b"p268435456\n.",
        b"]" * 1000 + b"a" * 999 + b".",
    ],
)
def test_pickles_that_would_take_the_process_with_them(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "fold0.pkl"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"fold0\.pkl is a pickle with more than plain data"):
        read_plain_pickle(path)


def test_a_list_that_holds_itself_ends(tmp_path: Path) -> None:
    endless: list[Any] = ["a"]
    endless.append(endless)
    path = tmp_path / "fold0.pkl"
    path.write_bytes(pickle.dumps(endless))
    assert read_plain_pickle(path)[0] == "a"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no pickle",
        pickle.dumps(PLAIN)[:-20],
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a frame of 2**63 bytes
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fa.",  # a text of 2**63 bytes
        b"(" * 5000 + b".",
        b"\x80\x02P0\n.",
        b"P17\n.",  # a persistent id
        b"\x82\x01.",  # from the extension registry
        b"}K\x01b.",  # sets the state of a dict
        b"h\x05.",  # an entry of the memo that is not there
        b"(i",
    ],
)
def test_damaged_files(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "fold0.pkl"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"fold0\.pkl (is no pickle or a damaged one|is a pickle with more)"):
        read_plain_pickle(path)


def test_missing_and_huge_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fold0\.pkl cannot be read .*: put the published COCO"):
        read_plain_pickle(tmp_path / "fold0.pkl")
    path = tmp_path / "huge.pkl"
    with path.open("wb") as file:
        file.truncate(256 * 10**6 + 1)
    with pytest.raises(DataError, match="it has more than 256 MB"):
        read_plain_pickle(path)
