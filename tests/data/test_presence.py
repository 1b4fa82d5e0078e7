"""Which classes masks show: the rule, the cache, and the lists made from them."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hmseg.data import presence as module
from hmseg.data.pascal_lists import read_list
from hmseg.data.presence import Shown, check_novel, folder_state, read_presence, rule_listing, shown, without
from hmseg.data.reading import read_label_map
from hmseg.data.source import Listing
from hmseg.errors import DataError


def naive(labels: NDArray[np.uint8]) -> Shown:
    pixels: dict[int, int] = {}
    grid: dict[int, int] = {}
    for y, row in enumerate(labels.tolist()):
        for x, value in enumerate(row):
            pixels[value] = pixels.get(value, 0) + 1
            grid[value] = grid.get(value, 0) + (y % 32 == 0 and x % 32 == 0)
    classes = sorted(set(pixels) - {0, 255})
    return Shown(tuple(c - 1 for c in classes), tuple(c - 1 for c in classes if grid[c] >= 3))


def test_shown_equals_counting_by_hand() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        labels = np.repeat(np.repeat(rng.choice([0, 3, 7, 80, 255], (5, 7)), 20, 0), 20, 1).astype(np.uint8)
        assert shown(labels) == naive(labels)
    assert shown(np.zeros((4, 4), np.uint8)) == Shown((), ())


PRESENCE = {"b": Shown((1, 4), (1, 4)), "a": Shown((1, 2), (1,)), "c": Shown((4,), ())}


def test_lists_by_name_and_by_class() -> None:
    assert rule_listing(PRESENCE, "name", range(9)).pairs == (("a", 1), ("b", 1), ("b", 4))
    assert rule_listing(PRESENCE, "class", [4, 1]).pairs == (("a", 1), ("b", 1), ("b", 4))
    assert rule_listing(PRESENCE, "class", [4], draw="class") == Listing((("b", 4),), draw="class")


def test_images_with_a_held_out_class_are_left_out() -> None:
    listing = Listing((("a", 1), ("b", 1)), draw="class", test_episodes=3)
    assert without(listing, PRESENCE, [2, 7]) == Listing((("b", 1),), draw="class", test_episodes=3)


class Masks:
    """Counts how often a mask is read."""

    def __init__(self) -> None:
        self.read = 0

    def __call__(self, name: str) -> NDArray[np.uint8]:
        self.read += 1
        return np.full((70, 70), int(name), np.uint8)


def test_masks_are_read_once(tmp_path: Path) -> None:
    masks = Masks()
    first = read_presence(["3", "5"], masks, "state", tmp_path, "some")
    assert first == {"3": Shown((2,), (2,)), "5": Shown((4,), (4,))} and masks.read == 2
    assert read_presence(["5"], masks, "state", tmp_path, "some") == {"5": first["5"]}
    assert masks.read == 2 and (tmp_path / ".hmseg/classes-some.json").is_file()
    assert [path.name for path in (tmp_path / ".hmseg").iterdir()] == ["classes-some.json"]
    read_presence(["3", "5"], masks, "another state", tmp_path, "some")
    assert masks.read == 4
    read_presence(["3", "5", "7"], masks, "another state", tmp_path, "some")
    assert masks.read == 7


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": 1}', '{"format": 1, "rule": [32, 3], "state": "s"}']
)
def test_a_damaged_cache_is_made_again(tmp_path: Path, content: str) -> None:
    (tmp_path / ".hmseg").mkdir()
    (tmp_path / ".hmseg/classes-some.json").write_text(content)
    masks = Masks()
    assert read_presence(["3"], masks, "s", tmp_path, "some") == {"3": Shown((2,), (2,))} and masks.read == 1
    assert json.loads((tmp_path / ".hmseg/classes-some.json").read_text())["state"] == "s"


def test_another_rule_makes_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    masks = Masks()
    read_presence(["3"], masks, "s", tmp_path, "some")
    monkeypatch.setattr(module, "GRID_PIXELS", 4)
    read_presence(["3"], masks, "s", tmp_path, "some")
    assert masks.read == 2


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, own = tmp_path / "root", tmp_path / "own"
    root.mkdir()
    root.chmod(0o555)
    monkeypatch.setenv("XDG_CACHE_HOME", str(own))
    masks = Masks()
    for _ in range(2):
        read_presence(["3"], masks, "s", root, "some")
    assert masks.read == 1 and not list(root.iterdir()) and len(list((own / "hmseg").iterdir())) == 1


def test_nowhere_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o555)
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    with caplog.at_level(logging.WARNING):
        assert read_presence(["3"], Masks(), "s", tmp_path, "some")["3"] == Shown((2,), (2,))
    assert "they will be read again next time" in caplog.text


def test_errors_of_reading_come_through(tmp_path: Path) -> None:
    def damaged(name: str) -> NDArray[np.uint8]:
        raise DataError(f"mask {name} is damaged")

    with pytest.raises(DataError, match="mask 3 is damaged"):
        read_presence(["3"], damaged, "s", tmp_path, "some")
    assert not (tmp_path / ".hmseg").exists()


def test_state_of_a_folder_follows_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("a")
    before = folder_state(tmp_path, ".png")
    (tmp_path / "note.txt").write_text("a")
    assert folder_state(tmp_path, ".png") == before
    (tmp_path / "a.png").write_text("longer")
    assert folder_state(tmp_path, ".png") != before


def test_novel() -> None:
    assert check_novel("drop") == "drop"
    with pytest.raises(DataError, match="unknown value of dataset.novel 'dorp': did you mean 'drop'"):
        check_novel("dorp")


@pytest.mark.parametrize(("split", "least"), [("val", 0.98), ("train", 0.99)])
def test_the_rule_agrees_with_the_published_lists(shared: Path, split: str, least: float) -> None:
    """On the photos at hand: the rule's pairs and the published ones, of the same images."""
    published = {
        pair
        for fold in range(4)
        for pair in read_list(shared / "splits/pascal", split, fold).pairs  # type: ignore[arg-type]
    }
    masks = shared / "data/VOC2012/SegmentationClassAug"
    listed = {name for name, _ in published}
    names = sorted(path.stem for path in masks.iterdir() if path.stem in listed)[::4]
    found = {name: shown(read_label_map(masks / f"{name}.png")) for name in names}
    made = set(rule_listing(found, "name", range(20)).pairs)
    expected = {pair for pair in published if pair[0] in found}
    assert len(expected) > 100
    assert len(made & expected) / len(made | expected) >= least - 0.01  # of a quarter of the photos
