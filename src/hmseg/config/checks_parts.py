"""What types can't say about backbone, masking, shots and data: pairs that can't be run together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hmseg.config.schema_data import ShapesConfig
from hmseg.config.schema_masking import HybridMaskingConfig, InputMaskingConfig
from hmseg.config.training_free import NOTHING_TO_TRAIN
from hmseg.config.values import get
from hmseg.data.mask_meaning import check_reading
from hmseg.errors import ConfigError
from hmseg.masking_options import check_options

BUNDLED = ("mobilenet_v2", "efficientnet_lite2")


def check_parts(cfg: DictConfig) -> None:
    """Refuse parts that don't go together.

    Raises:
        ConfigError: one line: the key, what came, what was expected.
    """
    for test in (_training_free, _weights, _features, _shots, _masking, _source, _own_masks):
        test(cfg)


def _training_free(cfg: DictConfig) -> None:
    """The prototype has nothing to train."""
    if "optimizer" in cfg and str(get(cfg, "model._target_")).endswith(".PrototypeHead"):
        raise ConfigError(NOTHING_TO_TRAIN)


def _weights(cfg: DictConfig) -> None:
    name, weights = get(cfg, "backbone.name"), get(cfg, "backbone.weights")
    if weights == "checkpoint" and "optimizer" in cfg:
        raise ConfigError(
            "backbone.weights=checkpoint: these are the weights inside a checkpoint that is evaluated; for "
            "training give imagenet, bundled, random or a file"
        )
    if weights == "bundled" and name not in BUNDLED:
        raise ConfigError(
            f"backbone.weights=bundled: only the weights of {', '.join(BUNDLED)} are in the package; "
            f"for {name} give imagenet, random or a file"
        )
    if weights == "imagenet" and name == "resnet50_caffe":
        raise ConfigError(
            "backbone.weights=imagenet: there is no download for resnet50_caffe; give a file or random"
        )


def _features(cfg: DictConfig) -> None:
    """Augmented images differ each time: keeping their maps would only fill the disk."""
    if get(cfg, "features.folder") is not None and get(cfg, "loader.augmentation") not in (None, "none"):
        raise ConfigError(
            f"features.folder: loader.augmentation={get(cfg, 'loader.augmentation')} changes each image, so "
            "no kept map is ever of use; set one of them to null or none"
        )


def _shots(cfg: DictConfig) -> None:
    """VAT resizes supports to a fixed grid, so that several can't be joined into a wide one."""
    if get(cfg, "aggregation") == "concat" and str(get(cfg, "model._target_")).endswith(".VATHead"):
        raise ConfigError(
            "aggregation=concat: VAT has a fixed grid for a support, so several can't be joined; give vote, "
            "mean_logits or mean_probability"
        )


def _masking(cfg: DictConfig) -> None:
    """Options of the shipped maskings; a user's own masking checks its own."""
    if OmegaConf.get_type(cfg.masking) in (InputMaskingConfig, HybridMaskingConfig):
        check_options(OmegaConf.to_container(cfg.masking, resolve=True))  # type: ignore[arg-type]


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "dataset.source.difficulty": (lambda value: 0 <= value <= 1, "a number in 0 … 1"),
    "dataset.source.train_images": (lambda value: value >= 1, "at least 1"),
    "dataset.source.val_images": (lambda value: value >= 1, "at least 1"),
    "dataset.source.seed": (lambda value: value >= 0, "at least 0"),
}


def _source(cfg: DictConfig) -> None:
    """Ranges of the shipped data sets' options; a user's own source checks its own."""
    if OmegaConf.get_type(cfg.dataset) is not ShapesConfig:
        return
    for key, (rule, expected) in _RULES.items():
        value = get(cfg, key)
        if value is not None and not rule(value):
            raise ConfigError(f"{key}: expected {expected}, got {value}")


def _own_masks(cfg: DictConfig) -> None:
    """What the mask files of a user's own data mean."""
    if isinstance(OmegaConf.select(cfg, "dataset"), DictConfig) and "mask" in cfg.dataset:
        check_reading(cfg.dataset.mask, "dataset.mask")
