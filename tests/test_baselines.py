"""Baselines against slow versions by hand, the calibration of the prior, and the scoring of any predictor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

import hmseg
from hmseg.baselines import (
    THRESHOLDS,
    AllForeground,
    CorrelationPrior,
    best_match,
    foreground_positions,
    network_inputs,
    score,
)
from hmseg.data.episode import Episode
from hmseg.errors import ConfigError, DataError, HmsegError
from hmseg.metrics import FewShotIoU
from tiny import TinyBackbone, tiny_batch, tiny_network

# Parts of the prior


def test_positions_covered_by_half_are_foreground() -> None:
    mask = torch.zeros(1, 4, 8)
    mask[0, :2, :2] = 1  # a whole cell
    mask[0, 0, 2:4] = 1  # half a cell
    mask[0, 2, 6] = 1  # a quarter
    assert foreground_positions(mask, (2, 4)).int().tolist() == [[[1, 1, 0, 0], [0, 0, 0, 0]]]


def test_small_objects_keep_the_position_they_cover_most() -> None:
    masks = torch.zeros(3, 8, 8, dtype=torch.bool)
    masks[0, 7, 0] = True  # one pixel
    masks[1, 0, 3:6] = True  # one pixel in one cell, two in the next
    assert foreground_positions(masks, (2, 2)).int().tolist() == [
        [[0, 0], [1, 0]],
        [[0, 1], [0, 0]],
        [[1, 1], [1, 1]],  # no object at all: everywhere, never NaN
    ]


def slow_best_match(query: Tensor, support: Tensor, positions: Tensor) -> Tensor:
    """(C, h, w), (C, h', w'), (h', w') -> (h, w), by loops over all pairs of positions."""
    result = torch.zeros(query.shape[1:], dtype=torch.float64)
    for y in range(query.shape[1]):
        for x in range(query.shape[2]):
            q = query[:, y, x].double()
            for v in range(support.shape[1]):
                for u in range(support.shape[2]):
                    if positions[v, u]:
                        s = support[:, v, u].double()
                        cosine = (q / (q.norm() + 1e-5)) @ (s / (s.norm() + 1e-5))
                        result[y, x] = max(result[y, x], cosine)
    return result


def slow_prior(backbone: TinyBackbone, batch: Episode) -> Tensor:
    """The whole prior (B, H, W) by its description."""
    query, supports, masks = network_inputs(batch)
    priors = []
    for b in range(len(query)):
        total = torch.zeros(query.shape[-2:], dtype=torch.float64)
        query_maps = backbone(query[b : b + 1])
        for k in range(supports.shape[1]):
            support_maps = backbone(supports[b, k][None])
            for level in (3, 4):
                matches = []
                for info, q, s in zip(backbone.feature_info, query_maps, support_maps, strict=True):
                    if info.level == level:
                        positions = foreground_positions(masks[b, k][None], (s.shape[-2], s.shape[-1]))[0]
                        matches.append(slow_best_match(q[0], s[0], positions))
                mean = (sum(matches) / len(matches))[None, None]  # type: ignore[index]
                resized = F.interpolate(mean, query.shape[-2:], mode="bilinear", align_corners=True)
                total += resized[0, 0]
        priors.append((total - total.min()) / (total.max() - total.min()))
    return torch.stack(priors)


def test_best_match_is_that_of_all_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 5, 3, 4, generator=generator)
    support = torch.randn(4, 5, 4, 4, generator=generator)
    masks = torch.rand(4, 16, 16, generator=generator) < 0.5
    found = best_match(query, support, masks)
    positions = foreground_positions(masks, (4, 4))
    assert 0 < positions.sum() < positions.numel()
    expected = [slow_best_match(query[i // 2], support[i], positions[i]) for i in range(4)]
    torch.testing.assert_close(found.double(), torch.stack(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shots", [1, 3])
def test_prior_is_what_its_description_says(shots: int) -> None:
    backbone, batch = TinyBackbone(), tiny_batch(shots=shots)
    prior = CorrelationPrior(backbone)(*network_inputs(batch))
    torch.testing.assert_close(prior.double(), slow_prior(backbone, batch), rtol=1e-4, atol=1e-4)
    assert prior.amin(dim=(1, 2)).tolist() == [0.0, 0.0]
    assert prior.amax(dim=(1, 2)).tolist() == [1.0, 1.0]


def test_prior_of_tiny_and_missing_objects_is_finite() -> None:
    batch = tiny_batch()
    masks = torch.zeros_like(batch.support_masks)
    masks[0, 0, 9, 9] = True
    query, supports, _ = network_inputs(batch)
    prior = CorrelationPrior(TinyBackbone())
    assert prior(query, supports, masks).isfinite().all()
    for parameter in prior.backbone.parameters():
        parameter.data.zero_()
    assert prior(query, supports, masks).eq(0).all()  # the same everywhere: stretched to 0, not to NaN


def test_prediction_is_the_thresholded_prior_and_changes_nothing() -> None:
    prior, batch = CorrelationPrior(TinyBackbone(), threshold=0.3), tiny_batch(shots=2)
    inputs = network_inputs(batch)
    before = [each.clone() for each in inputs]
    mask = prior.predict(*inputs)
    assert mask.dtype == torch.bool
    assert torch.equal(mask, prior(*inputs) >= 0.3)
    assert 0 < mask.float().mean() < 1
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))


def test_prior_takes_a_real_backbone_and_images_that_are_not_square() -> None:
    prior = CorrelationPrior(hmseg.build_backbone("mobilenet_v2"))
    mask = prior.predict(*network_inputs(tiny_batch(shots=2, size=(64, 96))))
    assert mask.shape == (2, 64, 96)


# Calibration


class Known(CorrelationPrior):
    """A prior that is given instead of computed."""

    def __init__(self, make: Callable[[Tensor], Tensor]) -> None:
        super().__init__(TinyBackbone())
        self.make = make

    def forward(self, query: Tensor, support_images: Tensor, support_masks: Tensor) -> Tensor:
        return self.make(support_masks[:, 0])


def self_supported(batch: Episode) -> Episode:
    """The query's own mask as the support's, so that a known prior can be made of it."""
    return batch._replace(support_masks=batch.query_mask[:, None])


def test_calibration_takes_the_lowest_of_the_best_thresholds() -> None:
    prior = Known(lambda masks: torch.where(masks, 0.78, 0.42))
    found = prior.calibrate([self_supported(tiny_batch(seed=seed)) for seed in range(2)])
    assert found == prior.threshold == pytest.approx(0.45)


def test_calibration_weighs_classes_alike_and_leaves_void_out() -> None:
    """Class 3 in three episodes wants a low threshold, class 7 in one a high one, by more."""
    batch = tiny_batch(batch=4, classes=(3, 3, 3, 7), size=(30, 30))
    truth = torch.zeros(4, 30, 30, dtype=torch.bool)
    truth[:, 5:15] = True  # a third of the image
    prior = torch.zeros(4, 30, 30)
    prior[:3, 5:15] = 0.5
    prior[:3, 5:14] = 0.9  # nine tenths of the object remain above 0.5
    prior[3] = 0.5  # class 7: below 0.5 everything is foreground
    prior[3, 5:15] = 0.9
    void = torch.zeros_like(truth)
    void[:, 20:] = True
    prior[:, 20:] = 0.3  # would spoil every threshold up to 0.3 if it counted
    batch = batch._replace(query_mask=truth, query_void=void)
    known = Known(lambda masks: prior)
    # By hand, object 300 and counted 600 pixels: up to 0.5 mIoU is (1 + 1/2) / 2, above it (0.9 + 1) / 2.
    assert known.calibrate([batch]) == pytest.approx(0.55)
    only_first = Episode(*(tensor[:3] for tensor in batch))
    first = Known(lambda masks: prior[:3])
    assert first.calibrate([only_first]) == THRESHOLDS[0]


def test_calibration_needs_an_episode() -> None:
    with pytest.raises(DataError, match="no episode to calibrate"):
        CorrelationPrior(TinyBackbone()).calibrate([])


def test_what_the_prior_refuses() -> None:
    shallow = TinyBackbone()
    shallow.feature_info = tuple(info._replace(level=2) for info in shallow.feature_info)
    with pytest.raises(ConfigError, match=r"levels \[2\], the prior needs \[3, 4\]"):
        CorrelationPrior(shallow)
    with pytest.raises(ConfigError, match=r"threshold is 1\.5"):
        CorrelationPrior(TinyBackbone(), threshold=1.5)


# Scoring


def test_everything_foreground_scores_the_share_of_the_object() -> None:
    batch = tiny_batch(batch=3, classes=(3, 3, 7))
    overall, small = score({"all": AllForeground()}, [batch], (3, 7))["all"]
    counted = (~batch.query_void).flatten(1).sum(dim=1)
    objects = batch.query_mask.flatten(1).sum(dim=1)
    shares = [(100 * objects[part].sum() / counted[part].sum()).item() for part in (slice(0, 2), slice(2, 3))]
    assert overall.per_class == pytest.approx({3: shares[0], 7: shares[1]}, rel=1e-6)
    assert overall.fb_iou == pytest.approx((100 * objects.sum() / counted.sum()).item() / 2, rel=1e-6)
    assert small.episodes == {3: 0, 7: 0}


def test_a_network_is_scored_by_its_own_predictions() -> None:
    network, batches = tiny_network(), [tiny_batch(seed=seed, shots=2) for seed in range(3)]
    expected = FewShotIoU((3, 7))
    for batch in batches:
        mask = network.predict(*network_inputs(batch))
        expected.update(mask, batch.query_mask, batch.query_void, batch.class_id)
    assert score({"network": network}, batches, (3, 7))["network"][0] == expected.compute()


def test_what_scoring_refuses() -> None:
    with pytest.raises(DataError, match="no episode to score"):
        score({"all": AllForeground()}, [], (3, 7))
    with pytest.raises(DataError, match="is of class 7"):
        score({"all": AllForeground()}, [tiny_batch()], (3, 4))
    batch = tiny_batch()
    larger = batch._replace(
        query_mask=F.pad(batch.query_mask, (0, 3)), query_void=F.pad(batch.query_void, (0, 3))
    )
    with pytest.raises(HmsegError, match="expected the same"):
        score({"all": AllForeground()}, [larger], (3, 7))
