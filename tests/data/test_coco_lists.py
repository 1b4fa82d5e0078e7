"""COCO-20i's lists in both forms, and every way in which they can be wrong."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from hmseg.data.coco_lists import (
    held_out,
    is_text,
    lines_of,
    listing_of,
    read_coco_lists,
    trained,
    year_of,
)
from hmseg.data.lists import PUBLISHED, digest_of
from hmseg.errors import DataError
from standin import coco_pickles


def test_folds() -> None:
    assert held_out(3)[:2] == (3, 7) and sorted(held_out(3) + trained(3)) == list(range(80))
    assert year_of("COCO_train2014_000000000009") == "train2014"
    assert year_of("COCO_val2014_00000000009") is None and year_of("2007_000033") is None


def test_published_lists_by_their_digests(shared: Path) -> None:
    splits = shared / "splits/coco"
    by_class = read_coco_lists(splits, "val", 0)
    assert sum(map(len, by_class.values())) == 82573 and len(by_class[0]) == 19217
    assert by_class[72][0].startswith("COCO_val2014_")
    for fold in range(4):
        assert digest_of(listing_of(by_class, held_out(fold))) == PUBLISHED[f"coco/val/{fold}"]


def test_lines_are_those_of_the_digest() -> None:
    import hashlib

    by_class = {2: ["b", "a"], 6: ["c"]}
    text = b"".join(lines_of(by_class)[each] for each in (2, 6))
    assert hashlib.sha256(text).hexdigest() == digest_of(listing_of(by_class, (2, 6)))


def test_pickles_and_text_say_the_same(shared: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.mkdir()
    (text / "val2014.txt").write_text("".join(f"{each} {7 + each} {3 + each}\n" for each in range(80)))
    (text / "train2014.txt").write_text("".join(f"{each} {each + 1}\n" for each in range(80)))
    pickles = coco_pickles(tmp_path / "pickles", text)
    assert is_text(text) and not is_text(pickles)
    for fold in range(4):
        for split, classes in (("train", trained(fold)), ("val", held_out(fold)), ("test", held_out(fold))):
            read = [read_coco_lists(folder, split, fold) for folder in (text, pickles)]  # type: ignore[arg-type]
            assert listing_of(read[0], classes) == listing_of(read[1], classes)
    assert read_coco_lists(pickles, "val", 1)[1] == [f"COCO_val2014_{8:012d}", f"COCO_val2014_{4:012d}"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 12 ../../x", "'../../x' came, a class and numbers of images were expected"),
        ("0 1234567890123", "'1234567890123' came"),
        ("person 12", "'person' came"),
        ("0 -3", "'-3' came"),
        ("0 ٣", "'٣' came"),
        ("80 12", "class 80 came, but classes go from 0 to 79"),
        ("7 12", "class 7 came, again"),
    ],
)
def test_malformed_lines(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "val2014.txt").write_text(f"7 1 2\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        read_coco_lists(tmp_path, "val", 0)
    assert "val2014.txt line 2: " in str(caught.value)


def test_missing_and_empty_lists(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train2014\.txt cannot be read .*: put the published COCO"):
        read_coco_lists(tmp_path, "train", 0)
    (tmp_path / "train2014.txt").touch()
    with pytest.raises(DataError, match=r"train2014\.txt is empty"):
        read_coco_lists(tmp_path, "train", 0)
    (tmp_path / "train2014.txt").unlink()
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match=r"val/fold3\.pkl cannot be read"):
        read_coco_lists(tmp_path, "val", 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["a"], "expected a dict of class numbers"),
        ({"0": []}, "expected a dict of class numbers"),
        ({0: "a"}, "class 0 holds no list of image names"),
        ({0: [7]}, "class 0 holds no list of image names"),
        ({1: ["val2014/COCO_val2014_000000000001.jpg"]}, "class 1 came, which is not of this fold and split"),
        ({0: ["train2014/COCO_train2014_000000000001.jpg"]}, "an image of val2014 was expected"),
        (
            {0: ["val2014/COCO_val2014_000000000001.jpg", "../secret"]},
            "'../secret' came, an image of val2014",
        ),
        ({0: [b"a"]}, "holds a bytes"),
    ],
)
def test_pickles_of_something_else(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "val").mkdir()
    (tmp_path / "val/fold0.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        read_coco_lists(tmp_path, "val", 0)
    assert "val/fold0.pkl" in str(caught.value)
