"""Scores of several lists in one evaluation are those of each list alone."""

from __future__ import annotations

import pytest
import torch

from hmseg.errors import HmsegError
from hmseg.metrics import FewShotIoU
from hmseg.metrics_by_seed import IoUBySeed


def test_each_list_scores_as_alone() -> None:
    classes, lists, length = (9, 4, 6), 3, 5
    generator = torch.Generator().manual_seed(0)
    count = lists * length
    prediction, target, void = (torch.rand(count, 6, 7, generator=generator) < 0.5 for _ in range(3))
    class_ids = torch.tensor(classes)[torch.randint(3, (count,), generator=generator)]
    together = IoUBySeed(classes, lists, length)
    alone = [FewShotIoU(classes) for _ in range(lists)]
    for batch in torch.randperm(count, generator=generator).split(4):  # batches over the lists' borders
        together.update_at(batch, prediction[batch], target[batch], void[batch], class_ids[batch])
    for which, metric in enumerate(alone):
        part = slice(which * length, (which + 1) * length)
        metric.update(prediction[part], target[part], void[part], class_ids[part])
    assert together.compute() == tuple(metric.compute() for metric in alone)
    together.reset()
    together.update_at(torch.tensor([7]), prediction[:1], target[:1], None, class_ids[:1])
    assert [sum(each.episodes.values()) for each in together.compute()] == [0, 1, 0]


@pytest.mark.parametrize(("lists", "length"), [(0, 5), (2, 0)])
def test_no_episodes(lists: int, length: int) -> None:
    with pytest.raises(HmsegError, match="at least 1 of 1 was expected"):
        IoUBySeed((1,), lists, length)
