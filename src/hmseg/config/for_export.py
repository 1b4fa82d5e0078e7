"""The settings of an export, completed by its checkpoint's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hmseg.config.checks_export import FORMATS, PARTS, check_targets, targets
from hmseg.config.composer import Composer
from hmseg.config.stored import from_checkpoint, stored_value


def for_export(composer: Composer, overrides: Sequence[str]) -> list[str]:
    """The overrides with the absolute path of the checkpoint, and its way to put several supports together.

    Raises:
        ConfigError: a setting is wrong, ``ckpt`` is missing or swept over, the checkpoint isn't trusted, or
            the result would replace a file.
        CheckpointError: the checkpoint is missing, damaged or not ours.
    """
    parsed = composer.parse(overrides)
    given = {each.key_or_group: each.value() for each in parsed if not each.is_sweep_override()}
    chosen = str(given.get("format", "onnx")), str(given.get("part", "whole"))
    if "out" in given and chosen[0] in FORMATS and chosen[1] in PARTS:  # before the checkpoint is read
        check_targets(targets(str(given["out"]), *chosen), given.get("overwrite") is True)
    words = from_checkpoint(composer, overrides, "export")
    if "aggregation" in given:
        return words
    ckpt = next(each.value() for each in composer.parse(words) if each.key_or_group == "ckpt")
    return [*words, f"aggregation={stored_value(Path(str(ckpt)), 'aggregation') or 'vote'}"]
