"""What types can't say about ``prepare.yaml``."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from hmseg.errors import ConfigError, unknown

BENCHMARKS = ("pascal", "coco", "fss", "coco2pascal")
CHECKS = ("false", "true", "deep")


def check_prepare(cfg: DictConfig) -> None:
    """Refuse what can't be prepared.

    Raises:
        ConfigError: one line: the key, what came, what was expected.
    """
    name = OmegaConf.select(cfg, "dataset.name")
    if name not in BENCHMARKS:
        raise ConfigError(f"dataset={name} needs no preparation: expected {', '.join(BENCHMARKS)}")
    if cfg.root is not None and "root" not in cfg.dataset:
        raise ConfigError(
            f"root={cfg.root}: {name} has two folders; give dataset.coco=… and dataset.pascal=…"
        )
    if check_of(cfg.check) not in CHECKS:
        raise ConfigError(unknown("check", cfg.check, CHECKS))
    if cfg.splits not in (None, "fetch"):
        raise ConfigError(f"splits: expected fetch or null, got {cfg.splits}; their folder is dataset.splits")
    if check_of(cfg.check) != "false" and (cfg.splits or cfg.archive or cfg.url):
        raise ConfigError(f"check={cfg.check} only looks; leave out splits=, archive= and url=, or check=")
    if cfg.workers is not None and cfg.workers < 0:
        raise ConfigError(f"workers: expected at least 0, got {cfg.workers}")
    for key in ("archive", "url"):
        several(cfg, key)


def check_of(value: Any) -> str:
    """``check`` as text: it may be given as true, deep or "deep".

    Example:
        >>> check_of(True), check_of("deep"), check_of("True")
        ('true', 'deep', 'true')
    """
    return str(value).lower()


def several(cfg: DictConfig, key: str) -> list[str]:
    """One text or a list of them, as a list.

    Raises:
        ConfigError: it is something else.
    """
    value = cfg[key]
    values = [] if value is None else list(value) if OmegaConf.is_list(value) else [value]
    if not all(isinstance(each, str) for each in values):
        raise ConfigError(f"{key}: expected a text or a list of them, got {value}")
    return values
