"""The embedded data set: determinism, folds, masks and borders, small objects, errors."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmseg.data.shapes import ShapesSource
from hmseg.data.shapes_outlines import FAMILIES, area, outline
from hmseg.data.shapes_plan import CLASSES, CLUTTER, Planner
from hmseg.data.shapes_scene import MIN_VISIBLE, min_pixels, render
from hmseg.data.source import Source
from hmseg.errors import DataError

NAMES = ("train_000000", "val_000000", "train_001999", "val_000017", "train_000123")


def digest(source: ShapesSource, names: Iterable[str]) -> dict[str, str]:
    """Hash of everything that a name stands for."""
    scenes = {name: source.scene(name) for name in names}
    return {n: hashlib.sha256(b"".join(part.tobytes() for part in s)).hexdigest() for n, s in scenes.items()}


def test_it_is_a_source() -> None:
    source: Source = ShapesSource()
    assert isinstance(source, Source)
    assert (source.name, source.folds, len(source.class_names)) == ("shapes", 4, 20)
    assert len(set(source.class_names)) == 20
    assert len({form for _, form in CLASSES}) == 20  # no two classes share the outline
    assert all(len({texture for texture, _ in CLASSES[5 * f : 5 * f + 5]}) == 5 for f in range(4))


def test_same_bytes_in_any_order_and_process() -> None:
    expected = digest(ShapesSource(image_size=64), NAMES)
    assert digest(ShapesSource(image_size=64), reversed(NAMES)) == expected
    code = (
        "from test_shapes import *\n"
        "for pair in digest(ShapesSource(image_size=64), NAMES[::-1]).items(): print(*pair)"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert dict(line.split() for line in done.stdout.splitlines()) == expected


def test_every_input_of_the_seed_counts() -> None:
    names = ("train_000000", "train_000020", "val_000000")  # one class throughout
    digests = [digest(ShapesSource(image_size=64, seed=seed), names) for seed in (0, 1)]
    assert len({value for by_name in digests for value in by_name.values()}) == 6


def test_number_of_images_does_not_change_them() -> None:
    few = ShapesSource(image_size=48, train_images=40, val_images=40)
    assert digest(few, ["train_000007"]) == digest(ShapesSource(image_size=48), ["train_000007"])


@pytest.mark.parametrize("fold", range(4))
def test_listing_and_folds(fold: int) -> None:
    source = ShapesSource(train_images=205, val_images=45)
    held_out = source.classes("val", fold)
    assert held_out == tuple(range(5 * fold, 5 * fold + 5))
    train, val = source.listing("train", fold), source.listing("val", fold)
    assert set(val.by_class) == set(held_out)
    assert set(train.by_class) == set(range(20)) - set(held_out)
    assert source.listing("test", fold) == val and source.classes("test", fold) == held_out
    assert set(source.classes("train", fold)) == set(train.by_class)
    for split, listing, count in (("train", train, 205), ("val", val, 45)):
        names = [name for name, _ in listing.pairs]
        assert names == sorted(set(names))
        assert all(name.startswith(f"{split}_") for name in names)
        assert all(int(name[-6:]) % 20 == label and int(name[-6:]) < count for name, label in listing.pairs)
        assert min(map(len, listing.by_class.values())) >= 2
    assert sum(len(source.listing("val", f).pairs) for f in range(4)) == 45


@pytest.mark.parametrize("size", [32, 33, 97, 160, 256])
def test_sample_at_any_size(size: int) -> None:
    source = ShapesSource(image_size=size)
    for name, label in source.listing("val", 1).pairs[:5]:
        sample = source.read(name, label)
        assert sample.image.shape == (size, size, 3)
        assert sample.mask.shape == sample.void.shape == (size, size)
        assert [str(array.dtype) for array in sample] == ["uint8", "bool", "bool"]
        assert sample.mask.any()
        assert sample.void.any()
        assert not (sample.mask & sample.void).any()
        assert sample.image.std() > 5


def test_same_layout_at_every_size() -> None:
    small, large = (ShapesSource(image_size=size, difficulty=0) for size in (80, 160))
    both = either = 0
    for name, label in small.listing("val", 0).pairs[:10]:
        a, b = small.read(name, label).mask, large.read(name, label).mask
        coarse = b.reshape(80, 2, 80, 2).mean(axis=(1, 3)) > 0.5
        assert (a & coarse).sum() > 0.5 * (a | coarse).sum()
        both, either = both + (a & coarse).sum(), either + (a | coarse).sum()
    assert both > 0.9 * either  # they differ at the edges


def neighbours(mask: Any) -> Any:
    """Pixels with a 4-neighbour in ``mask``."""
    wide = np.pad(mask, 1)
    return wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]


def test_void_is_a_border_of_one_pixel() -> None:
    source = ShapesSource(image_size=96)
    for index in range(20):
        labels, void = source.scene(f"train_{index:06d}")[1:]
        inner = np.where(void, CLUTTER, labels)
        objects = inner != CLUTTER
        # A class never touches another one, nor the ground: there is void in between.
        for label in set(labels[objects].tolist()):
            assert not (neighbours(inner == label) & ~void & (labels != label)).any()
        # On the ground, void is next to an object, and there only.
        np.testing.assert_array_equal(
            void & (labels == CLUTTER), neighbours(labels != CLUTTER) & (labels == CLUTTER)
        )
        assert 0 < void.mean() < 0.2


def test_main_class_is_visible_enough_and_often_small() -> None:
    source = ShapesSource()
    shares = []
    for index in range(300):
        mask = source.read(f"train_{index:06d}", index % 20).mask
        assert mask.sum() >= 24
        shares.append(mask.mean())
    assert 0.25 <= np.mean(np.array(shares) < 0.02) <= 0.5
    assert 0.12 < max(shares) < 0.3


@pytest.mark.parametrize("size", [32, 160])
def test_occluders_hide_at_most_the_promised_part(size: int) -> None:
    hidden = 0
    for index in range(120):
        plan = Planner(np.random.default_rng(index), 1.0).plan(index % 20)
        free = render(plan.__class__(plan.label, plan.ground, plan.behind, plan.mains, ()), size, 1.0, rng(0))
        scene = render(plan, size, 1.0, rng(0))
        before, after = (((s.labels == plan.label) & ~s.void).sum() for s in (free, scene))
        assert after >= max(MIN_VISIBLE * before, min_pixels(size))
        hidden += after < 0.95 * before
    assert hidden > 30  # and they do hide something


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def classes_of(source: ShapesSource, name: str) -> list[int]:
    return sorted(set(np.unique(source.scene(name).labels).tolist()) - {CLUTTER})


def test_scenes_show_classes_of_one_fold_only() -> None:
    source = ShapesSource(image_size=64, difficulty=1.0)
    held_out = set(source.classes("val", 2))
    rivals = 0
    for name, label in source.listing("train", 2).pairs[:90]:
        shown = classes_of(source, name)
        assert label in shown
        assert not held_out & set(shown)
        assert {other // 5 for other in shown} == {label // 5}
        rivals += len(shown) > 1
    assert rivals > 60


def test_distractors_can_be_read_and_absent_classes_cannot() -> None:
    source = ShapesSource(image_size=96)
    name = next(n for n, _ in source.listing("val", 0).pairs if len(classes_of(source, n)) > 2)
    shown, scene = classes_of(source, name), source.scene(name)
    total = np.zeros((96, 96), int)
    for label in shown:
        mask = source.read(name, label).mask
        assert (scene.labels[mask] == label).all()
        total += mask
    assert total.max() == 1
    with pytest.raises(DataError, match=rf"'{name}' does not show class 19 \(grainy quincunx\); it shows \d"):
        source.read(name, 19)


def test_difficulty_adds_distractors_and_noise() -> None:
    def measure(difficulty: float) -> tuple[float, float]:
        source = ShapesSource(image_size=64, difficulty=difficulty)
        names = [f"train_{index:06d}" for index in range(60)]
        grain = [np.abs(np.diff(source.scene(n).image[:, :, 1].astype(float), n=2, axis=1)) for n in names]
        return float(np.mean([len(classes_of(source, n)) for n in names])), float(np.median(np.stack(grain)))

    (few, quiet), (some, middling), (many, loud) = measure(0.0), measure(0.5), measure(1.0)
    assert few < some < many
    assert quiet < middling < loud


def test_colour_does_not_tell_the_class() -> None:
    """Mean colour of the mask: classes differ by no more than images of a class do by chance."""
    source = ShapesSource(image_size=48)
    colours = np.zeros((20, 15, 3))
    for index in range(300):
        sample = source.read(f"train_{index:06d}", index % 20)
        colours[index % 20, index // 20] = sample.image[sample.mask].mean(axis=0)
    within = colours.var(axis=1, ddof=1).mean()
    between = 15 * colours.mean(axis=1).var(axis=0, ddof=1).mean()
    assert between / within < 1.7  # F(19, 280) per channel: above 1.7 in 4 % of draws, fixed here


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_outlines_have_unit_area_and_vary(family: str) -> None:
    first, second = (outline(family, rng(seed)) for seed in (0, 1))
    assert area(first) == pytest.approx(1)
    every = np.concatenate(first)
    np.testing.assert_allclose(every.min(axis=0), -every.max(axis=0), atol=1e-9)
    assert any(a.shape != b.shape or not np.allclose(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 31}, "image_size is 31, expected 32 or more"),
        ({"train_images": 39}, r"train_images is 39, expected 40 or more \(two images for each class\)"),
        ({"val_images": -1}, "val_images is -1, expected 40 or more"),
        ({"seed": -5}, "seed is -5, expected 0 or more"),
        ({"difficulty": 1.01}, "difficulty is 1.01, expected a number from 0 to 1"),
        ({"difficulty": -0.1}, "difficulty is -0.1"),
        ({"difficulty": float("nan")}, "difficulty is nan"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        ShapesSource(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "train", "test_000001", "train_1", "train_-00001", "../val_000001",
                                  "val_000001.jpg", "val_000001\n", "val_00000٣"])  # fmt: skip
def test_malformed_names(name: str) -> None:
    with pytest.raises(DataError, match="expected one such as 'train_000123'") as caught:
        ShapesSource().read(name, 0)
    assert "\n" not in str(caught.value)


def test_bad_requests() -> None:
    source = ShapesSource(image_size=32, train_images=40, val_images=40)
    with pytest.raises(DataError, match="no image 'val_000040', the last one is 'val_000039'"):
        source.read("val_000040", 0)
    for class_id in (-1, 20):
        with pytest.raises(DataError, match=f"class is {class_id}, expected 0 to 19"):
            source.read("val_000000", class_id)
    for fold in (-1, 4):
        with pytest.raises(DataError, match=f"fold {fold} does not exist: shapes has folds 0 to 3"):
            source.classes("val", fold)
        with pytest.raises(DataError, match=f"fold {fold} does not exist: shapes has folds 0 to 3"):
            source.listing("train", fold)
    assert source.has("val_000039") and not source.has("val_000040") and not source.has("../secret")
    with pytest.raises(DataError, match="unknown split of shapes 'valid': did you mean 'val'"):
        source.listing("valid", 0)  # type: ignore[arg-type]
