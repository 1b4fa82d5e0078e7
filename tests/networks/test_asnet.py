"""ASNet against the published code's outputs, and on sizes that the published code can't take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import hmseg
import reference
from hmseg.backbones import FeatureInfo
from hmseg.correlation import hypercorrelation
from hmseg.masking import MASKINGS, build_masking
from hmseg.networks.asnet import ASNetHead
from hmseg.networks.fewshot import Levels

REFERENCES = ("asnet_none_resnet50_400", "asnet_hybrid_resnet50_400", "asnet_hybrid_vgg16_400")


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_outputs(shared: Path, name: str) -> None:
    config, arrays = reference.load(shared / "reference" / f"{name}.npz")
    network = hmseg.build_network("asnet", config["masking"], config["backbone"])
    hmseg.load_published(network, reference.state_dict(network, config.get("salt", 0)))
    shots = config.get("shot", 1)
    episode = reference.inputs(config["batch"], shots, config["size"], config["seed"], config["radius"])
    with torch.no_grad():
        logits = network(*episode)
    stride = config["stride"]
    expected = torch.from_numpy(arrays["logits"])
    error = (logits[:, 0, :, ::stride, ::stride] - expected).norm() / expected.norm()
    assert error < 1e-4
    if "vote" in arrays:
        differs = hmseg.vote(logits)[:, ::stride, ::stride] != torch.from_numpy(arrays["vote"]).bool()
        margin = (logits[:, :, 1] - logits[:, :, 0]).abs().amin(dim=1)[:, ::stride, ::stride]
        assert (margin[differs] < 1e-5).all()


def test_all_references_are_tested(shared: Path) -> None:
    assert {path.stem for path in (shared / "reference").glob("asnet_*.npz")} == set(REFERENCES)


def features(*counts: int) -> list[FeatureInfo]:
    """So many maps at levels 2, 3 and 4; the head asks for no more."""
    return [
        FeatureInfo(level, 3, 2 ** (level + 1))
        for level, count in zip((2, 3, 4), counts, strict=True)
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("counts", "parameters"),
    [((4, 6, 3), 1_320_610), ((4, 23, 3), 1_354_610), ((3, 3, 1), 1_310_146)],
    ids=["resnet50", "resnet101", "vgg16"],
)
def test_learnable_parameters(counts: tuple[int, ...], parameters: int) -> None:
    assert sum(p.numel() for p in ASNetHead(features(*counts)).parameters()) == parameters


def test_names_and_shapes(shared: Path) -> None:
    listed = (shared / "reference/asnet_parameters.txt").read_text().splitlines()
    ours = ASNetHead(features(4, 6, 3)).state_dict()
    shapes = {f"learner.{name}": str(tuple(value.shape)) for name, value in ours.items()}
    assert shapes == dict(line.split("\t") for line in listed)


ROUNDING: dict[str, Callable[[int, int], int]] = {
    "up": lambda side, stride: -(-side // stride),  # ResNets and MobileNetV2
    "down": lambda side, stride: side // stride,  # VGG-16
}


def small_head() -> ASNetHead:
    """The head for one map of few channels per level."""
    return ASNetHead(features(1, 1, 1)).eval()


def maps(
    head: ASNetHead, size: tuple[int, int], support: bool, rounding: str = "up", count: int = 1
) -> Levels:
    """Maps of noise, in the planes that an image of ``size`` has."""
    levels = {}
    for level in head.levels:
        plane = (ROUNDING[rounding](side, 2 ** (level + 1)) for side in size)
        noise = torch.randn(count, 3, *plane)
        levels[level] = [head.before_masking(noise, level, build_masking("none")) if support else noise]
    return levels


def left_half(size: tuple[int, int], count: int = 1) -> Tensor:
    mask = torch.zeros(count, *size)
    mask[..., : size[1] // 2] = 1
    return mask


@pytest.mark.parametrize("rounding", ROUNDING)
@pytest.mark.parametrize(
    ("query", "support"),
    [
        ((32, 32), (32, 32)),
        ((96, 96), (96, 96)),
        ((128, 128), (128, 128)),
        ((240, 240), (240, 240)),
        ((32, 32), (400, 400)),
        ((64, 32), (417, 473)),
        ((33, 65), (640, 96)),
        ((128, 96), (67, 1000)),
        ((200, 300), (32, 50)),
    ],
)
def test_any_image_size(query: tuple[int, int], support: tuple[int, int], rounding: str) -> None:
    head = small_head()
    with torch.no_grad():
        logits = head(
            maps(head, query, False, rounding), maps(head, support, True, rounding), left_half(support)
        )
    plane = (2 * ROUNDING[rounding](side, 8) for side in query)
    assert logits.shape == (1, 2, *plane)
    assert logits.isfinite().all()


@pytest.mark.parametrize("size", [(400, 400), (417, 417), (473, 473)])
def test_published_training_sizes(size: tuple[int, int]) -> None:
    head = small_head()
    with torch.no_grad():
        logits = head(maps(head, size, False), maps(head, size, True), left_half(size))
    assert logits.shape == (1, 2, *(2 * -(-side // 8) for side in size))


def published_forward(head: ASNetHead, query: Levels, support: Levels, masks: Tensor) -> Tensor:
    """Without the two additions, for square images: what is left must be one position, or this fails."""

    def over_query(x: Tensor, side: int) -> Tensor:
        """(N, C, h, w, 1, 1) to another query plane."""
        assert x.shape[4:] == (1, 1)
        resized = torch.nn.functional.interpolate(
            x[..., 0, 0], (side, side), mode="bilinear", align_corners=True
        )
        return resized[..., None, None]

    squeezed4, squeezed3, squeezed2 = (
        encoder(hypercorrelation(query[level], support[level]), masks)
        for level, encoder in ((4, head.encoder_layer4), (3, head.encoder_layer3), (2, head.encoder_layer2))
    )
    squeezed4 = squeezed4.mean(dim=(-1, -2), keepdim=True)
    mixed = head.encoder_layer4to3(over_query(squeezed4, squeezed3.shape[2]) + squeezed3, masks)
    mixed = head.encoder_layer3to2(over_query(mixed, squeezed2.shape[2]) + squeezed2, masks)
    assert mixed.shape[4:] == (1, 1)
    return head.decoder2(head.upsample(head.decoder1(mixed[..., 0, 0])))


@pytest.mark.parametrize(
    ("side", "rounding"),
    [(393, "up"), (400, "up"), (417, "up"), (473, "up"), (512, "up"), (400, "down"), (519, "down")],
)
def test_nothing_is_added_where_the_published_head_works(side: int, rounding: str) -> None:
    head = small_head()
    query, support = maps(head, (80, 80), False), maps(head, (side, side), True, rounding)
    mask = left_half((side, side))
    with torch.no_grad():
        expected = published_forward(head, query, support, mask)
        torch.testing.assert_close(head(query, support, mask), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("side", "rounding"), [(128, "up"), (392, "up"), (513, "up"), (399, "down"), (520, "down")]
)
def test_the_published_head_fails_elsewhere(side: int, rounding: str) -> None:
    head = small_head()
    query, support = maps(head, (80, 80), False), maps(head, (side, side), True, rounding)
    with pytest.raises((AssertionError, RuntimeError)):
        published_forward(head, query, support, left_half((side, side)))


@pytest.mark.parametrize("plane", [(7, 49), (80, 49), (6, 50), (7, 51)])
def test_wide_support_maps_are_pooled(plane: tuple[int, int]) -> None:
    height, width = plane
    support = torch.randn(1, 2, *plane)
    before = support.clone()
    pooled = small_head().before_masking(support, 2, build_masking("hybrid"))
    assert torch.equal(support, before)
    if width < 50:
        assert pooled is support
        return
    assert pooled.shape == (1, 2, (height + 1) // 2, (width + 1) // 2)
    for i in range(pooled.shape[2]):
        for j in range(pooled.shape[3]):
            window = support[0, :, max(0, 2 * i - 1) : 2 * i + 2, max(0, 2 * j - 1) : 2 * j + 2]
            torch.testing.assert_close(pooled[0, :, i, j], window.sum(dim=(1, 2)) / 9)


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "vgg16"])
def test_with_a_backbone(backbone: str) -> None:
    network = hmseg.build_network("asnet", "hybrid", backbone)
    for size in ((32, 32), (101, 67)):
        with torch.no_grad():
            logits = network(torch.randn(1, 3, *size), torch.randn(1, 1, 3, *size), left_half(size)[None])
        assert logits.shape == (1, 1, 2, *size)
        assert logits.isfinite().all()


def test_each_shot_is_what_it_would_be_alone() -> None:
    head = small_head()
    query, support = maps(head, (64, 64), False, count=2), maps(head, (96, 96), True, count=6)
    masks = left_half((96, 96), count=6)
    masks[1::2] = masks[1::2].transpose(1, 2).clone()
    masks[4] = 0  # an empty mask is no reason to change the others
    with torch.no_grad():
        together = head(query, support, masks)
        for n in range(6):
            alone = head(
                {level: [m[n // 3 : n // 3 + 1] for m in each] for level, each in query.items()},
                {level: [m[n : n + 1] for m in each] for level, each in support.items()},
                masks[n : n + 1],
            )
            torch.testing.assert_close(together[n : n + 1], alone, rtol=1e-4, atol=1e-5)


def test_every_parameter_learns_and_nothing_given_is_changed() -> None:
    head = small_head().train()
    query, support, masks = maps(head, (64, 64), False), maps(head, (160, 160), True), left_half((160, 160))
    given = [*(m for each in (query, support) for level in each.values() for m in level), masks]
    copies = [tensor.clone() for tensor in given]
    head(query, support, masks).square().mean().backward()
    assert all(torch.equal(a, b) for a, b in zip(given, copies, strict=True))
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        # A softmax doesn't see what is added to all keys alike: the gradient is 0 but for rounding. Nor does
        # it see anything of a single key, as level 4's last layer has of supports below 129 px.
        assert parameter.grad.abs().max() > 0 or name.endswith("khead.bias"), name


def test_masking_and_the_attention_mask_change_the_result() -> None:
    images = torch.randn(1, 3, 64, 64), torch.randn(1, 1, 3, 64, 64)
    mask = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    mask[..., 10:40, 10:30] = True
    logits = {}
    for name in MASKINGS:
        torch.manual_seed(0)
        network = hmseg.build_network("asnet", name, "mobilenet_v2", weights="bundled")
        with torch.no_grad():
            logits[name] = network(*images, mask)
            if name == "none":  # where masks reach the attention only
                logits["none, another mask"] = network(*images, mask.transpose(2, 3).roll(20, dims=3))
    names = list(logits)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            assert (logits[first] - logits[second]).abs().max() > 1e-4, (first, second)


def test_bfloat16() -> None:
    head = small_head()
    query, support, masks = maps(head, (64, 64), False), maps(head, (64, 64), True), left_half((64, 64))
    with torch.no_grad():
        expected = head(query, support, masks)
        with torch.autocast("cpu", torch.bfloat16):
            got = head(query, support, masks)
    assert (got - expected).norm() < 0.05 * expected.norm()
