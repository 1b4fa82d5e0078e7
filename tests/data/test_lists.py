"""Folders of lists, and what is known of the published ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from hmseg.data.lists import (
    PUBLISHED,
    all_published,
    check_stem,
    digest_of,
    find_lists,
    names_in,
    read_lines,
    refuse_missing,
)
from hmseg.data.pascal_lists import read_list
from hmseg.data.source import Listing
from hmseg.errors import DataError


def test_digest_is_over_order_and_classes() -> None:
    digests = {
        digest_of(Listing(pairs))
        for pairs in ((("a", 0), ("b", 1)), (("b", 1), ("a", 0)), (("a", 1), ("b", 0)), (("a", 0),))
    }
    assert len(digests) == 4


def test_published_lists_are_known(shared: Path) -> None:
    folder = shared / "splits/pascal"
    assert all_published([("pascal/val/2", read_list(folder, "val", 2))])
    assert not all_published([("pascal/val/1", read_list(folder, "val", 2))])
    cut = read_list(shared / "data/VOC2012/splits", "val", 2)
    assert not all_published([("pascal/val/2", cut)])


def test_there_is_a_digest_for_every_list() -> None:
    assert len(PUBLISHED) == len(set(PUBLISHED.values())) == 8 + 8 + 3


def test_lists_are_found_in_the_folder_or_in_that_of_the_benchmark(tmp_path: Path) -> None:
    assert find_lists(None, tmp_path, "pascal", ["trn"]) is None
    (tmp_path / "splits/trn").mkdir(parents=True)
    assert find_lists(None, tmp_path, "pascal", ["trn"]) == tmp_path / "splits"
    (tmp_path / "all/pascal/trn").mkdir(parents=True)
    assert find_lists(tmp_path / "all", tmp_path, "pascal", ["trn"]) == tmp_path / "all/pascal"
    with pytest.raises(DataError, match="all holds no fss lists .trn.txt was expected, there or in fss/"):
        find_lists(tmp_path / "all", tmp_path, "fss", ["trn.txt"])
    with pytest.raises(DataError, match="nowhere does not exist .* set dataset.splits .* or to null"):
        find_lists(tmp_path / "nowhere", tmp_path, "fss", ["trn.txt"])


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "/a", "a/b", "a\\b", "a\0b"])
def test_names_that_leave_the_folder(name: str) -> None:
    with pytest.raises(DataError, match="list x line 3: .* leaves the image folder"):
        check_stem(name, "list x line 3")


def test_files_of_a_folder(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.png"):
        (tmp_path / name).touch()
    assert names_in(tmp_path, ".jpg") == {"a", "b"}
    assert names_in(tmp_path / "nowhere", ".jpg") == frozenset()


def test_missing_files_are_counted() -> None:
    refuse_missing([], "lists", Path("root"))
    with pytest.raises(DataError, match=r"^1 file named by the lists is missing under root: a.jpg; complete"):
        refuse_missing(["a.jpg"], "lists", Path("root"))
    with pytest.raises(DataError, match=r"^7 files named .* are missing under root: 0, 1, 2, 3, 4, \.\.\.; "):
        refuse_missing([str(number) for number in range(7)], "lists", Path("root"))


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\r\n  two \r\n")
    assert read_lines(path, "X") == [(1, "one"), (3, "two")]
    path.write_text("\n")
    with pytest.raises(DataError, match=r"list\.txt is empty: replace it by the published X list"):
        read_lines(path, "X")
