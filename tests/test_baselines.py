"""Baselines by hand, and the scoring of any predictor."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from hmseg.baselines import AllForeground, network_inputs, prototype, score
from hmseg.errors import ConfigError, DataError, HmsegError
from hmseg.masking import FeatureMasking
from hmseg.metrics import FewShotIoU
from tiny import TinyBackbone, tiny_batch, tiny_network


def test_the_prototype_shares_the_backbone_and_masks_features() -> None:
    backbone = TinyBackbone()
    network = prototype(backbone)
    assert network.backbone is backbone and network.join_shots
    assert isinstance(network.masking, FeatureMasking)
    assert not [each for each in network.parameters() if each.requires_grad]
    batch = tiny_batch(shots=2)
    mask = network.predict(*network_inputs(batch))
    assert mask.dtype == torch.bool and mask.shape == batch.query_mask.shape


def test_the_prototype_needs_a_deep_level() -> None:
    shallow = TinyBackbone()
    shallow.feature_info = tuple(info._replace(level=2) for info in shallow.feature_info)
    with pytest.raises(ConfigError, match=r"leaves no map of this backbone"):
        prototype(shallow)


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
