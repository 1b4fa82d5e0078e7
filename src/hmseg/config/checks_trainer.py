"""What types can't say about ``trainer``."""

from __future__ import annotations

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hmseg.config.values import get, is_index
from hmseg.errors import ConfigError

PRECISIONS = (
    "32-true", "32", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true", "64",
)  # fmt: skip
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")
_SHARES = (
    "trainer.limit_train_batches",
    "trainer.limit_val_batches",
    "trainer.limit_test_batches",
    "trainer.val_check_interval",
)
_MAX_TIME = re.compile(r"\d+:\d{1,2}:\d{1,2}:\d{1,2}")


def check_trainer(cfg: DictConfig) -> None:
    """Refuse times, shares, devices and precisions that Lightning would not take.

    Raises:
        ConfigError: one line: the key, what came, what was expected.
    """
    time = get(cfg, "trainer.max_time")
    if time is not None and not _MAX_TIME.fullmatch(time):
        raise ConfigError(f"trainer.max_time: expected DD:HH:MM:SS such as 00:01:30:00, got '{time}'")
    for key in _SHARES:
        value = get(cfg, key)
        if value is not None and (value < 0 or (isinstance(value, float) and value > 1)):
            raise ConfigError(f"{key}: expected a whole number of steps or a share in 0.0 … 1.0, got {value}")
    devices = get(cfg, "trainer.devices")
    if not _devices(devices):
        raise ConfigError(
            f"trainer.devices: expected a number, a list such as [0,1], or auto, got {devices!r}"
        )
    precision = get(cfg, "trainer.precision")
    if get(cfg, "trainer.accelerator") == "cpu" and precision in ("16-mixed", "16-true"):
        raise ConfigError(
            f"trainer.precision={precision}: float16 needs a GPU; on the CPU give bf16-mixed or 32-true"
        )


def _devices(value: Any) -> bool:
    if OmegaConf.is_list(value):
        return len(value) > 0 and all(is_index(item) and item >= 0 for item in value)
    if isinstance(value, str):
        return value == "auto" or re.fullmatch(r"-1|\d+(,\d+)*,?", value) is not None
    return is_index(value) and (value == -1 or value > 0)
