"""Values of a configuration, as the checks look at them."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hmseg.errors import ConfigError


def get(cfg: DictConfig, key: str) -> Any:
    """The value of a dotted key, None where it is absent or missing.

    Raises:
        ConfigError: an interpolation that can't be resolved.
    """
    try:
        return OmegaConf.select(cfg, key, default=None, throw_on_missing=False)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{key}: {str(error).splitlines()[0]}") from error


def number(cfg: DictConfig, key: str) -> float | None:
    """A number, which a user's own YAML without a schema may have as text."""
    value = get(cfg, key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ConfigError(f"{key}: expected a number, got '{value}'")
    return value


def is_index(value: Any) -> bool:
    """Is it a whole number? To Python, ``True`` is one."""
    return isinstance(value, int) and not isinstance(value, bool)
