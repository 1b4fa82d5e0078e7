"""The configuration inside a checkpoint, as the defaults of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from hmseg.config.composer import Composer
from hmseg.config.runs import find_checkpoint, quoted
from hmseg.config.schema import SCHEMAS
from hmseg.config.shipped import shipped
from hmseg.config.training_free import completed, is_training_free
from hmseg.errors import CheckpointError, ConfigError
from hmseg.untrusted import parsing
from hmseg.untrusted.settings import node_of, settings_of, value_of

GROUPS = ("model", "masking", "backbone", "dataset")
"""Groups whose option ``checkpoint`` is what the checkpoint was trained with."""
SCALARS = {"fold": int, "shot": int, "seed": int, "aggregation": str}
"""Single settings that are taken over, and their types."""
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
    chosen = {override.key_or_group for override in parsed}
    later = tuple(f"{group}." for group in GROUPS if group not in chosen)
    early = [o for o in parsed if not o.key_or_group.startswith(later) and not o.is_sweep_override()]
    composer.compose(config_name, [override.input_line or "" for override in early])
    ckpt = [override for override in parsed if override.key_or_group == "ckpt"]
    if not ckpt and config_name == "evaluate" and is_training_free(parsed):
        return completed(parsed)
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
        chosen: groups and settings given on the command line; the stored ones are not looked at.

    Raises:
        CheckpointError: it can't be read, holds no configuration, or names something to build that is not
            shipped, or to look up.
    """
    config, chosen = read_config(path), set(chosen)
    with _named(path):
        nodes = {group: {} if group in chosen else _node(config, group) for group in GROUPS}
        wanted = [key for key in SCALARS if key in config and key not in chosen]
        scalars = {key: value_of(config, key, SCALARS[key]) for key in wanted}
    source = nodes["dataset"].get("source")
    if isinstance(source, dict):  # options that both have stay one option
        shared = {key: f"${{..{key}}}" for key in source if source[key] == nodes["dataset"].get(key, _ABSENT)}
        nodes["dataset"] = {**nodes["dataset"], "source": {**source, **shared}}
    nodes["dataset"] = _typed(path, nodes["dataset"])
    _offer(nodes, scalars | _loading(config))


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
    from hmseg.untrusted.torch_files import load

    with parsing(lambda why: CheckpointError(f"{path}: can't be read as a checkpoint ({why})")):
        checkpoint = load(path, mmap=True)
    with _named(path):
        return settings_of(checkpoint)


def stored_value(path: Path, key: str) -> Any:
    """One of ``SCALARS`` of the configuration inside a checkpoint, None where it is absent.

    Raises:
        CheckpointError: it can't be read, or is of another type.
    """
    config = read_config(path)
    with _named(path):
        return value_of(config, key, SCALARS[key])


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Puts the file's name before what is wrong with its settings."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _node(config: Mapping[str, Any], group: str) -> dict[str, Any]:
    remedy = f"give {group}=…"
    if not isinstance(config.get(group), dict):
        return node_of(config, group, (), remedy)
    own = f"if you trust it, give the option yourself, {group}=… (with --config-dir, where it is your own)"
    return node_of(config, group, shipped(group), own)


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
    with parsing(lambda why: CheckpointError(f"{path}: its dataset can't be used ({why}); give dataset=…")):
        return OmegaConf.merge(OmegaConf.structured(kind), dataset)


def _offer(nodes: dict[str, Any], scalars: dict[str, Any]) -> None:
    store = ConfigStore.instance()
    store.store(name=_OPTION, node=scalars, provider="checkpoint")
    for group, node in nodes.items():
        store.store(name=_OPTION, group=group, node=node, provider="checkpoint")
