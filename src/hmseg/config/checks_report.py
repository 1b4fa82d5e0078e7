"""What types can't say about ``report.yaml``."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from hmseg.errors import ConfigError

MOST = 2
"""Checkpoints whose examples stand side by side."""


def check_report(cfg: DictConfig) -> None:
    """Refuse what can't be reported on.

    Raises:
        ConfigError: one line: the key, what came, what was expected.
    """
    given = [key for key in ("records", "sweep") if cfg[key] is not None]
    if len(given) != 1:
        came = "both came" if given else "neither came"
        raise ConfigError(f"records, sweep: {came}; give records=FILE or sweep=FOLDER")
    if cfg.records is not None and not Path(cfg.records).expanduser().is_file():
        raise ConfigError(f"records={cfg.records}: there is no such file; hmseg.evaluate writes one")
    if cfg.sweep is not None and not Path(cfg.sweep).expanduser().is_dir():
        raise ConfigError(f"sweep={cfg.sweep}: there is no such folder; give that of a run of -m")
    if cfg.examples_count < 1:
        raise ConfigError(f"examples_count: expected at least 1, got {cfg.examples_count}")
    if len(checkpoints(cfg)) > MOST:
        raise ConfigError(f"examples: expected at most {MOST} checkpoints, got {len(cfg.examples)}")


def checkpoints(cfg: DictConfig) -> list[str]:
    """``examples`` as a list.

    Raises:
        ConfigError: it is something else than a text or texts.
    """
    value = cfg.examples
    values = [] if value is None else list(value) if OmegaConf.is_list(value) else [value]
    if not all(isinstance(each, str) for each in values):
        raise ConfigError(f"examples: expected a path or [path,path], got {value}")
    return values
