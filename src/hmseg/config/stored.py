"""The configuration inside a checkpoint, as the defaults of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hmseg.config.composer import Composer, conf_dir
from hmseg.config.runs import find_checkpoint, quoted
from hmseg.config.schema import SCHEMAS
from hmseg.errors import CheckpointError, ConfigError

GROUPS = ("model", "masking", "backbone", "dataset")
"""Groups whose option ``checkpoint`` is what the checkpoint was trained with."""
SCALARS = ("fold", "shot", "seed", "aggregation")
_OPTION = "checkpoint"
_ABSENT = object()


def from_checkpoint(composer: Composer, overrides: Sequence[str], config_name: str = "evaluate") -> list[str]:
    """The overrides of an evaluation or export, after offering what the checkpoint was trained with.

    Everything that can be judged without the file is judged first, since reading it imports PyTorch.

    Args:
        composer: parses and composes.
        overrides: as given, ``ckpt=…`` among them.
        config_name: of the program's YAML file.

    Returns:
        The same with the absolute path of the checkpoint.

    Raises:
        ConfigError: a setting is wrong, ``ckpt`` is missing or swept over, or the checkpoint isn't trusted.
        CheckpointError: the file is missing, damaged or not ours.
    """
    offer_placeholders()
    parsed = composer.parse(overrides)
    chosen = {override.key_or_group for override in parsed} & set(GROUPS)
    later = tuple(f"{group}." for group in GROUPS if group not in chosen)
    early = [o for o in parsed if not o.key_or_group.startswith(later) and not o.is_sweep_override()]
    composer.compose(config_name, [override.input_line or "" for override in early])
    ckpt = [override for override in parsed if override.key_or_group == "ckpt"]
    if not ckpt:
        raise ConfigError("ckpt: a value is required; give ckpt=<run folder> or ckpt=<checkpoint file>")
    if ckpt[-1].is_sweep_override():
        raise ConfigError("ckpt: one checkpoint at a time; run the program once for each")
    path = find_checkpoint("ckpt", str(ckpt[-1].value()), ("best.ckpt", "last.ckpt"))
    offer_checkpoint(path, chosen)
    rest = [override.input_line or "" for override in parsed if override.key_or_group != "ckpt"]
    return [*rest, f"ckpt={quoted(path)}"]


def offer_placeholders() -> None:
    """Empty options ``checkpoint``, so that settings can be checked before the checkpoint is read."""
    _offer({group: {} for group in GROUPS}, {})


def offer_checkpoint(path: Path, chosen: Iterable[str]) -> None:
    """Offer what a checkpoint was trained with as the options ``checkpoint``.

    Only ``_target_`` names that the shipped YAML files of the same group hold are accepted, so that a
    checkpoint from elsewhere can't have anything else called.

    Args:
        path: the checkpoint, with ``checkpoint["hmseg"]["config"]``, a plain resolved dict.
        chosen: groups for which an option is given on the command line; the stored ones are not looked at.

    Raises:
        CheckpointError: it can't be read or holds no configuration.
        ConfigError: it names something to build that is not shipped.
    """
    config = read_config(path)
    nodes: dict[str, dict[str, Any]] = {}
    for group in GROUPS:
        node = {} if group in chosen else config.get(group)
        if not isinstance(node, dict):
            raise CheckpointError(f"{path}: its configuration has no {group}; give {group}=…")
        _check_node(path, group, node)
        nodes[group] = node
    source = nodes["dataset"].get("source")
    if isinstance(source, dict):  # options that both have stay one option
        shared = {key: f"${{..{key}}}" for key in source if source[key] == nodes["dataset"].get(key, _ABSENT)}
        nodes["dataset"] = {**nodes["dataset"], "source": {**source, **shared}}
    nodes["dataset"] = _typed(path, nodes["dataset"])
    _offer(nodes, {key: config[key] for key in SCALARS if key in config} | _loading(config))


def withdraw() -> None:
    """Take the options ``checkpoint`` back, so that the next composition of this process has none."""
    repo = ConfigStore.instance().repo
    for node in (repo, *(repo.get(group, {}) for group in GROUPS)):
        node.pop(f"{_OPTION}.yaml", None)


def read_config(path: Path) -> dict[str, Any]:
    """The configuration inside a checkpoint; imports PyTorch, loads no tensors and runs no code of the file.

    Raises:
        CheckpointError: it can't be read or holds none.
    """
    import torch

    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # noqa: BLE001 - pickle, zip and torch errors alike mean: not readable
        reason = str(error).split("\n", 1)[0]
        raise CheckpointError(f"{path}: can't be read as a checkpoint ({reason})") from error
    stored = checkpoint.get("hmseg") if isinstance(checkpoint, dict) else None
    config = stored.get("config") if isinstance(stored, dict) else None
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: holds no hmseg configuration; it was not written by hmseg.train")
    return config


def _loading(config: dict[str, Any]) -> dict[str, Any]:
    """How test episodes are drawn and images resized: an evaluation should do it as the training did."""
    loader = config.get("loader")
    texts = {k: v for k, v in loader.items() if isinstance(v, str)} if isinstance(loader, dict) else {}
    known = {key: texts[key] for key in ("protocol", "resize") if key in texts and "${" not in texts[key]}
    protocol = {"protocol": known["protocol"]} if "protocol" in known else {}
    return protocol | ({"loader": {"resize": known["resize"]}} if "resize" in known else {})


def _typed(path: Path, dataset: dict[str, Any]) -> Any:
    """The data set's node under the schema of its name, where there is one, as in training."""
    kinds = {name: kind for group, name, kind in SCHEMAS if group == "dataset"}
    kind = kinds.get(f"_{dataset.get('name')}")
    if kind is None:
        return dataset
    try:
        return OmegaConf.merge(OmegaConf.structured(kind), dataset)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path}: its dataset can't be used ({reason}); give dataset=…") from error


def _offer(nodes: dict[str, Any], scalars: dict[str, Any]) -> None:
    store = ConfigStore.instance()
    store.store(name=_OPTION, node=scalars, provider="checkpoint")
    for group, node in nodes.items():
        store.store(name=_OPTION, group=group, node=node, provider="checkpoint")


def _check_node(path: Path, group: str, node: dict[str, Any]) -> None:
    shipped = {target for file in (conf_dir() / group).glob("*.yaml") for target in _targets(_load(file))}
    for target in _targets(node):
        if target not in shipped:
            raise ConfigError(
                f"{path}: its {group} builds '{target}', which is not part of hmseg; if you trust it, "
                f"give the option yourself: {group}=… (with --config-dir, where it is your own)"
            )
    for text in _texts(node):
        if "${" in text:
            raise ConfigError(
                f"{path}: its {group} holds the unresolved value '{text}'; give {group}=… yourself"
            )


def _load(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _targets(node: Any) -> Iterable[str]:
    """Every ``_target_`` in nested dicts and lists."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            yield from _targets(child)


def _texts(node: Any) -> Iterable[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, child in node.items():
            yield str(key)
            yield from _texts(child)
    elif isinstance(node, list | tuple):
        for child in node:
            yield from _texts(child)
