"""One record as typed, checked data. Records come from anywhere: nothing in them is trusted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hmseg.episode_table import COLUMNS, Rows, read_table
from hmseg.errors import DataError
from hmseg.reporting.fields import Reader, printable
from hmseg.reporting.setting import Setting, masking_label, model_label
from hmseg.untrusted import parsing

_AGGREGATION = "vote"
_PRECISION = "32-true"
TRAINING_KEYS = (
    "loader.batch_size", "loader.train_episodes", "loader.train_shot", "loader.augmentation",
    "optimizer._target_", "optimizer.lr", "trainer.max_epochs", "trainer.max_steps", "trainer.max_time",
    "model.prior", "loader.draw", "loader.without", "void_in_loss", "callbacks.ema.decay",
)  # fmt: skip
"""Settings of a training by which runs are told apart, besides those in `Setting`."""


@dataclass(frozen=True)
class ClassScore:
    """IoU of one class in percent."""

    class_id: int
    name: str
    iou: float
    episodes: int


@dataclass(frozen=True)
class Validation:
    """One validation of a training: epoch from 1, seconds trained so far (None where unknown), mIoU."""

    epoch: int
    seconds: float | None
    miou: float


@dataclass(frozen=True, eq=False)
class Measurement:
    """A record: one checkpoint on one list of episodes under one setting.

    Attributes:
        identity: the record's id.
        source: file it was read from.
        table_path: its table of episodes; None where there is none.
        setting: what it was made with.
        fold: None for data without folds.
        folds: how many the data set has; 0 for none, None where unknown.
        seed: of the training.
        run: of the training; "" where unknown.
        digest: of the list of episodes.
        record: the whole, for what is only shown.
    """

    identity: str
    source: Path
    table_path: Path | None
    setting: Setting
    fold: int | None
    folds: int | None
    seed: int
    run: str
    digest: str
    miou: float
    fb_iou: float
    episodes: int
    classes: tuple[ClassScore, ...]
    history: tuple[Validation, ...]
    record: Mapping[str, Any]

    @cached_property
    def table(self) -> Rows | None:
        """Its table of episodes, (N, 8); None where there is none.

        Raises:
            DataError: it is damaged or of another evaluation.
        """
        if self.table_path is None:
            return None
        table = read_table(self.table_path)
        if len(table) != self.episodes:
            raise DataError(
                f"{self.table_path}: {len(table)} episodes, the record has {self.episodes}: evaluate again"
            )
        strangers = set(table[:, COLUMNS.index("class_id")].tolist()) - {c.class_id for c in self.classes}
        if strangers:
            raise DataError(f"{self.table_path}: classes {sorted(strangers)} are not the record's")
        return table

    @property
    def miou_by_set(self) -> tuple[float, float] | None:
        """Mean and deviation over several sets of episodes, where it was tested on several."""
        mean, deviation = self.record.get("miou_mean"), self.record.get("miou_std")
        numbers = all(isinstance(each, int | float) for each in (mean, deviation))
        return (float(mean), float(deviation)) if numbers else None  # type: ignore[arg-type]


def measurement(record: Mapping[str, Any], source: Path, table_path: Path | None) -> Measurement:
    """A record, checked.

    Args:
        record: as read; of format 2.
        source: its file, for messages.
        table_path: of its episodes, if there.

    Raises:
        DataError: one line: file, record, key, what came, what was expected.
    """
    where = f"{source}, record {printable(str(record.get('id', '')))[:16]}"
    with parsing(lambda why: DataError(f"{where}: it can't be used ({why}): evaluate again")):
        return _measurement(record, source, table_path)


def _measurement(record: Mapping[str, Any], source: Path, table_path: Path | None) -> Measurement:
    identity = str(record.get("id", ""))
    top = Reader(record, f"{source}, record {printable(identity)[:16]}")
    if not re.fullmatch(r"[0-9a-f]{16}", identity):
        raise DataError(f"{top.where}: id: 16 hex digits were expected")
    test, config, checkpoint = top.node("test"), top.node("config"), top.node("checkpoint")
    training = top.node("training", optional=True)
    trained = training.node("config", optional=True)
    top.node("backbone")
    checkpoint.text("sha256")
    shot = test.whole("shot")
    origin = checkpoint.text("origin", "trained")
    setting = Setting(
        dataset=test.text("dataset"),
        shot=shot,
        protocol=test.text("protocol"),
        protocol_seeds=test.wholes("protocol_seed"),
        episodes=top.whole("episodes"),
        lists=test.text("lists", "unknown"),
        size=test.wholes("size"),
        original_size=test.flag("original_size"),
        model=printable(model_label(config.node("model").values)),
        backbone=config.node("backbone").text("name", "unknown"),
        masking=printable(masking_label(config.node("masking").values)),
        aggregation=test.text("aggregation", _AGGREGATION) if shot > 1 else "",
        checkpoint=checkpoint.text("which", "other"),
        origin=origin,
        selection="" if origin != "trained" else training.text("selection", ""),
        precision=_precision(config),
        training=_training(trained) or _training(config),
    )
    fold = test.values.get("fold")
    return Measurement(
        identity=identity,
        source=source,
        table_path=table_path,
        setting=setting,
        fold=None if fold is None else test.whole("fold"),
        folds=config.node("dataset", optional=True).whole("folds", None),
        seed=_seed(trained, config),
        run=top.text("run", ""),
        digest=test.text("digest"),
        miou=top.number("miou"),
        fb_iou=top.number("fb_iou"),
        episodes=top.whole("episodes"),
        classes=tuple(
            ClassScore(one.whole("class_id"), one.text("name"), one.number("iou"), one.whole("episodes"))
            for one in top.nodes("per_class")
        ),
        history=tuple(
            Validation(one.whole("epoch"), one.number("seconds", None), one.number("miou"))
            for one in training.nodes("history")
        ),
        record=record,
    )


def _seed(trained: Reader, config: Reader) -> int:
    """Of the training; an evaluation's own, which draws nothing, where the training's isn't known."""
    seeds = (each.whole("seed", None) for each in (trained, config))
    return next((seed for seed in seeds if seed is not None), 0)


def _precision(config: Reader) -> str:
    """Of the test; "" for float32."""
    computed = config.node("trainer", optional=True).text("precision", _PRECISION)
    kept = config.node("features", optional=True).text("precision", "")
    return ", ".join([computed] * (computed != _PRECISION) + [f"{kept} maps"] * (kept == "float16"))


def _training(config: Reader) -> str:
    """The settings of a training in one text; "" where they are of an evaluation, which has no optimiser."""
    if not isinstance(config.values.get("optimizer"), Mapping):
        return ""
    found = []
    for key in TRAINING_KEYS:
        node, _, name = key.rpartition(".")
        values = config.values.get(node) if node else config.values
        if isinstance(values, Mapping) and values.get(name) is not None:
            found.append(f"{key}={printable(str(values[name]))}")
    return ", ".join(found)
