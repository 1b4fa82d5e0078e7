"""timm's networks as backbones: what their maps are, which networks and sizes are refused, and weights."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from hydra.utils import instantiate
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

import hmseg
from hmseg.backbones_timm import TimmBackbone, block_taps, build_timm_backbone
from hmseg.config import compose
from hmseg.errors import ConfigError, WeightsError
from hmseg.imagenet import IMAGENET_MEAN, IMAGENET_STD
from hmseg.masking import MASKINGS

STAGED = {  # levels, shallow to deep; the small ones are timm's own test networks
    "test_convnext": (1, 2, 3, 4),
    "test_resnet": (1, 2, 3, 4),
    "test_efficientnet": (1, 2, 3, 4),
    "swin_s3_tiny_224": (1, 2, 3, 4),  # its own maps are (N, h, w, C)
    "csatv2": (2, 2, 3, 4),  # two maps of stride 8, none of stride 4
}
PLAIN = {"test_vit": 16, "vit_tiny_patch16_224": 16, "eva02_tiny_patch14_224": 14, "test_vit_relpos": 16}


@pytest.mark.parametrize("name", [*STAGED, *PLAIN])
def test_maps_are_as_described(name: str) -> None:
    size = 64 if PLAIN.get(name) != 14 else 70
    backbone = build_timm_backbone(name, image_size=size)
    maps = backbone(torch.randn(2, 3, size, size))
    for info, m in zip(backbone.feature_info, maps, strict=True):
        assert m.shape == (2, info.channels, size // info.stride, size // info.stride)
        assert m.isfinite().all()
    if name in STAGED:
        assert tuple(info.level for info in backbone.feature_info) == STAGED[name]
        assert all(info.stride == 2 ** (info.level + 1) for info in backbone.feature_info)
    else:
        assert {info.stride for info in backbone.feature_info} == {PLAIN[name]}
        assert {info.level for info in backbone.feature_info} == {1, 2, 3, 4}


@pytest.mark.parametrize("name", ["test_convnext", "test_vit"])
def test_frozen_even_in_training(name: str) -> None:
    backbone = build_timm_backbone(name).train()
    images = torch.randn(1, 3, 64, 64)
    copy = images.clone()
    maps = backbone(images)
    assert not any(module.training for module in backbone.modules())
    assert not any(m.requires_grad for m in maps)
    assert not any(p.requires_grad for p in backbone.parameters())
    assert torch.equal(images, copy)
    assert all(key.startswith("net.") for key in backbone.state_dict())


def with_weights_of(backbone: TimmBackbone, net: nn.Module) -> TimmBackbone:
    own = backbone.net.state_dict()
    backbone.net.load_state_dict({key: value for key, value in net.state_dict().items() if key in own})
    return backbone


def in_halves(images: torch.Tensor) -> torch.Tensor:
    """Images normalised by mean and deviation 0.5, as timm's test networks want them, from ImageNet's."""
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    return ((images * std + mean) - 0.5) / 0.5


def test_stages_are_timms_own_features() -> None:
    net = timm.create_model("test_convnext").eval()
    wrapped = timm.create_model("test_convnext", features_only=True).eval()
    renamed = {
        key.replace("stages.", "stages_").replace("stem.", "stem_"): v for key, v in net.state_dict().items()
    }
    wrapped.load_state_dict({key: renamed[key] for key in wrapped.state_dict()})
    images = torch.randn(1, 3, 64, 96)
    backbone = with_weights_of(build_timm_backbone("test_convnext"), net)
    with torch.no_grad():
        expected = wrapped(in_halves(images))
    for ours, theirs in zip(backbone(images), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_blocks_of_a_vit_are_grids_without_the_class_token() -> None:
    net: Any = timm.create_model("test_vit", img_size=64).eval()
    seen: list[torch.Tensor] = []
    for block in net.blocks:
        block.register_forward_hook(lambda module, args, output: seen.append(net.norm(output)))
    images = torch.randn(2, 3, 64, 64)
    backbone = build_timm_backbone("test_vit", blocks=[[0, 1], [2], [3, 5]])
    grid = 160 // 16  # its position embedding is that of 160 pixels
    small = F.interpolate(
        backbone.net.pos_embed[:, 1:].unflatten(1, (grid, grid)).permute(0, 3, 1, 2),
        (4, 4),
        mode="bicubic",
        antialias=True,
    )
    net.load_state_dict(
        {**net.state_dict(), **{k: v for k, v in backbone.net.state_dict().items() if k != "pos_embed"}}
    )
    net.pos_embed.data = torch.cat((backbone.net.pos_embed[:, :1], small.flatten(2).transpose(1, 2)), dim=1)
    with torch.no_grad():
        net.forward_features(in_halves(images))
    expected = [seen[block][:, 1:].unflatten(1, (4, 4)).permute(0, 3, 1, 2) for block in (0, 1, 2, 3, 5)]
    for ours, theirs in zip(backbone(images), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert [info.level for info in backbone.feature_info] == [2, 2, 3, 4, 4]


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (12, [[2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]),
        (24, [[5], [6, 7, 8, 9, 10, 11], [12, 13, 14, 15, 16, 17], [18, 19, 20, 21, 22, 23]]),
        (6, [[0], [1, 2], [3], [4, 5]]),
    ],
)
def test_blocks_are_quarters_of_the_depth_by_default(depth: int, expected: list[list[int]]) -> None:
    taps = block_taps("vit", [14] * depth)
    assert [[tap.position for tap in taps if tap.level == level] for level in (1, 2, 3, 4)] == expected
    assert block_taps("vit", [14] * depth, expected) == taps


@pytest.mark.parametrize(
    "blocks",
    [[], [[1], [2]], [[0, 1], [2], [3], [4]], [[1], [], [3]], [[3], [2], [1]], [[1], [1], [2]],
     [[1], [2], [12]], [[-1], [2], [3]], [[True], [2], [3]], [["1"], [2], [3]]],
    ids=str,
)  # fmt: skip
def test_groups_that_are_none_are_refused(blocks: list[list[int]]) -> None:
    with pytest.raises(ConfigError, match=r"backbone.blocks: expected ascending blocks .* 0 to 11.* got \["):
        block_taps("vit", [16] * 12, blocks)
    with pytest.raises(ConfigError, match="fewer|expected"):
        block_taps("vit", [16] * 3)


def test_images_are_normalised_as_the_network_wants_them() -> None:
    images = torch.randn(2, 3, 64, 64)
    for name in ("test_vit", "test_efficientnet"):
        backbone = build_timm_backbone(name, image_size=64)
        seen: list[torch.Tensor] = []
        first = next(module for module in backbone.net.modules() if isinstance(module, nn.Conv2d))
        first.register_forward_pre_hook(lambda module, args, seen=seen: seen.append(args[0]))
        backbone(images)
        if name == "test_vit":
            torch.testing.assert_close(seen[0], in_halves(images), rtol=0, atol=2e-6)
        else:
            assert seen[0] is images  # ImageNet's own: nothing is done


@pytest.mark.parametrize(("name", "size", "enlarged"), [("test_convnext", 100, 128), ("test_vit", 65, 80)])
def test_odd_sizes_are_enlarged_to_whole_positions(name: str, size: int, enlarged: int) -> None:
    backbone = build_timm_backbone(name, image_size=size)
    images = torch.randn(1, 3, size, enlarged)
    expected = backbone(F.interpolate(images, (enlarged, enlarged), mode="bilinear"))
    for ours, theirs, info in zip(backbone(images), expected, backbone.feature_info, strict=True):
        assert ours.shape[-2:] == (enlarged // info.stride, enlarged // info.stride)
        torch.testing.assert_close(ours, theirs)


def test_a_network_of_one_size() -> None:
    backbone = build_timm_backbone("efficientformerv2_s0")
    assert [m.shape[-1] for m in backbone(torch.zeros(1, 3, 224, 224))] == [56, 28, 14, 7]
    with pytest.raises(ConfigError, match="built for images of 224 x 224 only, got 96 x 224"):
        backbone(torch.zeros(1, 3, 96, 224))
    with pytest.raises(
        ConfigError, match=r"efficientformerv2_s0 can't take images of 96 x 96 .*224 x 224: give "
    ):
        build_timm_backbone("efficientformerv2_s0", image_size=96)
    changed = build_timm_backbone("test_vit_relpos", image_size=90)  # made for 160; timm changes it to 96
    assert changed(torch.zeros(1, 3, 90, 90))[-1].shape[-1] == 6
    with pytest.raises(ConfigError, match="built for images of 96 x 96 only, got 160 x 160"):
        changed(torch.zeros(1, 3, 160, 160))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("convnxt_tiny", r"unknown timm network 'convnxt_tiny': did you mean 'convnext_tiny'"),
        ("hf-hub:someone/else", "unknown timm network 'hf-hub:someone/else'"),
        ("test_vit.r16", r"unknown timm network 'test_vit.r16': test_vit has 'test_vit.r160_in1k'"),
        (
            "efficientvit_m0",
            "efficientvit_m0 can't be a backbone: it has maps of the strides 16, 32, 64, none of 8",
        ),
        ("nest_tiny", "maps of the strides 4, 8, 16, none of 32"),
    ],
)
def test_networks_that_do_not_serve(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build_timm_backbone(name)
    assert "\n" not in str(caught.value)


def test_blocks_are_for_plain_networks() -> None:
    with pytest.raises(ConfigError, match="backbone.blocks: test_convnext has stages"):
        build_timm_backbone("test_convnext", blocks=[[1], [2], [3]])


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"pip install 'hmseg\[timm\]'"):
        hmseg.build_backbone("timm/test_vit")


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_weights_of_a_file_with_or_without_a_classifier(tmp_path: Path, ending: str) -> None:
    net = timm.create_model("test_resnet")
    state = net.state_dict()
    path = tmp_path / f"weights.{ending}"
    for kept in (state, {key: value for key, value in state.items() if not key.startswith("fc.")}):
        if ending == "pth":
            torch.save(kept, path)
        else:
            save_file(kept, path)
        backbone = build_timm_backbone("test_resnet", str(path))
        assert backbone.weights_origin == "file"
        assert all(torch.equal(value, state[key]) for key, value in backbone.net.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("blocks.3.attn.qkv.weight"), "blocks.3.attn.qkv.weight is missing"),
        (lambda s: s.update({"layer1.0.weight": torch.zeros(3)}), "layer1.0.weight is unexpected"),
        (lambda s: s.update({"norm.bias": torch.zeros(3)}), r"norm.bias is \(3,\) instead of \(64,\)"),
        (lambda s: s["norm.bias"].fill_(float("nan")), "norm.bias holds NaN"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    state = timm.create_model("test_vit").state_dict()
    change(state)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=message):
        build_timm_backbone("test_vit", str(tmp_path / "weights.pth"))


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(WeightsError, match="no weights at"):
        build_timm_backbone("test_vit", str(path))
    path.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{")
    with pytest.raises(WeightsError, match="can't be read as safetensors .*fetch it again"):
        build_timm_backbone("test_vit", str(path))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache, and no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_imagenet_without_a_network_names_the_remedies(hub: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"pretrained weights of test_vit .*backbone.weights=PATH"
    ) as caught:
        build_timm_backbone("test_vit", "imagenet")
    assert "\n" not in str(caught.value)


def test_imagenet_is_taken_from_the_hugging_face_cache(hub: Path) -> None:
    net = timm.create_model("test_vit")
    repository = hub / "models--timm--test_vit.r160_in1k"
    (repository / "snapshots" / "a1").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a1")
    save_file(net.state_dict(), repository / "snapshots" / "a1" / "model.safetensors")
    backbone = build_timm_backbone("test_vit", "imagenet")
    assert backbone.weights_origin == "imagenet"
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in backbone.net.state_dict().items())


@pytest.mark.parametrize("backbone", ["timm/test_convnext", "timm/test_vit"])
@pytest.mark.parametrize("masking", MASKINGS)
def test_every_masking_goes_with_timms_maps(masking: str, backbone: str) -> None:
    network = hmseg.build_network("hsnet", masking, backbone)
    masks = torch.zeros(1, 2, 64, 64, dtype=torch.bool)
    masks[..., 16:48, 16:40] = True
    logits = network(torch.randn(1, 3, 64, 64), torch.randn(1, 2, 3, 64, 64), masks)
    assert logits.shape == (1, 2, 2, 64, 64)
    logits.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.head.parameters())
    assert network.backbone.weights_origin == "random"


def test_built_from_the_configuration() -> None:
    cfg = compose(
        "backbone=timm", "backbone.name=test_vit", "backbone.weights=random", "dataset.image_size=96",
        "backbone.blocks=[[1],[2,3],[4,5]]",
    )  # fmt: skip
    backbone = instantiate(cfg.backbone)
    assert [info.level for info in backbone.feature_info] == [2, 3, 3, 4, 4]
    small = compose("backbone=dinov2_small").backbone
    assert block_taps("default", [14] * 12) == block_taps("YAML", [14] * 12, small.blocks)
    for option in ("timm", "convnext_tiny", "dinov2_small"):
        architecture, _, tag = compose(f"backbone={option}").backbone.name.partition(".")
        assert timm.is_model(architecture) and f"{architecture}.{tag}" in timm.list_pretrained()
