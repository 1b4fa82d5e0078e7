"""Published weights: names and shapes of all three models, strict import, export as its inverse."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import hmseg
import reference
from hmseg.checkpoints import advice
from hmseg.errors import CheckpointError
from hmseg.networks import FewShotNetwork

CONSTANTS = ("relative_position_index", "attn_mask")
PREFIXES = {"hsnet": "hpn_learner.", "asnet": "learner.", "vat": "hpn_learner."}


def names_only(model: str, backbone: str = "resnet50", **options: Any) -> FewShotNetwork:
    """A network without values: every name and shape in no time."""
    with torch.device("meta"):
        return hmseg.build_network(model, "none", backbone, **options)


@pytest.fixture(scope="module", params=PREFIXES)
def network(request: pytest.FixtureRequest) -> FewShotNetwork:
    return hmseg.build_network(request.param, "hybrid", "mobilenet_v2")


@pytest.fixture
def hsnet() -> FewShotNetwork:
    return hmseg.build_network("hsnet", "hybrid", "mobilenet_v2")


@pytest.mark.parametrize("model", PREFIXES)
def test_every_published_name_and_shape(model: str, shared: Path) -> None:
    lines = (shared / f"reference/{model}_parameters.txt").read_text().splitlines()
    published = {name: ast.literal_eval(shape) for name, shape in (line.split("\t") for line in lines)}
    exported = hmseg.export_published(names_only(model))
    head = {n: tuple(v.shape) for n, v in exported.items() if not n.startswith("backbone.")}
    assert head == published
    assert len(published) > 90 and all(name.startswith(PREFIXES[model]) for name in published)


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "resnet101"])
def test_backbones_have_torchvisions_names(name: str) -> None:
    import torchvision

    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)().state_dict()
    exported = hmseg.export_published(names_only("hsnet", name))
    ours = {n.removeprefix("backbone."): v.shape for n, v in exported.items() if n.startswith("backbone.")}
    assert ours == {n: v.shape for n, v in theirs.items() if not n.startswith(("fc.", "classifier."))}


def as_published(network: FewShotNetwork, salt: int = 0) -> dict[str, Tensor]:
    """Other weights for a network under the published names, put together without our export."""
    state = {f"backbone.{name}": value for name, value in network.backbone.state_dict().items()}
    prefix = network.head.published_prefix
    state |= {f"{prefix}{name}": value for name, value in network.head.state_dict().items()}
    state |= {f"{prefix}{n}": v for n, v in network.head.named_buffers() if n.endswith(CONSTANTS)}
    learned = {n: v for n, v in state.items() if v.is_floating_point() and not n.endswith(CONSTANTS)}
    return state | {n: reference.weight(n, tuple(v.shape), salt) for n, v in learned.items()}


def test_round_trip(network: FewShotNetwork) -> None:
    state = as_published(network, salt=1)
    state["backbone.classifier.1.weight"] = torch.zeros(10, 1280)  # published files hold it, nobody needs it
    hmseg.load_published(network, state)
    exported = hmseg.export_published(network)
    assert exported.keys() == state.keys() - {"backbone.classifier.1.weight"}
    assert [name for name, value in exported.items() if not torch.equal(value, state[name])] == []
    assert network.backbone.weights_origin == "checkpoint"
    kept = {name: value.clone() for name, value in exported.items()}
    hmseg.load_published(network, as_published(network, salt=2))
    assert not torch.equal(
        hmseg.export_published(network)["backbone.features.0.0.weight"], kept["backbone.features.0.0.weight"]
    )
    hmseg.load_published(network, kept)
    assert all(torch.equal(value, kept[name]) for name, value in hmseg.export_published(network).items())


def test_what_construction_determines_may_be_missing(network: FewShotNetwork) -> None:
    free = ("num_batches_tracked", *CONSTANTS)
    state = {n: v for n, v in as_published(network, salt=3).items() if not n.endswith(free)}
    constants = {n: v.clone() for n, v in network.named_buffers() if n.endswith(free)}
    hmseg.load_published(network, state)
    assert all(torch.equal(v, constants[n]) for n, v in network.named_buffers() if n.endswith(free))


def test_constants_that_are_there_must_be_the_networks() -> None:
    network = hmseg.build_network("vat", "none", "mobilenet_v2")
    state = as_published(network)
    index = next(name for name in state if name.endswith("relative_position_index"))
    mask = next(name for name in state if name.endswith("attn_mask"))
    hmseg.load_published(network, {**state, index: state[index].int(), mask: state[mask].half()})
    with pytest.raises(CheckpointError, match=f"{index} holds other values instead of those of this network"):
        hmseg.load_published(network, {**state, index: state[index].flip(0)})
    with pytest.raises(CheckpointError, match=rf"{mask} is \(1, 256, 256\) instead of"):
        hmseg.load_published(network, {**state, mask: state[mask][:1]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("hpn_learner.decoder2.2.bias"),
            "hpn_learner.decoder2.2.bias is missing; check model",
        ),
        (lambda s: s.update({"hpn_learner.extra": torch.zeros(1)}), "hpn_learner.extra is unexpected"),
        (lambda s: s.update({"backbone.extra": torch.zeros(1)}), "backbone.extra is unexpected"),
        (lambda s: s.update({"hpn_learner.decoder2.2.bias": torch.zeros(3)}), r"is \(3,\) instead of \(2,\)"),
        (lambda s: s["hpn_learner.decoder2.2.bias"].fill_(float("nan")), r"bias holds NaN or infinity"),
        (
            lambda s: s.update({f"hpn_learner.{i}": torch.zeros(1) for i in range(9)}),
            "and 4 more; check model",
        ),
    ],
)
def test_misfits_are_named_and_change_nothing(hsnet: FewShotNetwork, change: Any, message: str) -> None:
    before = {name: value.clone() for name, value in hsnet.state_dict().items()}
    state = as_published(hsnet)
    change(state)
    with pytest.raises(CheckpointError, match=message):
        hmseg.load_published(hsnet, state)
    assert all(torch.equal(value, before[name]) for name, value in hsnet.state_dict().items())
    assert hsnet.backbone.weights_origin == "random"


def test_a_backbone_that_stays_the_same_keeps_its_origin() -> None:
    network = hmseg.build_network("hsnet", "hybrid", "mobilenet_v2", weights="bundled")
    state = {name: value.clone() for name, value in hmseg.export_published(network).items()}
    hmseg.load_published(network, state)
    assert network.backbone.weights_origin == "bundled"
    state["backbone.features.0.0.weight"][0] += 1
    hmseg.load_published(network, state)
    assert network.backbone.weights_origin == "checkpoint"


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        (("hsnet", "resnet50"), ("asnet", "resnet50"), "a file of model asnet: give model=asnet"),
        (("asnet", "vgg16"), ("hsnet", "vgg16"), "a file of model hsnet: give model=hsnet"),
        (("hsnet", "resnet50"), ("vat", "resnet50"), "a file of model vat: give model=vat"),
        (("vat", "resnet50"), ("hsnet", "resnet50"), "a file of model hsnet: give model=hsnet"),
        (("hsnet", "resnet50"), ("hsnet", "resnet101"), "backbone resnet101: give backbone=resnet101"),
        (("hsnet", "resnet101"), ("hsnet", "resnet50"), "backbone resnet50: give backbone=resnet50"),
        (("hsnet", "resnet50"), ("hsnet", "vgg16"), "backbone vgg16: give backbone=vgg16"),
        (("hsnet", "vgg16"), ("asnet", "mobilenet_v2"), "give model=asnet backbone=mobilenet_v2"),
        (("vat", "resnet50"), ("vat", "resnet50", "coco"), "give dataset=coco (in Python affinity='coco')"),
        (("vat", "resnet50", "coco"), ("vat", "resnet50", "fss"), "give dataset=fss (in Python"),
        (("vat", "resnet50", "coco"), ("vat", "resnet50", "pascal"), "give dataset=pascal (in Python"),
        (("hsnet", "resnet50"), ("hsnet", "resnet50"), "check model and backbone"),
    ],
)  # fmt: skip
def test_advice_tells_models_and_backbones_apart(ours: Any, theirs: Any, told: str) -> None:
    def state_of(model: str, backbone: str, affinity: str | None = None) -> FewShotNetwork:
        return names_only(model, backbone, **({"affinity": affinity} if affinity else {}))

    assert told in advice(state_of(*ours), hmseg.export_published(state_of(*theirs)))


def test_advice_on_names(hsnet: FewShotNetwork) -> None:
    state = as_published(hsnet)
    assert "take 'module.' off" in advice(hsnet, {f"module.{name}": v for name, v in state.items()})
    headless = {name: v for name, v in state.items() if not name.startswith("backbone.")}
    assert advice(hsnet, headless).startswith("it holds no backbone")
