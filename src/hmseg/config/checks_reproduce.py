"""The settings of ``reproduce.yaml``: what types can't say, and quotes that Hydra's grammar asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hmseg.config.composer import Composer
from hmseg.errors import ConfigError

LISTS = ("train", "evaluate", "both")
_QUOTED = (*LISTS, "checkpoints")
_OURS = ("resume", "ckpt", "hydra.run.dir", "fold", "shot", "experiment", "paths.records")
"""Settings of the steps that the claim decides."""


def check_reproduce(cfg: DictConfig) -> None:
    """Refuse what can't be reproduced.

    Raises:
        ConfigError: one line: the key, what came, what was expected.
        DataError: the file of claims can't be read.
    """
    from hmseg.claims.table import find_claim, published, read_claims

    claims = published() if cfg.claims_file is None else read_claims(Path(cfg.claims_file).expanduser())
    if not cfg.tolerance >= 0:
        raise ConfigError(f"tolerance: expected at least 0, got {cfg.tolerance}")
    for key in LISTS:
        for setting in settings_of(cfg, key):
            name, equals, _ = setting.lstrip("+~").partition("=")
            if not equals and not setting.startswith("~"):
                raise ConfigError(f"{key}: expected settings key=value, got '{setting}'")
            if name in _OURS:
                raise ConfigError(f"{key}: {name} is decided by the claim; leave it out")
    if cfg.claim is None:
        for key in ("dry_run", "checkpoints"):
            if cfg[key]:
                raise ConfigError(f"{key}: give a claim, claim=…; list=true shows all")
        return
    if cfg.list:
        raise ConfigError("list=true shows all claims; leave out claim=… or list=true")
    claim = find_claim(cfg.claim, claims)
    if cfg.checkpoints is not None:
        checkpoints_of(cfg.checkpoints, claim.folds)


def settings_of(cfg: DictConfig, key: str) -> list[str]:
    """The settings of a list, which may be given as one text without brackets.

    Raises:
        ConfigError: it is something else.
    """
    value = cfg[key]
    values = [] if value is None else list(value) if OmegaConf.is_list(value) else [value]
    if not all(isinstance(each, str) for each in values):
        raise ConfigError(f"{key}: expected a list of settings such as [trainer=gpu,seed=1], got {value}")
    return values


def checkpoints_of(value: Any, folds: Sequence[int | None]) -> dict[int | None, Path]:
    """The published checkpoint of each fold.

    Args:
        value: a path with ``{fold}`` in it, or a list of one path for each fold.
        folds: of the claim.

    Raises:
        ConfigError: it is neither, or a file is missing.

    Example:
        >>> checkpoints_of("models/fold{fold}.pt", (0, 1))
        Traceback (most recent call last):
        hmseg.errors.ConfigError: checkpoints: there is no file 'models/fold0.pt' for fold 0
    """
    if isinstance(value, str):
        if "{fold}" not in value and len(folds) > 1:
            raise ConfigError(f"checkpoints: expected {{fold}} in the path, or [path,path,…], got '{value}'")
        paths = [value.replace("{fold}", str(fold)) for fold in folds]
    else:
        paths = list(value) if OmegaConf.is_list(value) or isinstance(value, list | tuple) else []
    if len(paths) != len(folds) or not all(isinstance(path, str) for path in paths):
        raise ConfigError(f"checkpoints: expected {len(folds)} paths, one for each fold, got {value}")
    found = {fold: Path(path).expanduser() for fold, path in zip(folds, paths, strict=True)}
    for fold, path in found.items():
        if not path.is_file():
            whose = "" if fold is None else f" for fold {fold}"
            raise ConfigError(f"checkpoints: there is no file '{path}'{whose}")
    return found


def for_reproduction(composer: Composer, overrides: Sequence[str]) -> list[str]:
    """The overrides, with quotes around settings in lists and around paths with ``{fold}``.

    Hydra's grammar wants ``train=["dataset.root=/data"]``, which a shell wants quoted once more; people type
    ``train=[dataset.root=/data]``.

    Raises:
        ConfigError: an override can't be read even so.
    """
    return [_quoted(composer, word) for word in overrides]


def _quoted(composer: Composer, word: str) -> str:
    key, equals, value = word.partition("=")
    if key not in _QUOTED or not equals:
        return word
    try:
        composer.parse([word])
    except ConfigError:
        if value.startswith("[") and value.endswith("]"):
            return f"{key}=[{','.join(_as_text(part) for part in split_list(value[1:-1]))}]"
        return f"{key}={_as_text(value)}"
    return word


def split_list(text: str) -> list[str]:
    """The parts of a list between its commas, those inside brackets or quotes left alone.

    Example:
        >>> split_list("trainer=gpu,logger=[csv,wandb],note='a,b'")
        ['trainer=gpu', 'logger=[csv,wandb]', "note='a,b'"]
    """
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if letter == quote:
            quote = ""
        elif not quote and letter in "'\"":
            quote = letter
        elif not quote:
            depth += (letter in "[{(") - (letter in "]})")
            if letter == "," and depth == 0:
                parts.append("")
                continue
        parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _as_text(part: str) -> str:
    """In double quotes, unless it is quoted already."""
    if part[0] in "'\"" and part[-1] == part[0] and len(part) > 1:
        return part
    escaped = part.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
