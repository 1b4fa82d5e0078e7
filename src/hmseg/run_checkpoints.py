"""What a run's checkpoint holds besides Lightning's own entries, and the checks when it is read back.

A frozen backbone is not stored where its weights can be had again: the checkpoint then holds a fingerprint
of them, and reading it into a network with another backbone is refused.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping, MutableMapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import hmseg
from hmseg.errors import CheckpointError, ConfigError
from hmseg.files import sha256
from hmseg.state_dicts import listed, misfits, not_finite
from hmseg.untrusted import parsing
from hmseg.untrusted.settings import settings_of
from hmseg.untrusted.torch_files import load
from hmseg.weights import KEPT

FORMAT = 1
"""Version of the ``hmseg`` entry; a reader refuses a higher one."""

HISTORY = "hmseg.history"
"""Key of the run's history (``hmseg.callbacks.RunHistory``) among a checkpoint's ``callbacks``."""

BACKBONE = "network.backbone."
"""Prefix of the backbone's keys in the state dict of the LightningModule."""


def fingerprint(module: nn.Module) -> str:
    """SHA-256 (hex) over name, shape and float32 bytes of every floating-point entry of the state dict.

    Counters (``num_batches_tracked``) say nothing about what a frozen network computes and are left out.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> before = fingerprint(layer)
        >>> fingerprint(layer) == before, len(before)
        (True, 64)
        >>> _ = nn.init.constant_(layer.bias, 7.0)
        >>> fingerprint(layer) == before
        False
    """
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if value.is_floating_point():
            digest.update(f"{name} {tuple(value.shape)}\n".encode())
            digest.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def plain(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """A deep copy of a configuration as plain data, so that the checkpoint loads without running code.

    Raises:
        ConfigError: it holds something other than numbers, text, lists and string-keyed mappings.

    Example:
        >>> plain({"fold": 1, "size": (64, 96)})
        {'fold': 1, 'size': [64, 96]}
    """
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(config or {})))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"the configuration cannot be stored in a checkpoint ({error}): give plain data, "
            "e.g. OmegaConf.to_container(cfg, resolve=True)"
        ) from error
    return copy


def pack(checkpoint: MutableMapping[str, Any], origin: str, backbone: str, config: Mapping[str, Any]) -> None:
    """Adds our entry to a checkpoint about to be written, and takes the backbone out if it can be had again.

    Args:
        checkpoint: Lightning's dictionary, changed in place as its hook wants it.
        origin: where the backbone's weights came from; those of ``hmseg.weights.KEPT`` are stored.
        backbone: fingerprint of the backbone.
        config: the run's configuration, plain data.
    """
    if origin not in KEPT:
        state: Mapping[str, Tensor] = checkpoint["state_dict"]
        checkpoint["state_dict"] = {k: v for k, v in state.items() if not k.startswith(BACKBONE)}
    checkpoint["hmseg"] = {
        "format": FORMAT,
        "config": dict(config),
        "backbone_weights": origin,
        "backbone_fingerprint": backbone,
        "versions": {
            "hmseg": hmseg.__version__,
            "torch": str(torch.__version__),
            "pytorch_lightning": version("pytorch-lightning"),
            "python": platform.python_version(),
        },
    }


def unpack(
    checkpoint: MutableMapping[str, Any], own: Mapping[str, Tensor], origin: str, backbone: Callable[[], str]
) -> None:
    """Checks a checkpoint against the model in hand and puts the model's backbone back into it.

    Args:
        checkpoint: as read, changed in place so that its ``state_dict`` loads strictly.
        own: state dict of the model in hand.
        origin: where that model's backbone weights came from.
        backbone: gives their fingerprint; only called when it is needed.

    Raises:
        CheckpointError: not one of ours, another backbone, a head that does not fit, or weights that are no
            numbers.
    """
    about, state = entry(checkpoint), dict(checkpoint["state_dict"])
    stored = any(name.startswith(BACKBONE) for name in state)
    if stored != (origin in KEPT):
        holds = "holds its own backbone" if stored else "does not hold its backbone"
        raise CheckpointError(
            f"the checkpoint was trained on backbone weights '{about['backbone_weights']}' and {holds}, but "
            f"this network's are '{origin}': build the network with the checkpoint's backbone and weights"
        )
    if not stored:
        if backbone() != about["backbone_fingerprint"]:
            raise CheckpointError(
                f"the checkpoint was trained on another backbone (weights '{about['backbone_weights']}', "
                f"fingerprint {about['backbone_fingerprint'][:12]}) than this network's (weights '{origin}', "
                f"fingerprint {backbone()[:12]}): give the backbone and the weights of its configuration"
            )
        state.update({name: value for name, value in own.items() if name.startswith(BACKBONE)})
    _check_fit(state, own)
    checkpoint["state_dict"] = state


def _check_fit(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    if problems := misfits(own, state, finite=False):
        raise CheckpointError(
            f"the checkpoint is of another model: {listed(problems)}; "
            "build the network with the model and backbone of its configuration"
        )
    if damaged := not_finite(state):
        raise CheckpointError(
            f"the checkpoint holds NaN or infinity ({listed(damaged)}): the training diverged or the file is "
            "damaged; give an earlier one"
        )


def provenance(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Where a checkpoint's weights come from, for records: ``origin`` is ``trained`` or ``imported``.

    Then ``imported`` holds what ``hmseg.conversion`` noted: the published file's name and SHA-256, and how
    its backbone compared with the known weights.
    """
    imported = entry(checkpoint).get("imported")
    return {"origin": "trained"} if imported is None else {"origin": "imported", "imported": imported}


def has_optimizer(checkpoint: Mapping[str, Any]) -> bool:
    """Whether an optimiser can go on from a checkpoint, rather than begin anew without a word.

    Example:
        >>> adam = {"state": {}, "param_groups": [{"betas": (0.9, 0.99)}]}
        >>> has_optimizer({"global_step": 7, "optimizer_states": [adam]})
        False
    """
    states = checkpoint.get("optimizer_states")
    whole = isinstance(states, list) and bool(states)
    if whole and not checkpoint.get("global_step"):
        return True  # before the first step there is nothing to go on from
    return whole and all(map(_is_optimizer, states or []))


def _is_optimizer(state: Any) -> bool:
    groups = state.get("param_groups") if isinstance(state, Mapping) else None
    if not isinstance(groups, list) or not groups or not all(isinstance(each, Mapping) for each in groups):
        return False
    plain_sgd = all("nesterov" in group and not group.get("momentum") for group in groups)  # has no state
    return bool(state.get("state")) or plain_sgd


def entry(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Our entry of a checkpoint: format, config, backbone_weights, backbone_fingerprint and versions.

    Raises:
        CheckpointError: it has none, or one of a later version of hmseg.
    """
    about, state = checkpoint.get("hmseg"), checkpoint.get("state_dict")
    whole = isinstance(state, Mapping) and all(isinstance(each, Tensor) for each in state.values())
    if not isinstance(about, dict) or not whole:
        raise CheckpointError(
            "this is not a checkpoint of hmseg (no 'hmseg' entry or no 'state_dict'): give a .ckpt file of a "
            "run; published weights are loaded with hmseg.load_published"
        )
    if about.get("format") != FORMAT:
        raise CheckpointError(
            f"the checkpoint has format {str(about.get('format'))[:20]}, but hmseg {hmseg.__version__} "
            f"reads {FORMAT}: use the version of hmseg that the run was made with"
        )
    for key in ("backbone_weights", "backbone_fingerprint"):
        if not isinstance(about.get(key), str):
            raise CheckpointError(f"its 'hmseg' entry holds no {key}, a text was expected")
    return about


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a run's checkpoint onto the CPU, tensors and plain data only: a file cannot run code.

    Args:
        path: a ``.ckpt`` file.

    Returns:
        The checkpoint; ``entry(...)`` of it is known to be there.

    Raises:
        CheckpointError: missing, truncated, or not one of ours.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at '{path}': give the path of a .ckpt file of a run")
    with parsing(
        lambda why: CheckpointError(
            f"'{path}' cannot be read as a checkpoint ({why}): it may be truncated or hold more than tensors "
            "and plain data"
        )
    ):
        checkpoint = load(path)
    try:
        entry(checkpoint if isinstance(checkpoint, dict) else {})
        settings_of(checkpoint)
    except CheckpointError as error:
        raise CheckpointError(f"'{path}': {error}") from error
    return dict(checkpoint)


def read_with_digest(path: Path) -> tuple[dict[str, Any], str]:
    """A run's checkpoint, and the SHA-256 of the very file it was read from.

    A training that goes on may put another file in its place at any time.

    Raises:
        CheckpointError: as :func:`read_checkpoint`.
    """
    before = ""
    while True:
        checkpoint = read_checkpoint(path)
        if (digest := sha256(path)) == before:
            return checkpoint, digest
        before = digest
