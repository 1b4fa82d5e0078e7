"""Configuration: schemas, composition, and checks made before anything is built.

Importing this package does not import PyTorch.
"""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from hmseg.config.checks import check
from hmseg.config.checks_reproduce import for_reproduction
from hmseg.config.composer import Composer, conf_dir
from hmseg.config.exported import for_conversion
from hmseg.config.for_export import for_export
from hmseg.config.runs import readable, replay
from hmseg.config.stored import from_checkpoint, withdraw

__all__ = ["Composer", "check", "compose", "compose_plain", "conf_dir"]

_RUN_FOLDER = "${hydra:runtime.output_dir}"
_OUTSIDE_A_RUN = "outputs"
_PREPARATIONS = {
    "train": replay,
    "evaluate": from_checkpoint,
    "convert": for_conversion,
    "export": for_export,
    "reproduce": for_reproduction,
}


def compose(*overrides: str, config_name: str = "train") -> DictConfig:
    """The configuration that an entry point would get, for notebooks and tests.

    Outside a run there is no run folder: ``paths.output_dir`` is then ``outputs`` unless it is given.

    Args:
        *overrides: as on the command line.
        config_name: ``train``, ``evaluate`` or another of the files in ``conf/``.

    Raises:
        ConfigError: the one line that the entry point would print.
        CheckpointError: a checkpoint named by ``ckpt`` or ``resume`` is missing or damaged.

    Example:
        >>> cfg = compose("masking=feature", "fold=2")
        >>> cfg.fold, cfg.backbone.name, cfg.masking._target_
        (2, 'mobilenet_v2', 'hmseg.masking.FeatureMasking')
        >>> compose("masking=hybird")
        Traceback (most recent call last):
        hmseg.errors.ConfigError: unknown option 'hybird' for masking: did you mean 'hybrid'? ...
    """
    try:
        with Composer() as composer:
            change = _PREPARATIONS.get(config_name)
            words = [readable(composer, word) for word in overrides]
            prepared = change(composer, words) if change else words
            cfg = composer.compose(config_name, prepared)
    finally:
        withdraw()
    if "paths" in cfg and cfg.paths._get_node("output_dir")._value() == _RUN_FOLDER:
        cfg.paths.output_dir = _OUTSIDE_A_RUN
    check(cfg)
    return cfg


def compose_plain(*overrides: str, config_name: str = "train") -> dict[str, Any]:
    """As :func:`compose`, every interpolation resolved, as plain data: for modules that know no Hydra.

    Example:
        >>> compose_plain("experiment=vat_fss_resnet101")["loader"]["test_episodes"]
        2400
    """
    plain: dict[str, Any] = OmegaConf.to_container(compose(*overrides, config_name=config_name), resolve=True)  # type: ignore[assignment]
    return plain
