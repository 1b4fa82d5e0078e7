"""What types can't say about ``episodes.yaml``."""

from __future__ import annotations

from omegaconf import DictConfig

from hmseg.errors import ConfigError


def check_episodes(cfg: DictConfig) -> None:
    """Refuse what is no list of episodes.

    Raises:
        ConfigError: one line: the key, what came, what was expected.
    """
    if (cfg.out is None) == (cfg.check is None):
        raise ConfigError("give either out=FILE to write a list of episodes, or check=FILE to check one")
    if cfg.episodes is not None and cfg.episodes < 1:
        raise ConfigError(f"episodes: expected at least 1, got {cfg.episodes}")
