"""What types can't say: ranges, and pairs that can't be run. Nothing is built or imported here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hmseg.config.checks_episodes import check_episodes
from hmseg.config.checks_prepare import check_prepare
from hmseg.config.checks_report import check_report
from hmseg.config.checks_reproduce import check_reproduce
from hmseg.config.explain import unknown_key
from hmseg.config.schema_data import ShapesConfig
from hmseg.config.schema_masking import HybridMaskingConfig, InputMaskingConfig
from hmseg.errors import ConfigError, unknown
from hmseg.masking_options import check_options

PROTOCOLS = ("hsnet", "ifsl", "strict")
AGGREGATIONS = ("vote", "mean_logits", "mean_probability", "concat")
BUNDLED = ("mobilenet_v2",)
MIN_IMAGE_SIZE = 64
"""Two cells of the deepest map (stride 32) a side: fewer leave nothing to correlate."""

_BUILT = ("model", "masking", "backbone", "dataset.source", "optimizer")
_PRECISIONS = (
    "32-true", "32", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true", "64",
)  # fmt: skip
_ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")
_AT_LEAST = {
    "shot": 1,
    "seed": 0,
    "loader.batch_size": 1,
    "loader.eval_batch_size": 1,
    "loader.num_workers": 0,
    "loader.train_episodes": 1,
    "loader.val_episodes": 1,
    "loader.test_episodes": 1,
    "loader.train_shot": 1,
    "loader.keep_images": 0,
    "trainer.num_nodes": 1,
    "trainer.max_epochs": -1,
    "trainer.max_steps": -1,
    "trainer.accumulate_grad_batches": 1,
    "trainer.log_every_n_steps": 1,
    "trainer.num_sanity_val_steps": -1,
    "trainer.check_val_every_n_epoch": 1,
    "dataset.image_size": MIN_IMAGE_SIZE,
    "dataset.folds": 0,
    "optimizer.weight_decay": 0,
}
_SHARES = (
    "trainer.limit_train_batches",
    "trainer.limit_val_batches",
    "trainer.limit_test_batches",
    "trainer.val_check_interval",
)
_MAX_TIME = re.compile(r"\d+:\d{1,2}:\d{1,2}:\d{1,2}")
_LARGEST_SEED = 2**32 - 1  # NumPy's


def check(cfg: DictConfig) -> None:
    """Refuse what can't be run, before anything is built.

    Args:
        cfg: a composed configuration of training or evaluation; not changed.

    Raises:
        ConfigError: one line: the key, what came, what was expected.
    """
    if "sweep" in (_fields(cfg) or cfg):  # a report: nothing is built
        for test in (_keys, _interpolations, check_report):
            test(cfg)
        return
    if "archive" in (_fields(cfg) or cfg):  # preparation: no network, no training
        for test in (_structure, _interpolations, check_prepare):
            test(cfg)
        return
    if "claim" in (_fields(cfg) or cfg):  # claims: what trains and tests has its own checks
        for test in (_structure, _interpolations, check_reproduce):
            test(cfg)
        return
    if "seeds" in (_fields(cfg) or cfg):  # lists of episodes: no network
        for test in (_structure, _interpolations, _ranges, _fold, _choices, _seeds, check_episodes):
            test(cfg)
        return
    for test in (
        _structure, _interpolations, _ranges, _fold, _choices, _seeds,
        _trainer, _weights, _features, _masking, _source,
    ):  # fmt: skip
        test(cfg)


def get(cfg: DictConfig, key: str) -> Any:
    """The value of a dotted key, None where it is absent or missing.

    Raises:
        ConfigError: an interpolation that can't be resolved.
    """
    try:
        return OmegaConf.select(cfg, key, default=None, throw_on_missing=False)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{key}: {str(error).splitlines()[0]}") from error


def _keys(cfg: DictConfig) -> None:
    """Keys forced in by ``+key`` or removed by ``~key``, values not given."""
    for path, typed in _typed_nodes(cfg):
        for name in map(str, typed):
            if name not in _fields(typed):
                raise ConfigError(unknown_key(f"{path}{name}", typed))
    for key, node in _nodes(cfg):
        if node._is_missing():
            raise ConfigError(f"{key}: a value is required; give {key}=…")


def _structure(cfg: DictConfig) -> None:
    """The same, and groups with nothing to build."""
    _keys(cfg)
    for name in _BUILT:
        node = OmegaConf.select(cfg, name)
        absent = name.split(".")[0] not in (_fields(cfg) or cfg)
        if not absent and not (isinstance(node, DictConfig) and "_target_" in node):
            raise ConfigError(f"{name}: expected a node with the _target_ to build, got {node}")


def _fields(node: DictConfig) -> tuple[str, ...]:
    return tuple(getattr(OmegaConf.get_type(node), "__dataclass_fields__", ()))


def _interpolations(cfg: DictConfig) -> None:
    """Every ``${…}`` but Hydra's own, which have a value only in a run."""
    for key, node in _nodes(cfg):
        if node._is_interpolation():
            try:
                OmegaConf.select(cfg, key)
            except OmegaConfBaseException as error:
                if not any(sign in str(error) for sign in ("HydraConfig was not set", "${hydra:")):
                    raise ConfigError(f"{key}: {str(error).splitlines()[0]}") from error


def _nodes(node: DictConfig, prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name in map(str, node):
        child = node._get_node(name)
        yield f"{prefix}{name}", child
        if isinstance(child, DictConfig) and not (
            child._is_none() or child._is_missing() or child._is_interpolation()
        ):
            yield from _nodes(child, f"{prefix}{name}.")


def _typed_nodes(cfg: DictConfig) -> Iterable[tuple[str, DictConfig]]:
    nodes = [("", cfg), *((f"{key}.", node) for key, node in _nodes(cfg) if isinstance(node, DictConfig))]
    return ((path, node) for path, node in nodes if _fields(node))


def _ranges(cfg: DictConfig) -> None:
    for key, least in _AT_LEAST.items():
        value = _number(cfg, key)
        if value is not None and not value >= least:
            raise ConfigError(f"{key}: expected at least {least}, got {value}")
    seed, rate = _number(cfg, "seed"), _number(cfg, "optimizer.lr")
    if seed is not None and seed > _LARGEST_SEED:
        raise ConfigError(f"seed: expected at most {_LARGEST_SEED}, got {seed}")
    limit = _number(cfg, "features.limit_gb")
    if limit is not None and not limit > 0:
        raise ConfigError(f"features.limit_gb: expected a number above 0, got {limit}")
    if rate is not None and not rate > 0:
        raise ConfigError(f"optimizer.lr: expected a number above 0, got {rate}")


def _number(cfg: DictConfig, key: str) -> float | None:
    """A number, which a user's own YAML without a schema may have as text."""
    value = get(cfg, key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ConfigError(f"{key}: expected a number, got '{value}'")
    return value


def _seeds(cfg: DictConfig) -> None:
    """One seed of the protocol, or several different ones."""
    for key in ("loader.protocol_seed", "seeds"):
        value = get(cfg, key)
        seeds = list(value) if OmegaConf.is_list(value) else [value]
        numbers = all(_index(seed) and 0 <= seed <= _LARGEST_SEED for seed in seeds)
        if value is not None and not (seeds and numbers and len(set(seeds)) == len(seeds)):
            raise ConfigError(
                f"{key}: expected a number of at least 0, or different ones as [0,1], got {value}"
            )


def _fold(cfg: DictConfig) -> None:
    fold, folds, name = get(cfg, "fold"), get(cfg, "dataset.folds"), get(cfg, "dataset.name")
    if not folds:
        if fold is not None:
            raise ConfigError(f"fold={fold}: dataset {name} has no folds; give fold=null")
    elif fold is None:
        raise ConfigError(f"fold=null: dataset {name} has {folds} folds; give fold=0 to fold={folds - 1}")
    elif not 0 <= fold < folds:
        raise ConfigError(f"fold={fold}: dataset {name} has folds 0 to {folds - 1}")


def _choices(cfg: DictConfig) -> None:
    for key, options in (
        ("protocol", PROTOCOLS),
        ("loader.protocol", PROTOCOLS),
        ("loader.resize", ("pil", "opencv")),
        ("loader.augmentation", ("none", "vat")),
        ("loader.selection", ("published", "clean")),
        ("aggregation", AGGREGATIONS),
        ("features.precision", ("float32", "float16")),
        ("dataset.novel", ("keep", "drop")),
        ("void_in_loss", ("background", "ignore")),
        ("split", ("test", "val")),
        ("trainer.precision", _PRECISIONS),
        ("trainer.accelerator", _ACCELERATORS),
    ):
        value = get(cfg, key)
        if value is None or value in options:
            continue
        likely = [option for option in options if option.startswith(f"{value}-")]  # 16: 16-mixed
        raise ConfigError(unknown(key, value, likely or options))


def _trainer(cfg: DictConfig) -> None:
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
        return len(value) > 0 and all(_index(item) and item >= 0 for item in value)
    if isinstance(value, str):
        return value == "auto" or re.fullmatch(r"-1|\d+(,\d+)*,?", value) is not None
    return _index(value) and (value == -1 or value > 0)


def _index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


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
