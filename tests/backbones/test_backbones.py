"""Backbones: what their maps are, that they stay frozen, and where weights come from."""

from __future__ import annotations

import hashlib
import io
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

import hmseg
from hmseg.backbones import BACKBONES, build_backbone
from hmseg.errors import ConfigError, WeightsError
from hmseg.weights import BUNDLED, IMAGENET

COUNTS = {  # maps at levels 1, 2, 3, 4
    "vgg16": (1, 3, 3, 1),
    "resnet50": (1, 4, 6, 3),
    "resnet50_caffe": (1, 4, 6, 3),
    "resnet101": (1, 4, 23, 3),
    "mobilenet_v2": (1, 3, 7, 4),
    "efficientnet_lite0": (1, 2, 6, 5),
    "efficientnet_lite1": (1, 3, 8, 6),
    "efficientnet_lite2": (1, 3, 8, 6),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_maps_are_as_described(name: str) -> None:
    backbone = build_backbone(name)
    maps = backbone(torch.randn(2, 3, 64, 96))
    levels = [info.level for info in backbone.feature_info]
    assert tuple(levels.count(level) for level in (1, 2, 3, 4)) == COUNTS[name]
    for info, m in zip(backbone.feature_info, maps, strict=True):
        assert m.shape == (2, info.channels, 64 // info.stride, 96 // info.stride)
        assert m.min() < 0 or (
            name == "vgg16" and info.level == 4
        )  # before the ReLU; VGG's last is a max-pool


@pytest.mark.parametrize("name", BACKBONES)
def test_frozen_even_in_training(name: str) -> None:
    backbone = build_backbone(name)
    backbone.train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    images = torch.randn(2, 3, 64, 64)
    copy = images.clone()
    maps = backbone(images)
    assert not any(module.training for module in backbone.modules())
    assert not any(m.requires_grad for m in maps)
    assert not any(p.requires_grad for p in backbone.parameters())
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    assert torch.equal(images, copy)


def hooked(
    net: nn.Module, modules: list[nn.Module], images: torch.Tensor, inputs: bool
) -> list[torch.Tensor]:
    """What torchvision's own forward pass feeds into, or gets from, each of the modules the last time."""
    seen: dict[nn.Module, torch.Tensor] = {}

    def keep(module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        seen[module] = (args[0] if inputs else output).clone()

    handles = [module.register_forward_hook(keep) for module in modules]
    with torch.no_grad():
        net(images)
    for handle in handles:
        handle.remove()
    return [seen[module] for module in modules]


def test_resnet_maps_are_the_sums_before_the_last_relu() -> None:
    net = torchvision.models.resnet50().eval()
    backbone = build_backbone("resnet50")
    backbone.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("fc.")})
    blocks = [net.layer1[-1], *net.layer2, *net.layer3, *net.layer4]
    images = torch.randn(1, 3, 64, 64)
    outputs = hooked(net, blocks, images, inputs=False)  # after the ReLU
    for ours, after in zip(backbone(images), outputs, strict=True):
        assert (F.relu(ours) - after).norm() < 1e-5 * after.norm()  # batch norm is folded
        assert ours.min() < 0


@pytest.mark.parametrize(
    ("name", "taken"), [("vgg16", (14, 17, 19, 21, 24, 26, 28, 30)), ("mobilenet_v2", (3, *range(4, 18)))]
)
def test_sequential_maps_are_outputs_of_the_named_modules(name: str, taken: tuple[int, ...]) -> None:
    net = getattr(torchvision.models, name)().eval()
    backbone = build_backbone(name)
    own = backbone.state_dict()
    backbone.load_state_dict({k: v for k, v in net.state_dict().items() if k in own})
    images = torch.randn(1, 3, 64, 64)
    expected = hooked(net, [net.features[i] for i in taken], images, inputs=False)
    for ours, theirs in zip(backbone(images), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_caffe_strides_sit_in_the_1x1_convolutions() -> None:
    backbone: Any = build_backbone("resnet50_caffe")
    usual: Any = build_backbone("resnet50")
    for layer in ("layer2", "layer3", "layer4"):
        first, usual_first = getattr(backbone, layer)[0], getattr(usual, layer)[0]
        assert (first.conv1.stride, first.conv2.stride) == ((2, 2), (1, 1))
        assert (usual_first.conv1.stride, usual_first.conv2.stride) == ((1, 1), (2, 2))
        assert first.downsample[0].stride == (2, 2)
    assert backbone.state_dict().keys() == usual.state_dict().keys()


def test_bundled_weights_are_torchvisions_own(shared: Path) -> None:
    published = torch.load(shared / "weights/mobilenet_v2-b0353104.pth", weights_only=True)
    backbone = build_backbone("mobilenet_v2", "bundled")
    assert backbone.weights_origin == "bundled"
    for name, value in backbone.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        expected = published[name].half().float() if value.ndim == 4 else published[name]
        assert torch.equal(value, expected), name
    assert "BSD 3-Clause" in (resources.files("hmseg") / "assets" / "LICENSE.torchvision").read_text()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("vgg16", "vgg16_features.pth"),
        ("resnet50_caffe", "resnet50_v1_caffe.pth"),
        ("mobilenet_v2", "mobilenet_v2-b0353104.pth"),
    ],
)
def test_real_weight_files_load(shared: Path, name: str, file: str) -> None:
    backbone = build_backbone(name, str(shared / "weights" / file))
    assert backbone.weights_origin == "file"
    maps = backbone(torch.randn(1, 3, 64, 64))
    assert all(m.dtype == torch.float32 and m.isfinite().all() for m in maps)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pth"
    torch.save(torchvision.models.mobilenet_v2().state_dict(), path)
    return path


def damaged(weights: Path, change: Any) -> str:
    state = torch.load(weights, weights_only=True)
    change(state)
    torch.save(state, weights)
    return str(weights)


def test_a_file_with_or_without_classifier_and_in_half_precision(weights: Path) -> None:
    def strip(state: dict[str, torch.Tensor]) -> None:
        for key in list(state):
            if key.startswith(("classifier.", "features.18.")) or key.endswith("num_batches_tracked"):
                del state[key]
            elif state[key].is_floating_point():
                state[key] = state[key].half()

    full = build_backbone("mobilenet_v2", str(weights))
    stripped = build_backbone("mobilenet_v2", damaged(weights, strip))
    for name, value in stripped.state_dict().items():
        torch.testing.assert_close(value, full.state_dict()[name].half().to(value.dtype))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("features.4.conv.1.0.weight"), "features.4.conv.1.0.weight is missing"),
        (lambda s: s.update({"features.4.conv.3.bias": torch.zeros(3)}), r"is \(3,\) instead of \(32,\)"),
        (lambda s: s.update({"layer1.0.weight": torch.zeros(3)}), "layer1.0.weight is unexpected"),
        (lambda s: s["features.0.0.weight"].fill_(float("nan")), "features.0.0.weight holds NaN"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(weights: Path, change: Any, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        build_backbone("mobilenet_v2", damaged(weights, change))


def test_a_deeper_network_is_not_taken_for_a_shallower_one(tmp_path: Path) -> None:
    path = tmp_path / "r101.pth"
    torch.save(build_backbone("resnet101").state_dict(), path)
    with pytest.raises(WeightsError, match="layer3.6.*is unexpected"):
        build_backbone("resnet50", str(path))


def test_truncated_missing_and_foreign_files(weights: Path, tmp_path: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="truncated"):
        build_backbone("mobilenet_v2", str(weights))
    with pytest.raises(WeightsError, match=r"no weights at .*imagnet.*'imagenet'"):
        build_backbone("mobilenet_v2", str(tmp_path / "imagnet"))
    torch.save([1, 2], weights)
    with pytest.raises(WeightsError, match="holds no state dict"):
        build_backbone("mobilenet_v2", str(weights))
    torch.save({"x": io.StringIO}, weights)  # needs unpickling of a class: refused
    with pytest.raises(WeightsError, match="more than tensors"):
        build_backbone("mobilenet_v2", str(weights))


@pytest.mark.parametrize("name", sorted(set(BACKBONES) - set(BUNDLED)))
def test_others_are_not_bundled(name: str) -> None:
    with pytest.raises(WeightsError, match=f"no weights of {name} are bundled"):
        build_backbone(name, "bundled")


def test_imagenet_means_v1_and_a_failed_download_names_the_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise URLError("no route")

    assert all(weights.name == "IMAGENET1K_V1" for weights in IMAGENET.values())
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(WeightsError) as caught:
        build_backbone("resnet50", "imagenet")
    message = str(caught.value)
    assert "\n" not in message
    assert (
        "resnet50-0676ba61.pth" in message
        and "backbone.weights=PATH" in message
        and "mobilenet_v2" in message
    )
    with pytest.raises(WeightsError, match="no download.*resnet50_caffe"):
        build_backbone("resnet50_caffe", "imagenet")


def test_imagenet_is_taken_from_torchs_download_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared: Path
) -> None:
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    file = shared / "weights/mobilenet_v2-b0353104.pth"
    assert hashlib.sha256(file.read_bytes()).hexdigest().startswith("b0353104")
    (cache / file.name).symlink_to(file)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    assert build_backbone("mobilenet_v2", "imagenet").weights_origin == "imagenet"


def test_unknown_backbone() -> None:
    with pytest.raises(ConfigError, match="did you mean 'resnet50'"):
        hmseg.build_backbone("resnet5O")
