"""What can be made of a result: files, overlay, run lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from hmseg.data.reading import read_label_map
from hmseg.errors import DataError
from hmseg.segmenter import Segmentation
from hmseg.segmenter.segmentation import palette


@pytest.fixture
def result() -> Segmentation:
    labels = np.zeros((6, 9), dtype=np.int32)
    labels[1:4, 1:4], labels[2:6, 5:9] = 1, 3
    scores = np.random.default_rng(0).random((3, 6, 9), dtype=np.float32)
    foreground = np.stack([labels == number for number in (1, 2, 3)])
    image = np.full((6, 9, 3), 100, dtype=np.uint8)
    return Segmentation(labels, scores, foreground, ("cat", "dog", "cow"), image)


def test_masks_and_scores_by_name(result: Segmentation) -> None:
    assert result.mask.sum() == 9 + 16
    assert [int(result.mask_of(name).sum()) for name in result.names] == [9, 0, 16]
    assert np.array_equal(result.score_of("dog"), result.scores[1])
    with pytest.raises(DataError, match="unknown class 'cate': did you mean 'cat'"):
        result.mask_of("cate")


def test_a_saved_label_map_reads_back(result: Segmentation, tmp_path: Path) -> None:
    result.save(tmp_path / "a.png", overlay=tmp_path / "a.jpg")
    assert np.array_equal(read_label_map(tmp_path / "a.png"), result.labels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P" and image.convert("RGB").getpixel((2, 2)) == (128, 0, 0)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.size == (9, 6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "a.png"]


def test_nothing_is_written_over_unless_told(result: Segmentation, tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_text("mine")
    with pytest.raises(DataError, match="b.jpg is there already"):
        result.save(tmp_path / "b.png", overlay=tmp_path / "b.jpg")
    assert (tmp_path / "b.jpg").read_text() == "mine" and not (tmp_path / "b.png").exists()
    result.save(tmp_path / "b.png", overlay=tmp_path / "b.jpg", overwrite=True)
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.size == (9, 6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.jpg", "label maps are written as PNG"),
        ("a", "no image format has this ending"),
        ("no/a.png", "no/a.png can't be written"),
    ],
)
def test_places_that_cannot_be(result: Segmentation, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        result.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools under NumPy 2
def test_run_lengths_are_cocos(result: Segmentation) -> None:
    runs = result.to_rle()
    assert list(runs) == ["cat", "dog", "cow"]
    for name in result.names:
        assert np.array_equal(coco.decode(runs[name]), result.mask_of(name))


def test_the_overlay_leaves_background_and_marks_classes(result: Segmentation) -> None:
    shown = np.array(result.overlay(opacity=0.5))
    assert (shown[~result.mask] == 100).all()
    assert shown[2, 2].tolist() == [114, 50, 50]  # inside: half of (100, 100, 100) and (128, 0, 0)
    assert shown[1, 1].tolist() == [128, 0, 0]  # the outline
    assert (result.image == 100).all()
    with pytest.raises(DataError, match="opacity 2: 0 to 1"):
        result.overlay(opacity=2)


def test_the_palette_is_that_of_pascal() -> None:
    expected = {0: (0, 0, 0), 1: (128, 0, 0), 8: (64, 0, 0), 15: (192, 128, 128), 255: (224, 224, 192)}
    assert {number: tuple(palette()[number].tolist()) for number in expected} == expected


def test_a_palette_image_holds_255_classes() -> None:
    names = tuple(map(str, range(256)))
    scores = np.zeros((256, 1, 1), dtype=np.float32)
    one = np.ones((1, 1), dtype=np.int32)
    result = Segmentation(one, scores, scores > 0, names, np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(DataError, match="a palette image holds 255 classes, there are 256"):
        result.label_image()
