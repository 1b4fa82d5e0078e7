"""Where backbone weights come from: torchvision's download cache, a file, the package itself, or nowhere."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn

from hmseg.errors import WeightsError

# Always IMAGENET1K_V1, never DEFAULT: the published numbers were made with V1.
IMAGENET: Mapping[str, torchvision.models.WeightsEnum] = {
    "vgg16": torchvision.models.VGG16_Weights.IMAGENET1K_V1,
    "resnet50": torchvision.models.ResNet50_Weights.IMAGENET1K_V1,
    "resnet101": torchvision.models.ResNet101_Weights.IMAGENET1K_V1,
    "mobilenet_v2": torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1,
}
BUNDLED: Mapping[str, str] = {"mobilenet_v2": "mobilenet_v2_features.pt"}


def load_weights(net: nn.Module, name: str, weights: str, unused: tuple[str, ...] = ()) -> str:
    """Load weights into a backbone, strictly.

    Args:
        net: the backbone, changed in place.
        name: its name, which says what ``imagenet`` and ``bundled`` mean.
        weights: ``random`` (leave it as it is), ``imagenet``, ``bundled`` or a file.
        unused: prefixes of keys that the features don't need (a classifier): absent or present, no matter.

    Returns:
        The origin: ``random``, ``imagenet``, ``bundled`` or ``file``.

    Raises:
        WeightsError: they can't be fetched, found or loaded, or belong to another network.
    """
    if weights == "random":
        return weights
    if weights == "imagenet":
        state, label, origin = _download(name), f"ImageNet weights of {name}", weights
    elif weights == "bundled":
        state, label, origin = _bundled(name), f"bundled weights of {name}", weights
    else:
        state, label, origin = read_state_dict(Path(weights).expanduser()), str(weights), "file"
    _load_strictly(net, state, label, name, unused)
    return origin


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """A flat state dict from a file, read ``weights_only``: a file can't run code.

    Raises:
        WeightsError: no such file, damaged, holding anything but tensors by name, or NaN.
    """
    if not path.is_file():
        options = "a file, 'imagenet', 'bundled' (mobilenet_v2 only) or 'random'"
        raise WeightsError(f"no weights at '{path}': backbone.weights takes {options}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"'{path}' can't be read as PyTorch weights ({reason}): it may be truncated or hold more than "
            "tensors; fetch it again"
        ) from error
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"'{path}' holds no state dict (tensors by name); give a file saved from one")
    return state


def _download(name: str) -> dict[str, Tensor]:
    if name not in IMAGENET:
        raise WeightsError(
            f"there is no download of ImageNet weights for {name}: give the file, backbone.weights=PATH"
        )
    try:
        state = IMAGENET[name].get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        url = IMAGENET[name].url
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise WeightsError(
            f"could not download the ImageNet weights of {name} ({error}): put {url} into {folder}, "
            "give a file as backbone.weights=PATH, or take backbone=mobilenet_v2, whose weights are bundled"
        ) from error
    return dict(state)


def _bundled(name: str) -> dict[str, Tensor]:
    if name not in BUNDLED:
        raise WeightsError(
            f"no weights of {name} are bundled (only of {', '.join(BUNDLED)}): "
            "take backbone.weights=imagenet or a file"
        )
    with resources.as_file(resources.files("hmseg") / "assets" / BUNDLED[name]) as path:
        return read_state_dict(path)


def _load_strictly(
    net: nn.Module, state: Mapping[str, Tensor], label: str, name: str, unused: tuple[str, ...]
) -> None:
    """Every key that the features need, of its shape and finite; nothing else but a classifier's."""
    own = {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    given = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    problems = [f"{key} is missing" for key in own if key not in given]
    problems += [f"{key} is unexpected" for key in given if key not in own and not key.startswith(unused)]
    for key in own.keys() & given.keys():
        if own[key].shape != given[key].shape:
            problems.append(f"{key} is {tuple(given[key].shape)} instead of {tuple(own[key].shape)}")
        elif not given[key].isfinite().all():
            problems.append(f"{key} holds NaN or infinity")
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise WeightsError(f"{label} do not fit backbone {name}: {'; '.join(problems[:3])}{more}")
    net.load_state_dict({key: given[key] for key in own}, strict=False)  # buffers aside, all checked above
