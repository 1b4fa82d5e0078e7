"""What types can't say about ``app.yaml``."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from hmseg.config.checks_predict import REFINEMENTS
from hmseg.config.runs import find_checkpoint
from hmseg.errors import ConfigError, unknown

LEAST_PIXELS = 64 * 64
MOST_PIXELS = 89_478_485
"""Pillow's own limit, above which it warns of a decompression bomb."""
MOST_MB = 1000


def check_app(cfg: DictConfig) -> None:
    """Refuse what no page can be served with.

    Raises:
        ConfigError: one line: the key, what came, what was expected.
        CheckpointError: no such checkpoint, or a truncated one.
    """
    if cfg.ckpt is not None:
        find_checkpoint("ckpt", cfg.ckpt, ("best.ckpt", "last.ckpt"))
    masking = OmegaConf.select(cfg, "masking")
    if masking is not None and not (isinstance(masking, DictConfig) and "_target_" in masking):
        raise ConfigError(f"masking: expected a node with the _target_ to build, got {masking}")
    if cfg.refine not in REFINEMENTS:
        raise ConfigError(unknown("refine", cfg.refine, REFINEMENTS))
    if cfg.presence is not None and not -1 <= cfg.presence <= 1:
        raise ConfigError(f"presence: expected a cosine, -1 to 1, got {cfg.presence:g}")
    if not 0 <= cfg.port <= 65535:
        raise ConfigError(f"port: expected 1 to 65535, or 0 for any that is free; got {cfg.port}")
    if not 0 < cfg.max_mb <= MOST_MB:
        raise ConfigError(f"max_mb: expected a number above 0 and at most {MOST_MB}, got {cfg.max_mb}")
    if not LEAST_PIXELS <= cfg.max_pixels <= MOST_PIXELS:
        raise ConfigError(
            f"max_pixels: expected {LEAST_PIXELS} to {MOST_PIXELS} (Pillow's limit), got {cfg.max_pixels}"
        )
