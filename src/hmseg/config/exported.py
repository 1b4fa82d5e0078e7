"""The settings of a conversion, looked at before PyTorch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hmseg.config.composer import Composer
from hmseg.config.runs import find_checkpoint, quoted
from hmseg.config.stored import GROUPS, offer_checkpoint, stored_value
from hmseg.errors import ConfigError


def check_target(source: Path, out: Path, overwrite: bool) -> None:
    """Refuse to write over a folder, the source, or without ``overwrite`` over anything.

    Raises:
        ConfigError: one of these.
    """
    if out.is_dir():
        raise ConfigError(f"out={out}: this is a folder; give the name of a file")
    if out.exists() and source.exists() and out.samefile(source):
        raise ConfigError(f"out={out}: this is the source itself; give another file")
    if out.exists() and not overwrite:
        raise ConfigError(f"out={out}: the file is there already; give another, or overwrite=true")


def for_conversion(composer: Composer, overrides: Sequence[str]) -> list[str]:
    """The overrides as given; with ``export=true`` model, masking, backbone, data set and fold of the source.

    Args:
        composer: parses the overrides.
        overrides: as given.

    Returns:
        For an export they hold the absolute path of the checkpoint.

    Raises:
        ConfigError: an override can't be read, ``out`` can't be written, or the checkpoint isn't trusted.
        CheckpointError: the checkpoint to export is missing, damaged or not ours.
    """
    given = {override.key_or_group: override for override in composer.parse(overrides)}
    paths = [given[key] for key in ("source", "out") if key in given and not given[key].is_sweep_override()]
    if len(paths) == 2:
        source, out = (Path(str(each.value())).expanduser() for each in paths)
        check_target(source, out, "overwrite" in given and given["overwrite"].value() is True)
    if "export" not in given or given["export"].value() is not True:
        return list(overrides)
    if "source" not in given or given["source"].is_sweep_override():
        raise ConfigError("source: one checkpoint or run folder is required; give source=PATH")
    path = find_checkpoint("source", str(given["source"].value()), ("best.ckpt", "last.ckpt"))
    offer_checkpoint(path, given)
    rest = [each.input_line or "" for key, each in given.items() if key != "source"]
    rest += [f"{group}=checkpoint" for group in GROUPS if group not in given]
    if "fold" not in given:
        fold = stored_value(path, "fold")
        rest.append(f"fold={'null' if fold is None else fold}")
    return [*rest, f"source={quoted(path)}"]
