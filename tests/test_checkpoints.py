"""Published weights: strict import, export as its inverse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import hmseg
import reference
from hmseg.errors import CheckpointError
from hmseg.networks import FewShotNetwork


@pytest.fixture
def network() -> FewShotNetwork:
    return hmseg.build_network("hsnet", "hybrid", "mobilenet_v2")


def test_round_trip(network: FewShotNetwork) -> None:
    state = reference.state_dict(network)
    state["backbone.classifier.1.weight"] = torch.zeros(10, 1280)  # published files hold it, nobody needs it
    hmseg.load_published(network, state)
    exported = hmseg.export_published(network)
    assert all(
        torch.equal(exported[name], value) for name, value in state.items() if "classifier" not in name
    )
    other = hmseg.build_network("hsnet", "feature", "mobilenet_v2")
    hmseg.load_published(other, exported)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("hpn_learner.decoder2.2.bias"), "head.decoder2.2.bias is missing"),
        (lambda s: s.update({"hpn_learner.extra": torch.zeros(1)}), "head.extra is unexpected"),
        (lambda s: s.update({"hpn_learner.decoder2.2.bias": torch.zeros(3)}), r"is \(3,\) instead of \(2,\)"),
    ],
)
def test_misfits_are_named_and_change_nothing(network: FewShotNetwork, change: Any, message: str) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = reference.state_dict(network)
    change(state)
    with pytest.raises(CheckpointError, match=message):
        hmseg.load_published(network, state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
