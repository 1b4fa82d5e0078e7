"""timm's networks by name: made, cut behind the last map that is taken, and given their weights."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from hmseg.errors import ConfigError, WeightsError, first_line
from hmseg.state_dicts import listed, misfits
from hmseg.untrusted import parsing
from hmseg.weights import KEPT, read_state_dict

if TYPE_CHECKING:
    from types import ModuleType

_ANY_SIZE: tuple[dict[str, bool], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False})
"""How timm's networks of one size are told to take any; each knows one of them or none."""


def create(name: str, pretrained: bool = False) -> tuple[nn.Module, bool]:
    """A network of timm.

    Args:
        name: timm's, with or without a tag.
        pretrained: fetch its pretrained weights.

    Returns:
        The network, and whether it takes images of any size.

    Raises:
        ConfigError: timm is not installed, or has no such network.
        WeightsError: its weights can't be fetched.
    """
    timm = _timm()
    _check_name(timm, name)
    one_size = timm.get_pretrained_cfg(name).fixed_input_size
    for options in (*_ANY_SIZE, {}) if one_size else ({},):
        try:
            return timm.create_model(name, pretrained=pretrained, **options), bool(options) or not one_size
        except Exception as error:
            if options and isinstance(error, TypeError) and "unexpected keyword" in str(error):
                continue
            if not pretrained:
                raise
            raise WeightsError(
                f"could not get timm's pretrained weights of {name} ({first_line(error)}): give a file as "
                "backbone.weights=PATH, or fetch them into the Hugging Face cache (HF_HOME) with a "
                "network elsewhere and copy it here; HF_HUB_OFFLINE=1 spares the attempts to connect"
            ) from error
    raise AssertionError("the last attempt has no options")


def offered(net: nn.Module, name: str) -> list[dict[str, Any]]:
    """What timm says of each map that a network offers: ``reduction`` and more.

    Raises:
        ConfigError: it offers none.
    """
    info = getattr(net, "feature_info", None)
    if not info or not all(
        hasattr(net, each) for each in ("forward_intermediates", "prune_intermediate_layers")
    ):
        raise ConfigError(f"{name} can't be a backbone: timm offers no intermediate maps of it; take another")
    return list(getattr(info, "info", info))


def cut_and_load(net: nn.Module, name: str, weights: str, indices: Sequence[int], keep_norm: bool) -> str:
    """Cut what lies behind the last map, then load a file's weights strictly for what is left.

    Args:
        net: changed in place.
        name: timm's name, for messages.
        weights: ``random``, ``checkpoint``, ``imagenet`` (both: nothing left to load) or a file.
        indices: the maps that are taken.
        keep_norm: whether the last normalisation is needed.

    Returns:
        The origin: ``random``, ``checkpoint``, ``imagenet`` or ``file``.

    Raises:
        WeightsError: the file can't be read or doesn't fit.
    """
    names = {*net.state_dict(), *(key for key, _ in net.named_buffers())}
    net.prune_intermediate_layers(list(indices), prune_norm=not keep_norm, prune_head=True)  # type: ignore[operator]
    if weights in (*KEPT, "imagenet"):
        return weights
    own = net.state_dict()
    state = read_file(Path(weights).expanduser())
    given = {key: value for key, value in state.items() if key in own or key not in names}  # no classifier
    counters = {key for key in own.keys() | given.keys() if key.endswith("num_batches_tracked")}
    wanted = {key: value for key, value in own.items() if key not in counters}
    given = {key: value for key, value in given.items() if key not in counters}
    if problems := misfits(wanted, given):
        raise WeightsError(f"{weights} does not fit backbone {name}: {listed(problems)}")
    net.load_state_dict(given, strict=False)  # counters aside, all checked above
    return "file"


def read_file(path: Path) -> dict[str, Tensor]:
    """A state dict from a file of torch's, or of safetensors'; neither can run code.

    Raises:
        WeightsError: missing or damaged.
    """
    if path.suffix != ".safetensors" or not path.is_file():
        return read_state_dict(path)
    from safetensors.torch import load_file  # timm needs it itself

    with parsing(lambda why: WeightsError(f"'{path}' can't be read as safetensors ({why}); fetch it again")):
        return load_file(path)


def _timm() -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise ConfigError(
            f"backbones of timm need the package timm ({first_line(error)}): pip install 'hmseg[timm]'"
        ) from error
    return timm


def _check_name(timm: ModuleType, name: str) -> None:
    architecture, _, tag = name.partition(".")
    known = timm.list_models()
    if architecture in known:
        tags = [each for each in timm.list_pretrained() if each.startswith(f"{architecture}.")]
        if not tag or name in tags:
            return
        raise ConfigError(f"unknown timm network '{name}': {architecture} has {_some(tags) or 'no tags'}")
    close = difflib.get_close_matches(architecture, known, n=3, cutoff=0.6)
    hint = f": did you mean {_some(close)}?" if close else "."
    raise ConfigError(f"unknown timm network '{name}'{hint} (timm.list_models() gives all {len(known)})")


def _some(names: Sequence[str]) -> str:
    return ", ".join(f"'{each}'" for each in names)
