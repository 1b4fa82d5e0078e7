"""What types can't say about ``dashboard.yaml``."""

from __future__ import annotations

import re

from omegaconf import DictConfig

from hmseg.errors import ConfigError, unknown

_NAME = re.compile(r"[A-Za-z0-9_.\-]+")


def check_dashboard(cfg: DictConfig) -> None:
    """Refuse names that W&B would not take.

    Raises:
        ConfigError: one line: the key, what came, what was expected.
    """
    for key in ("entity", "project"):
        if cfg[key] is not None and not _NAME.fullmatch(cfg[key]):
            raise ConfigError(f"{key}: expected letters, digits, '-', '_' and '.', got '{cfg[key]}'")
    for key in ("group", "workspace"):
        value = cfg[key]
        if value is not None and (not value.strip() or any(mark in value for mark in "'\"\\\n")):
            raise ConfigError(f"{key}: expected a text without quotes and backslashes, got '{value}'")
    if cfg.checkpoint not in ("best", "last"):
        raise ConfigError(unknown("checkpoint", cfg.checkpoint, ("best", "last")))
