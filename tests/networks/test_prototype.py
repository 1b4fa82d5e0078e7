"""The training-free head against its description, position by position."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

import hmseg
from hmseg.errors import ConfigError
from hmseg.masking import build_masking
from hmseg.networks import FewShotNetwork, PrototypeHead
from hmseg.networks.kept import keep_support, segment
from hmseg.networks.parts import QuerySegmenter, SupportEncoder, WholeNetwork, kept_names
from tiny import TinyBackbone

Vector = NDArray[np.float64]


def unit(vector: Vector) -> Vector:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def joined(maps: list[Tensor], plane: tuple[int, int]) -> list[Vector]:
    """A vector for each position: unit vectors of all maps side by side, and that a unit vector."""
    resized = [
        F.normalize(F.interpolate(each.double(), plane, mode="bilinear", align_corners=True), dim=1)[0]
        for each in maps
    ]
    stacked = torch.cat(resized).flatten(1).T.numpy()
    return [unit(row) for row in stacked]


def background(at: Vector, others: list[Vector], weights: list[float], sharpness: float) -> float:
    """The cosine of a position to the weighted mean of others."""
    if sharpness == 0:
        mean = sum((w * other for w, other in zip(weights, others, strict=True)), np.zeros_like(at))
        return float(at @ unit(mean))
    shares = [(w + 1e-6) * math.exp(sharpness * float(at @ o)) for w, o in zip(weights, others, strict=True)]
    mean = sum((s * o for s, o in zip(shares, others, strict=True)), np.zeros_like(at)) / sum(shares)
    return float(at @ unit(mean))


def slow_margin(query: list[Vector], shown: list[Vector], cover: list[float], o: dict[str, float]) -> Vector:
    """Steps 2 to 6 of the head's description."""
    outside = [1 - each for each in cover]
    prototype = unit(sum(c * each for c, each in zip(cover, shown, strict=True)))
    behind = [background(q, shown, outside, o["background_sharpness"]) for q in query]
    margin = np.array([q @ prototype for q in query]) - behind
    sure = np.maximum(margin - o["certain"] * margin.max(), 0)
    if margin.max() > 0:
        own = unit(sum(s * q for s, q in zip(sure / sure.sum(), query, strict=True)))
        prototype = unit((1 - o["self_support"]) * prototype + o["self_support"] * own)
    margin = np.array([q @ prototype for q in query]) - behind
    doubt = np.maximum(-margin, 0)
    doubt = doubt / max(doubt.max(), 1e-6)
    mine = [background(q, query, list(doubt), o["background_sharpness"]) for q in query]
    share = o["own_background"]
    mixed = (1 - share) * np.array(behind) + share * np.array(mine)
    margin = np.array([q @ prototype for q in query]) - mixed
    return margin - o["threshold"] * max(float(margin.max()), 0)


def episode(shots: int, size: tuple[int, int] = (48, 64)) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    masks = torch.zeros(1, shots, *size, dtype=torch.bool)
    masks[..., 10:30, 8:40] = True
    return (
        torch.randn(1, 3, *size, generator=generator),
        torch.randn(1, shots, 3, *size, generator=generator),
        masks,
    )


OPTIONS = [
    {},
    {"background_sharpness": 0.0, "threshold": 0.3},
    {"self_support": 0.7, "certain": 0.2, "own_background": 0.0, "background_sharpness": 3.0},
]


@pytest.mark.parametrize("shots", [1, 3])
@pytest.mark.parametrize("options", OPTIONS)
def test_margins_are_those_of_the_description(shots: int, options: dict[str, float]) -> None:
    backbone = TinyBackbone()
    head = PrototypeHead(backbone.feature_info, maps=(0, 0, 1, 1), **options)
    network = FewShotNetwork(backbone, build_masking("none"), head, join_shots=True).eval()
    query, supports, masks = episode(shots)
    plane = (6, 8)  # of stride 8
    q = joined([backbone(query)[2], backbone(query)[3]], plane)
    shown: list[Vector] = []
    cover: list[float] = []
    for k in range(shots):
        maps = backbone(supports[:, k])
        shown += joined([maps[2], maps[3]], plane)
        cover += F.avg_pool2d(masks[:, k].float(), 8).flatten().tolist()
    used = {"background_sharpness": 5.0, "self_support": 0.3, "certain": 0.5, "own_background": 0.6}
    expected = slow_margin(q, shown, cover, {**used, "threshold": 0.0, **options})
    levels = network.encode(query, supports[0], masks[0].float())
    if shots == 1:
        logits = head(*levels, masks[0].float())
        found = (logits[:, 1] / 20.0).flatten()
        torch.testing.assert_close(found.double(), torch.from_numpy(expected), rtol=1e-4, atol=1e-5)
    wanted = torch.from_numpy(expected).view(1, 1, *plane)
    resized = F.interpolate(wanted, query.shape[-2:], mode="bilinear", align_corners=True)
    logits = network(query, supports, masks)
    assert logits.shape == (1, 1, 2, 48, 64) and logits[:, :, 0].eq(0).all()
    torch.testing.assert_close(logits[:, :, 1].double() / 20, resized, rtol=1e-4, atol=1e-5)


def test_nothing_is_learned_and_the_object_is_found_again() -> None:
    network = hmseg.build_network("prototype", "feature", "mobilenet_v2", weights="bundled")
    assert not [name for name, each in network.named_parameters() if each.requires_grad]
    image = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 0.1
    image[..., 40:90, 30:80] += 2.0
    mask = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    mask[..., 40:90, 30:80] = True
    found = network.predict(image, image[:, None], mask)[0]
    assert (found & mask[0, 0]).sum() / (found | mask[0, 0]).sum() > 0.6


@pytest.mark.parametrize("masking", ["none", "feature", "input", "hybrid"])
def test_supports_kept_or_exported_in_parts_give_the_same(masking: str) -> None:
    backbone = TinyBackbone()
    network = FewShotNetwork(
        backbone, build_masking(masking), PrototypeHead(backbone.feature_info), join_shots=True
    ).eval()
    query, supports, masks = episode(shots=2)
    whole = network(query, supports, masks)
    kept = [keep_support(network, *pair) for pair in zip(supports[0], masks[0], strict=True)]
    torch.testing.assert_close(segment(network, network.encode_query(query), kept, (48, 64)), whole)
    with torch.no_grad():
        encoded = SupportEncoder(network)(supports, masks)
        assert len(encoded) == len(kept_names(network)) == 2 * 3 + 1
        torch.testing.assert_close(QuerySegmenter(network)(query, *encoded), whole)
        torch.testing.assert_close(WholeNetwork(network)(query, supports, masks), whole)


def test_hybrid_masking_fills_only_where_the_object_is() -> None:
    """Masked maps make the object's prototype alone: the background is of the plain image."""
    backbone = TinyBackbone()
    head = PrototypeHead(backbone.feature_info)
    query, supports, masks = episode(shots=1)
    for masking in ("feature", "hybrid"):
        network = FewShotNetwork(backbone, build_masking(masking), head, join_shots=True).eval()
        levels = network.encode(query, supports[0], masks[0].float())[1]
        for level, count in ((3, 2), (4, 1)):
            plain = [m for m, info in zip(backbone(supports[0]), backbone.feature_info, strict=True)
                     if info.level == level]  # fmt: skip
            assert len(levels[level]) == 2 * count
            for found, expected in zip(levels[level][count:], plain, strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"self_support": 1.5}, r"model\.self_support: expected 0 to 1, got 1\.5"),
        ({"background_sharpness": -1}, r"model\.background_sharpness: expected 0 to inf, got -1"),
        ({"scale": 0}, r"model\.scale: expected a number above 0, got 0"),
        ({"maps": (0, 0, 2)}, r"model\.maps: expected a count for each of levels 1 to 4, got \[0, 0, 2\]"),
        ({"maps": (3, 0, 0, 0)}, r"leaves no map of this backbone, which has \[0, 1, 2, 1\] maps"),
    ],
)
def test_what_it_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PrototypeHead(TinyBackbone().feature_info, **options)


def test_objects_that_fill_or_miss_the_image_give_finite_logits() -> None:
    backbone = TinyBackbone()
    network = FewShotNetwork(
        backbone, build_masking("feature"), PrototypeHead(backbone.feature_info), join_shots=True
    )
    query, supports, masks = episode(shots=1)
    for mask in (torch.ones_like(masks), torch.zeros_like(masks)):
        assert network(query, supports, mask).isfinite().all()
