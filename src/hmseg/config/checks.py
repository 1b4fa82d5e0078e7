"""What types can't say: ranges, and pairs that can't be run. Nothing is built or imported here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hmseg.config.checks_app import check_app
from hmseg.config.checks_dashboard import check_dashboard
from hmseg.config.checks_episodes import check_episodes
from hmseg.config.checks_export import check_export
from hmseg.config.checks_parts import check_parts
from hmseg.config.checks_predict import check_predict
from hmseg.config.checks_prepare import check_prepare
from hmseg.config.checks_report import check_report
from hmseg.config.checks_reproduce import check_reproduce
from hmseg.config.checks_trainer import ACCELERATORS, PRECISIONS, check_trainer
from hmseg.config.explain import unknown_key
from hmseg.config.values import get, is_index, number
from hmseg.errors import ConfigError, unknown

PROTOCOLS = ("hsnet", "ifsl", "strict")
AGGREGATIONS = ("vote", "mean_logits", "mean_probability", "concat")
MIN_IMAGE_SIZE = 64
"""Two cells of the deepest map (stride 32) a side: fewer leave nothing to correlate."""

_BUILT = ("model", "masking", "backbone", "dataset.source", "optimizer")
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
    "recompute": 1,
    "optimizer.weight_decay": 0,
}
_LARGEST_SEED = 2**32 - 1  # NumPy's


def check(cfg: DictConfig) -> None:
    """Refuse what can't be run, before anything is built.

    Args:
        cfg: a composed configuration of training or evaluation; not changed.

    Raises:
        ConfigError: one line: the key, what came, what was expected.
    """
    known = _fields(cfg) or tuple(map(str, cfg))
    tests = next((tests for key, tests in _OTHERS.items() if key in known), _RUNS)
    for test in tests:
        test(cfg)


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
        value = number(cfg, key)
        if value is not None and not value >= least:
            raise ConfigError(f"{key}: expected at least {least}, got {value}")
    seed, rate = number(cfg, "seed"), number(cfg, "optimizer.lr")
    if seed is not None and seed > _LARGEST_SEED:
        raise ConfigError(f"seed: expected at most {_LARGEST_SEED}, got {seed}")
    limit = number(cfg, "features.limit_gb")
    if limit is not None and not limit > 0:
        raise ConfigError(f"features.limit_gb: expected a number above 0, got {limit}")
    decay = number(cfg, "callbacks.ema.decay")
    if decay is not None and not 0 < decay < 1:
        raise ConfigError(f"callbacks.ema.decay: expected a number between 0 and 1, or null, got {decay}")
    if rate is not None and not rate > 0:
        raise ConfigError(f"optimizer.lr: expected a number above 0, got {rate}")


def _seeds(cfg: DictConfig) -> None:
    """One seed of the protocol, or several different ones."""
    for key in ("loader.protocol_seed", "seeds"):
        value = get(cfg, key)
        seeds = list(value) if OmegaConf.is_list(value) else [value]
        numbers = all(is_index(seed) and 0 <= seed <= _LARGEST_SEED for seed in seeds)
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
        ("loader.augmentation", ("none", "vat", "geometric")),
        ("loader.selection", ("published", "clean")),
        ("loader.draw", ("published", "class")),
        ("aggregation", AGGREGATIONS),
        ("features.precision", ("float32", "float16")),
        ("dataset.novel", ("keep", "drop")),
        ("logger.wandb.mode", ("online", "offline", "disabled")),
        ("void_in_loss", ("background", "ignore")),
        ("split", ("test", "val")),
        ("trainer.precision", PRECISIONS),
        ("trainer.accelerator", ACCELERATORS),
    ):
        value = get(cfg, key)
        if value is None or value in options:
            continue
        likely = [option for option in options if option.startswith(f"{value}-")]  # 16: 16-mixed
        raise ConfigError(unknown(key, value, likely or options))


_Tests = tuple[Callable[[DictConfig], None], ...]
_RUNS: _Tests = (_structure, _interpolations, _ranges, _fold, _choices, _seeds, check_trainer, check_parts)
"""Of training, evaluation and conversion."""
_OTHERS: Mapping[str, _Tests] = {
    "port": (_keys, _interpolations, check_app),  # a page: the checkpoint says what is built
    "sweep": (_keys, _interpolations, check_report),  # nothing is built
    "query": (_keys, _interpolations, _choices, check_predict),  # the network is the checkpoint's
    "workspace": (_keys, _interpolations, check_dashboard),  # nothing is built
    "archive": (_structure, _interpolations, check_prepare),  # no network, no training
    "claim": (_structure, _interpolations, check_reproduce),  # what trains and tests has its own checks
    "opset": (_structure, _interpolations, _choices, check_parts, check_export),  # no data
    "seeds": (_structure, _interpolations, _ranges, _fold, _choices, _seeds, check_episodes),  # no network
}
"""Of the other programs, each told by a key that it alone has."""
