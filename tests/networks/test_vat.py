"""VAT against the published code's outputs, and what its head does beyond them."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

import hmseg
import reference
from hmseg.backbones import FeatureInfo
from hmseg.errors import ConfigError
from hmseg.masking import build_masking
from hmseg.networks import FewShotNetwork
from hmseg.networks.layers import resize
from hmseg.networks.vat import AFFINITY, AT_ONCE, VATHead

REFERENCES = (
    "vat_feature_resnet50_192",
    "vat_hybrid_resnet101_192_fss",
    "vat_hybrid_resnet50_192_coco",
    "vat_hybrid_resnet50_192_pascal",
)
FEATURES = tuple(FeatureInfo(*each) for each in ((1, 4, 4), (2, 6, 8), (3, 8, 16), (3, 8, 16), (4, 8, 32)))
CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_outputs(shared: Path, name: str) -> None:
    config, arrays = reference.load(shared / "reference" / f"{name}.npz")
    network = hmseg.build_network("vat", config["masking"], config["backbone"], affinity=config["benchmark"])
    hmseg.load_published(network, reference.state_dict(network, config.get("salt", 0)))
    shots = config.get("shot", 1)
    episode = reference.inputs(config["batch"], shots, config["size"], config["seed"], config["radius"])
    query, supports, masks = episode
    stride = config["stride"]
    with torch.no_grad():
        logits = network(query, supports[:, :1], masks[:, :1])
    expected = torch.from_numpy(arrays["logits"])
    assert (logits[:, 0, :, ::stride, ::stride] - expected).norm() / expected.norm() < 1e-5
    if "vote" in arrays:  # of the first image only: each support costs seconds
        with torch.no_grad():
            others = network(query[:1], supports[:1, 1:], masks[:1, 1:])
        logits = torch.cat((logits[:1], others), dim=1)
        votes = torch.from_numpy(arrays["vote"][:1]).bool()
        differs = hmseg.vote(logits)[:, ::stride, ::stride] != votes
        margin = (logits[:, :, 1] - logits[:, :, 0]).abs().amin(dim=1)[:, ::stride, ::stride]
        assert (margin[differs] < 1e-4).all()
        assert differs.float().mean() < 0.01


def test_all_references_are_tested(shared: Path) -> None:
    assert {path.stem for path in (shared / "reference").glob("vat_*.npz")} == set(REFERENCES)


def test_names_and_shapes_are_those_published(shared: Path) -> None:
    lines = (shared / "reference/vat_parameters.txt").read_text().splitlines()
    listed = dict(line.split("\t") for line in lines)
    network = hmseg.build_network("vat", "hybrid", "resnet50")
    ours = {k: v for k, v in hmseg.export_published(network).items() if k.startswith("hpn_learner.")}
    assert {k: str(tuple(v.shape)) for k, v in ours.items()} == listed
    shapes = {
        name: [int(side) for side in shape.strip("(),").split(",")]
        for name, shape in listed.items()
        if not name.endswith(("attn_mask", "relative_position_index"))
    }
    unused = [k for k in shapes if "transformer.norm" in k and "swin_decoder" not in k or "feat.0" in k]
    learnable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert learnable == sum(map(prod, shapes.values())) - sum(prod(shapes[name]) for name in unused)


def small(masking: str = "hybrid", **options: Any) -> FewShotNetwork:
    """A head on half the published grid."""
    torch.manual_seed(0)
    return hmseg.build_network("vat", masking, "mobilenet_v2", weights="bundled", side=64, **options)


def episode(batch: int, shots: int, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    height, width = size
    masks = torch.zeros(batch, shots, *size, dtype=torch.bool)
    for b in range(batch):
        for k in range(shots):
            masks[b, k, height // 4 : height // 2, width // (4 + k) : width // (2 + b)] = True
    query = torch.randn(batch, 3, *size, generator=generator)
    return query, torch.randn(batch, shots, 3, *size, generator=generator), masks


@pytest.mark.parametrize("size", [(96, 96), (128, 128), (192, 192), (417, 417), (473, 473), (101, 160)])
def test_any_image_size(size: tuple[int, int]) -> None:
    with torch.no_grad():
        logits = small()(*episode(1, 1, size))
    assert logits.shape == (1, 1, 2, *size)
    assert logits.isfinite().all()


def test_each_shot_is_what_it_would_be_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small("feature", affinity="fss")
    query, supports, masks = episode(2, 2, (64, 64))
    with torch.no_grad():
        together = network(query, supports, masks)
        for b in range(2):
            for k in range(2):
                one = slice(b, b + 1), slice(k, k + 1)
                alone = network(query[one[0]], supports[one], masks[one])
                torch.testing.assert_close(together[one], alone, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(together[:, 0], together[:, 1], atol=1e-3)
    monkeypatch.setitem(AT_ONCE, "cpu", 3)  # one image with both shots at a time
    with torch.no_grad():
        torch.testing.assert_close(network(query, supports, masks), together, rtol=1e-3, atol=1e-4)
    with_gradient = network(query, supports, masks)  # all at once
    torch.testing.assert_close(with_gradient.detach(), together, rtol=1e-3, atol=1e-4)


def maps(batch: int, seed: int, side: int = 64) -> dict[int, list[Tensor]]:
    """Maps at the sides of a grid, as FEATURES describes them."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[int, list[Tensor]] = {level: [] for level in (4, 3, 2, 1)}
    for info in FEATURES:
        plane = (side // 2 ** (info.level - 1),) * 2
        found[info.level].append(torch.randn(batch, info.channels, *plane, generator=generator))
    return found


def test_training_step() -> None:
    """Gradients reach all that takes part, the rest is marked, and nothing given is changed."""
    torch.manual_seed(0)
    head = VATHead(FEATURES, affinity="coco", side=64).train()
    query, support = maps(1, seed=0), {**maps(2, seed=1), 1: []}
    copies = [each.clone() for levels in (query, support) for level in levels.values() for each in level]
    logits = head(query, support, torch.ones(2, 8, 8))
    assert logits.shape == (2, 2, 64, 64)
    logits.square().mean().backward()
    given = [each for levels in (query, support) for level in levels.values() for each in level]
    assert all(torch.equal(a, b) for a, b in zip(given, copies, strict=True))
    without = {name for name, parameter in head.named_parameters() if parameter.grad is None}
    assert without == {name for name, p in head.named_parameters() if not p.requires_grad}
    norms = {f"ours.transformer.{i}.transformer.norm.{kind}" for i in range(3) for kind in ("weight", "bias")}
    projections = {f"ours.proj_query_feat.{i}.0.{kind}" for i in range(2) for kind in ("weight", "bias")}
    assert without == norms | projections
    zero = {name for name, p in head.named_parameters() if p.grad is not None and not p.grad.any()}
    assert not zero


def test_dropout_of_query_features() -> None:
    """Half the channels of the first two, only while training, drawn for each shot by itself."""
    torch.manual_seed(0)
    ours = VATHead(FEATURES, affinity="fss", side=64).ours
    query = {level: each[-1].abs() + 1 for level, each in maps(1, seed=0).items()}
    for parameter in ours.proj_query_feat.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    for index, level in enumerate((3, 2, 1)):
        kept = ours.eval()._query_feature(index, query[level], rows=3)
        assert (kept > 0).all() and torch.equal(kept[0], kept[1])
        drawn = ours.train()._query_feature(index, query[level], rows=3)
        zeros = (drawn == 0).all(dim=(2, 3))
        assert torch.equal(zeros, (drawn == 0).any(dim=(2, 3)))
        if index < 2:
            assert 0.25 < zeros.float().mean() < 0.75
            assert not torch.equal(zeros[0], zeros[1])
        else:
            assert torch.equal(drawn, kept)


class Watching:
    """A masking that notes the planes of the features which it is given."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.masking = build_masking(name, **options)
        self.variants, self.views = self.masking.variants, self.masking.views
        self.merges = self.masking.merges
        self.seen: set[tuple[int, int]] = set()

    def apply(self, features: Mapping[Any, Tensor], mask: Tensor, level: int) -> Tensor:
        self.seen |= {(each.shape[-2], each.shape[-1]) for each in features.values()}
        return self.masking.apply(features, mask, level)


@pytest.mark.parametrize(
    ("name", "options", "planes"),
    [
        ("none", {}, {(32, 32), (16, 16), (8, 8)}),
        ("feature", {}, {(32, 32), (16, 16), (8, 8)}),
        ("input", {}, {(32, 32), (16, 16), (8, 8)}),
        ("hybrid", {}, {(12, 16), (6, 8), (3, 4)}),  # 96 x 128 pixels at strides 8, 16, 32
        ("hybrid", {"levels": [4, 3]}, {(32, 32), (6, 8), (3, 4)}),  # feature masking at level 2
    ],
)
def test_order_of_masking_and_resizing(
    name: str, options: dict[str, Any], planes: set[tuple[int, int]]
) -> None:
    network, watching = small(name), Watching(name, options)
    network.masking = watching  # type: ignore[assignment]
    query, supports, masks = episode(1, 1, (96, 128))
    query_maps, support_maps = network.encode(query, supports[:, 0], masks[:, 0].float())
    assert watching.seen == planes
    assert support_maps[1] == []
    assert len(query_maps[1]) == 1


def test_maps_off_the_grid_are_resized() -> None:
    torch.manual_seed(0)
    head = VATHead(FEATURES, side=64).eval()
    query, support = maps(1, seed=0, side=48), {**maps(1, seed=1, side=80), 1: []}
    sides = {4: 8, 3: 16, 2: 32, 1: 64}
    on_grid = [
        {level: [resize(each, (sides[level],) * 2) for each in found[level]] for level in sides}
        for found in (query, support)
    ]
    with torch.no_grad():
        got, expected = head(query, support, torch.ones(1, 8, 8)), head(*on_grid, torch.ones(1, 8, 8))
    assert torch.equal(got, expected)


@pytest.mark.parametrize(
    ("affinity", "widths"),
    [
        ("pascal", [128, 128, 64]),
        ("coco", [128, 96, 64]),
        ("fss", [192, 128, 64]),
        ([True, False, False], [192, 96, 48]),
    ],
)
def test_affinity(affinity: Any, widths: list[int]) -> None:
    head = VATHead(FEATURES, affinity, side=64)
    assert [len(stage[0].transformer.norm.weight) for stage in head.ours.swin_decoder] == widths
    flags = AFFINITY[affinity] if isinstance(affinity, str) else tuple(affinity)
    used = [all(p.requires_grad for p in each.parameters()) for each in head.ours.proj_query_feat]
    assert tuple(used) == flags


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"affinity": "cocoo"}, "unknown affinity 'cocoo': did you mean 'coco'"),
        ({"affinity": [True, False]}, r"pascal, coco, fss or three bools; got \[True, False\]"),
        ({"affinity": [1, 0, 1]}, "three bools"),
        ({"affinity": None}, "three bools; got None"),
        ({"side": 96}, r"multiple of 64 \(published: 128\); got 96"),
        ({"side": 0}, "got 0"),
        ({"side": 64.0}, "got 64.0"),
        ({"depth": 3}, "does not take these options .depth"),
    ],
)
def test_options_that_can_not_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        hmseg.build_network("vat", backbone="mobilenet_v2", **options)


def test_a_missing_level() -> None:
    with pytest.raises(ConfigError, match=r"levels \[1, 2, 3, 4\]; the backbone lacks \[1\]"):
        VATHead(FEATURES[1:])


def test_the_command_line_builds_the_published_head() -> None:
    config = OmegaConf.load(CONF / "model/vat.yaml")
    head: VATHead = instantiate(config)(FEATURES)
    assert head.sides == {4: 16, 3: 32, 2: 64, 1: 128}
    assert head.ours.affinity == AFFINITY["pascal"]
    for data in AFFINITY:
        recipe = OmegaConf.load(CONF / f"recipe/vat_{data}.yaml")
        assert recipe.model.affinity == data
