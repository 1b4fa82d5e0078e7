"""What types can't say about ``predict.yaml``: the files, before anything is built."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from hmseg.config.runs import find_checkpoint
from hmseg.data.mask_meaning import check_reading
from hmseg.errors import ConfigError, unknown
from hmseg.files import given_path

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
REFINEMENTS = ("none", "grabcut")
LEAST_SIDE = 64
"""Two cells of the deepest map (stride 32) a side: fewer leave nothing to correlate."""


def check_predict(cfg: DictConfig) -> None:
    """Refuse what can't be predicted, or written.

    Raises:
        ConfigError: one line: the key, what came, what was expected.
        CheckpointError: no such checkpoint, or a truncated one.
    """
    # Here, since they read images, which no other program checks.
    from hmseg.annotations.supports import find_supports
    from hmseg.annotations.writing import FORMATS
    from hmseg.predicting.layout import find_queries
    from hmseg.predicting.targets import Targets

    if cfg.ckpt is not None:
        find_checkpoint("ckpt", cfg.ckpt, ("best.ckpt", "last.ckpt"))
    if cfg.overwrite and cfg.resume:
        raise ConfigError("overwrite, resume: both came; resume=true goes on, overwrite=true starts anew")
    if cfg.format not in FORMATS:
        raise ConfigError(unknown("format", cfg.format, FORMATS))
    if cfg.precision not in PRECISIONS:
        raise ConfigError(unknown("precision", cfg.precision, PRECISIONS))
    if cfg.refine not in REFINEMENTS:
        raise ConfigError(unknown("refine", cfg.refine, REFINEMENTS))
    if cfg.presence is not None and not -1 <= cfg.presence <= 1:
        raise ConfigError(f"presence: expected a cosine, -1 to 1, got {cfg.presence:g}")
    for key, least in (("side", LEAST_SIDE), ("batch", 1)):
        if cfg[key] is not None and cfg[key] < least:
            raise ConfigError(f"{key}: expected at least {least}, got {cfg[key]}")
    check_reading(cfg.reading, "reading")
    if not cfg.name.strip():
        raise ConfigError("name: expected the name of the class, got nothing")
    masking = OmegaConf.select(cfg, "masking")
    if masking is not None and not (isinstance(masking, DictConfig) and "_target_" in masking):
        raise ConfigError(f"masking: expected a node with the _target_ to build, got {masking}")
    out = Path(cfg.out).expanduser()
    supports = find_supports(
        Path(cfg.support).expanduser(), cfg.name, given_path(cfg.support_images), cfg.reading
    )
    queries = find_queries(cfg.query, out)
    inputs = [
        path for marked in supports.classes.values() for each in marked for path in (each.image, each.file)
    ]
    targets = Targets(out, cfg.overlays, cfg.format)
    targets.check(queries, [*inputs, *(each.path for each in queries)], cfg.overwrite, cfg.resume)
