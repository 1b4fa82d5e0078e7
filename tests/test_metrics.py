"""Metrics: the published values, an independent slow version, merging, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hmseg.errors import DataError, HmsegError
from hmseg.metrics import FewShotIoU, Scores, intersections_and_unions, scores, small_objects


def random_episodes(
    episodes: int, classes: tuple[int, ...], seed: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Predictions, truth, void and class ids of made-up episodes; void also covers foreground."""
    generator = torch.Generator().manual_seed(seed)
    predictions, truths, voids = (
        torch.rand(episodes, 9, 7, generator=generator) < share for share in (0.4, 0.3, 0.2)
    )
    picks = torch.randint(len(classes), (episodes,), generator=generator)
    return predictions, truths, voids, torch.tensor(classes)[picks]


def slow_scores(
    classes: tuple[int, ...], predictions: Tensor, truths: Tensor, voids: Tensor | None, ids: Tensor
) -> Scores:
    """The same by sets of pixels: no tensor arithmetic, no shared code."""
    pixels: dict[tuple[int, int], dict[str, set[tuple[int, int, int]]]] = {}
    for class_id in classes:
        for label in (0, 1):
            pixels[class_id, label] = {"predicted": set(), "true": set()}
    for episode, class_id in enumerate(ids.tolist()):
        for row in range(predictions.shape[1]):
            for column in range(predictions.shape[2]):
                if voids is not None and voids[episode, row, column]:
                    continue
                where = (episode, row, column)
                pixels[class_id, int(predictions[where])]["predicted"].add(where)
                pixels[class_id, int(truths[where])]["true"].add(where)
    inter = {key: len(sets["predicted"] & sets["true"]) for key, sets in pixels.items()}
    union = {key: len(sets["predicted"] | sets["true"]) for key, sets in pixels.items()}
    per_class = {each: 100 * inter[each, 1] / max(union[each, 1], 1) for each in classes}
    fb = [
        100 * sum(inter[each, label] for each in classes) / sum(union[each, label] for each in classes)
        for label in (0, 1)
    ]
    counts = {each: ids.tolist().count(each) for each in classes}
    return Scores(sum(per_class.values()) / len(classes), sum(fb) / 2, per_class, counts)


def assert_same(found: Scores, expected: Scores) -> None:
    assert found.miou == pytest.approx(expected.miou, rel=1e-12)
    assert found.fb_iou == pytest.approx(expected.fb_iou, rel=1e-12)
    assert found.per_class == pytest.approx(expected.per_class, rel=1e-12)
    assert found.episodes == expected.episodes
    assert list(found.per_class) == list(expected.per_class)


@pytest.mark.parametrize("with_void", [True, False])
def test_published_values(shared: Path, with_void: bool) -> None:
    with np.load(shared / "reference" / "metrics.npz", allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    metric = FewShotIoU(data["class_ids"].tolist())
    for prediction, truth, void, ids in zip(
        *(torch.from_numpy(data[name]) for name in ("pred", "gt", "ignore", "class_id")), strict=True
    ):
        metric.update(prediction, truth, void.bool() if with_void else None, ids)
    found, suffix = metric.compute(), "" if with_void else "_no_ignore"
    # The reference is float32; its fold has a class without an episode (9), which must count as 0.
    assert found.miou == pytest.approx(float(data[f"miou{suffix}"]), abs=2e-5)
    assert found.fb_iou == pytest.approx(float(data[f"fb_iou{suffix}"]), abs=2e-5)
    assert found.episodes[9] == 0
    assert found.per_class[9] == 0.0


@pytest.mark.parametrize("with_void", [True, False])
@pytest.mark.parametrize("classes", [(3,), (11, 2, 70)])
def test_agrees_with_the_slow_version(classes: tuple[int, ...], with_void: bool) -> None:
    predictions, truths, voids, ids = random_episodes(14, classes, seed=0)
    metric = FewShotIoU(classes)
    for part in torch.arange(14).split(4):
        metric.update(predictions[part], truths[part], voids[part] if with_void else None, ids[part])
    assert_same(
        metric.compute(), slow_scores(classes, predictions, truths, voids if with_void else None, ids)
    )


def merge(first: FewShotIoU, second: FewShotIoU) -> FewShotIoU:
    """As torchmetrics does it between two processes; the result stands on the first."""
    states = {name: (getattr(first, name), getattr(second, name)) for name in first._defaults}
    merged = FewShotIoU(
        first.classes,
        dist_sync_fn=lambda state, group: next(
            list(pair) for pair in states.values() if pair[0].data_ptr() == state.data_ptr()
        ),
        distributed_available_fn=lambda: True,
    )
    for name, (mine, _) in states.items():
        setattr(merged, name, mine)
    merged._update_count = 1
    return merged


def test_two_devices_add_up_to_one() -> None:
    classes = (1, 5, 6)
    batch = random_episodes(10, classes, seed=1)
    first, second, whole = FewShotIoU(classes), FewShotIoU(classes), FewShotIoU(classes)
    whole.update(*batch)
    first.update(*(part[:3] for part in batch))
    second.update(*(part[3:] for part in batch))
    merged = merge(first, second)
    assert_same(merged.compute(), whole.compute())
    assert merged.episodes.equal(first.episodes)  # its own sums are back after the synchronisation
    assert_same(merged.local(), first.compute())  # and `local` involves no other device


def test_a_strange_class_on_one_device_is_refused_on_all() -> None:
    first, second = FewShotIoU((1, 5)), FewShotIoU((1, 5))
    zeros = torch.zeros(1, 2, 2)
    first.update(zeros, zeros, None, torch.tensor([5]))
    second.update(zeros, zeros, None, torch.tensor([0]))
    with pytest.raises(DataError, match="an episode is of class 0"):
        merge(first, second).compute()


def test_reset_forgets_everything() -> None:
    metric = FewShotIoU((0,))
    ones = torch.ones(1, 2, 2)
    metric.update(ones, ones, None, torch.tensor([0]))
    metric.reset()
    metric.update(ones, torch.zeros(1, 2, 2), None, torch.tensor([0]))
    assert metric.compute() == Scores(0.0, 0.0, {0: 0.0}, {0: 1})


def test_include_counts_only_the_chosen_episodes() -> None:
    classes = (1, 5)
    predictions, truths, voids, ids = random_episodes(8, classes, seed=2)
    chosen = torch.tensor([True, False, False, True, True, False, True, False])
    masked, picked = FewShotIoU(classes), FewShotIoU(classes)
    masked.update(predictions, truths, voids, ids, include=chosen)
    picked.update(predictions[chosen], truths[chosen], voids[chosen], ids[chosen])
    assert masked.compute() == picked.compute()
    assert sum(masked.compute().episodes.values()) == 4


def test_small_objects_are_judged_on_the_pixels_that_count() -> None:
    target = torch.zeros(3, 10, 10, dtype=torch.bool)
    target[0, 0, 0] = True  # 1 % of the image
    target[1, 0, :2] = True  # 2 %: no longer below
    target[2, 0, 0] = True  # 1 of 40 counted pixels is 2.5 %
    void = torch.zeros_like(target)
    void[2, 4:] = True
    assert small_objects(target, void).tolist() == [True, False, False]
    assert small_objects(target).tolist() == [True, False, True]
    assert small_objects(target, void, below=0.025).tolist() == [True, True, False]


def test_nothing_of_the_caller_is_changed() -> None:
    predictions, truths, voids, ids = random_episodes(4, (0, 1), seed=3)
    before = [each.clone() for each in (predictions, truths, voids, ids)]
    metric = FewShotIoU((0, 1))
    metric.update(predictions, truths, voids, ids)
    metric.compute()
    for now, then in zip((predictions, truths, voids, ids), before, strict=True):
        assert torch.equal(now, then)


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_any_kind_of_mask(kind: torch.dtype) -> None:
    prediction = torch.tensor([[[1, 1, 0], [0, 1, 0]]]).to(kind)
    target = torch.tensor([[[1, 0, 0], [0, 1, 1]]]).to(kind)
    intersection, union = intersections_and_unions(prediction, target)
    assert intersection.tolist() == [[2, 2]]
    assert union.tolist() == [[4, 4]]


def test_background_that_fills_nothing_scores_zero_not_nan() -> None:
    full = torch.tensor([[0, 16]])
    assert scores((2,), full, full, torch.tensor([1])) == Scores(100.0, 50.0, {2: 100.0}, {2: 1})
    one = torch.tensor([[1, 1]])  # a union of one pixel is a whole one, none counts as one
    assert scores((2,), one, one, torch.tensor([1])) == Scores(100.0, 100.0, {2: 100.0}, {2: 1})
    none = torch.zeros_like(one)
    assert scores((2,), none, none, torch.tensor([0])) == Scores(0.0, 0.0, {2: 0.0}, {2: 0})


@pytest.mark.parametrize(
    ("prediction", "target", "void"),
    [((1, 4, 4), (1, 4, 5), None), ((1, 4, 4), (1, 4, 4), (1, 5, 4)), ((4, 4), (4, 4), None)],
)
def test_sizes_that_differ_are_refused(
    prediction: tuple[int, ...], target: tuple[int, ...], void: tuple[int, ...] | None
) -> None:
    with pytest.raises(HmsegError, match=r"expected the same \(B, H, W\)"):
        intersections_and_unions(
            torch.zeros(prediction), torch.zeros(target), None if void is None else torch.zeros(void)
        )


@pytest.mark.parametrize("classes", [(), (1, 1), (0, -1)])
def test_classes_that_cannot_be(classes: tuple[int, ...]) -> None:
    with pytest.raises(HmsegError, match="different class ids"):
        FewShotIoU(classes)


def test_an_episode_of_another_fold_is_refused() -> None:
    metric = FewShotIoU((5, 6))
    zeros = torch.zeros(2, 3, 3)
    metric.update(zeros, zeros, None, torch.tensor([5, 8]))
    with pytest.raises(DataError, match=r"class 8, but the classes evaluated are \[5, 6\]"):
        metric.compute()
    metric.reset()
    metric.update(zeros, zeros, None, torch.tensor([5, 6]))
    assert metric.compute().episodes == {5: 1, 6: 1}
