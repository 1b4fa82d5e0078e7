"""A network from a checkpoint, without Hydra: of what the checkpoint names, only our own parts are built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from hmseg.backbones import Backbone, build_backbone
from hmseg.backbones_timm import build_timm_backbone
from hmseg.checkpoint_files import PRETRAINED
from hmseg.errors import CheckpointError
from hmseg.masking import MASKINGS, Masking, build_masking
from hmseg.networks import HEADS, FewShotNetwork
from hmseg.networks.shots import JOINED, find_aggregation
from hmseg.run_checkpoints import BACKBONE, fingerprint, read_checkpoint, unpack
from hmseg.untrusted import parsing
from hmseg.untrusted.settings import node_of, settings_of, value_of
from hmseg.weights import KEPT

_LARGEST_SIDE = 4096  # pixels; the published networks see 473 at most
NAMES = ("best.ckpt", "last.ckpt")
"""Looked for in a run folder."""
BACKBONES: Mapping[str, Callable[..., Backbone]] = {
    "hmseg.backbones.build_backbone": build_backbone,
    "hmseg.backbones_timm.build_timm_backbone": build_timm_backbone,
}


@dataclass(frozen=True)
class Loaded:
    """A trained network and how it was trained.

    Attributes:
        network: in eval mode, on the CPU.
        side: of the square images that it was trained on, pixels.
        resize: how images were resized, ``pil`` or ``opencv``.
        aggregation: of several supports.
        path: of the checkpoint.
    """

    network: FewShotNetwork
    side: int
    resize: str
    aggregation: str
    path: Path


def load(
    path: str | Path | None,
    masking: str | Masking | None = None,
    aggregation: str | None = None,
    weights: str | Path | None = None,
) -> Loaded:
    """Reads a checkpoint (tensors and plain data only) and builds the network that it is of.

    Args:
        path: a ``.ckpt`` file, a run folder (its best checkpoint, else its last), a name of ``PRETRAINED``,
            or None: the first of these.
        masking: another than it was trained with; None: that one.
        aggregation: likewise.
        weights: of the backbone, where the checkpoint doesn't hold them and they aren't where it says.

    Raises:
        CheckpointError: missing, damaged, not ours, or it names parts that are not ours.
        ConfigError: no such masking or aggregation.
        WeightsError: the backbone's weights can't be had.
    """
    file = find_checkpoint(path)
    checkpoint = read_checkpoint(file)
    try:
        config = settings_of(checkpoint)
        chosen = aggregation or value_of(config, "aggregation", str) or "vote"
        find_aggregation(chosen)
        network = _build(config, checkpoint["state_dict"], masking, chosen == JOINED, weights)
        _restore(network, checkpoint)
    except CheckpointError as error:
        raise CheckpointError(f"'{file}': {error}") from error
    side, resize = _value(config, "dataset", "image_size"), _value(config, "loader", "resize")
    if type(side) is not int or not 0 < side <= _LARGEST_SIDE:
        raise CheckpointError(f"'{file}' doesn't say the side of its training images (dataset.image_size)")
    return Loaded(network, side, resize if isinstance(resize, str) else "pil", chosen, file)


def find_checkpoint(path: str | Path | None) -> Path:
    """The file that is meant; CheckpointError where there is none, with how to get one."""
    name = next(iter(PRETRAINED)) if path is None else str(path)
    if name in PRETRAINED and not Path(name).exists():
        return PRETRAINED[name]
    assert path is not None
    given = Path(path).expanduser()
    if given.is_dir():
        found = [folder / name for folder in (given / "checkpoints", given) for name in NAMES]
        existing = [each for each in found if each.is_file()]
        if not existing:
            raise CheckpointError(f"folder '{given}' holds no checkpoints/{' or '.join(NAMES)}")
        return existing[0]
    return given


def _build(
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    masking: str | Masking | None,
    join_shots: bool,
    weights: str | Path | None,
) -> FewShotNetwork:
    target, options = _node(config, "backbone", BACKBONES)
    stored = any(name.startswith(BACKBONE) for name in state)
    if stored and options.get("weights") not in KEPT:
        options["weights"] = "checkpoint"
    elif not stored and weights is not None:
        options["weights"] = str(weights)
    backbone = _made("backbone", BACKBONES[target], **options)
    heads = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in HEADS.values()}
    target, options = _node(config, "model", heads)
    head = _made("model", heads[target], backbone.feature_info, **options)
    return FewShotNetwork(backbone, find_masking(config, masking), head, join_shots=join_shots).eval()


def find_masking(config: Mapping[str, Any], masking: str | Masking | None) -> Masking:
    """The masking that is given, by name or ready, else that of the configuration."""
    if isinstance(masking, Masking):
        return masking
    if masking is not None:
        return build_masking(masking)
    maskings = {f"hmseg.masking.{kind.__name__}": kind for kind in MASKINGS.values()}
    maskings |= {f"{kind.__module__}.{kind.__name__}": kind for kind in MASKINGS.values()}
    target, options = _node(config, "masking", maskings)
    found: Masking = _made("masking", maskings[target], **options)
    return found


def _node(config: Mapping[str, Any], group: str, known: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What a group of the configuration builds, and with which arguments."""
    remedy = "build the network yourself and give it to Segmenter(network, side=…)"
    node = node_of(config, group, known, remedy)
    if "_target_" not in node:
        raise CheckpointError(f"its {group} doesn't say what it builds; {remedy}")
    return node["_target_"], {key: value for key, value in node.items() if not key.startswith("_")}


def _made(group: str, kind: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    with parsing(lambda why: CheckpointError(f"its {group} can't be built ({why})")):
        return kind(*arguments, **options)


def _restore(network: FewShotNetwork, checkpoint: dict[str, Any]) -> None:
    """Loads head and backbone; numbers of fewer bits become float32."""
    own = {f"network.{name}": value for name, value in network.state_dict().items()}
    unpack(checkpoint, own, network.backbone.weights_origin, lambda: fingerprint(network.backbone))
    state: Mapping[str, Tensor] = checkpoint["state_dict"]
    network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})


def _value(config: Mapping[str, Any], group: str, key: str) -> object:
    node = config.get(group)
    return node.get(key) if isinstance(node, dict) else None
