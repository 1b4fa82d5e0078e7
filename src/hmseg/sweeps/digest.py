"""The digest by which a job is known again: of everything in its configuration that can change a number."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

PLACES = ("logger", "paths", "hydra", "resume", "requeue")
"""Where things go; what is trained doesn't depend on it."""
WORDS_AND_SPEED = {
    "trainer": ("enable_progress_bar", "enable_model_summary", "profiler", "log_every_n_steps"),
    "loader": ("num_workers", "cache", "keep_images", "eval_batch_size"),
    "callbacks": ("progress", "learning_rate"),
}
"""Settings that change how fast something is, or what is said meanwhile, and no number."""


def digest(cfg: DictConfig) -> str:
    """SHA-256 (hex) of a composed configuration, without run folders, dates, loggers and the like.

    Args:
        cfg: of one job; not changed.

    Example:
        >>> from hmseg.config import compose
        >>> one = digest(compose("fold=1", "logger=tensorboard", "paths.output_dir=here"))
        >>> one == digest(compose("fold=1", "loader.num_workers=0")), one == digest(compose("fold=2"))
        (True, False)
    """
    return hashlib.sha256(json.dumps(telling(cfg), sort_keys=True).encode()).hexdigest()


def telling(cfg: DictConfig) -> dict[str, Any]:
    """The part of a configuration that the digest is of, as plain data."""
    copied = copy.deepcopy(cfg)
    OmegaConf.set_readonly(copied, False)
    with open_dict(copied):
        copied.pop("hydra", None)
        if "paths" in copied:
            copied.paths.output_dir = ""  # callbacks are told where to write by it
    plain: dict[str, Any] = OmegaConf.to_container(copied, resolve=True)  # type: ignore[assignment]
    features = plain.pop("features", None) or {}
    kept = {key: value for key, value in plain.items() if key not in PLACES}
    for part, names in WORDS_AND_SPEED.items():
        if isinstance(kept.get(part), dict):
            kept[part] = {key: value for key, value in kept[part].items() if key not in names}
    if features.get("folder") is not None and features.get("precision") == "float16":
        kept["features"] = "float16"  # maps kept in files are rounded
    return kept
