"""A test that is stopped goes on where it was; batches, workers and interruptions change no number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

from hmseg.callbacks.journal import TestJournal
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.shapes import ShapesSource
from hmseg.episode_table import Rows, read_table
from hmseg.errors import DataError
from hmseg.evaluation import save_record
from hmseg.evaluation_record import identity, record_path, table_path
from hmseg.metrics import Scores
from hmseg.module import SegmentationModule
from hmseg.records import Record
from tiny import LIGHTNING_WARNINGS, tiny_module, tiny_trainer

pytestmark = LIGHTNING_WARNINGS
EPISODES = 12


class Stop(pl.Callback):
    """Interrupts the test after some batches."""

    def __init__(self, batches: int, error: type[BaseException] = RuntimeError) -> None:
        self.batches, self.error = batches, error

    def on_test_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self.batches -= 1
        if self.batches == 0:
            raise self.error


def data_of(**options: Any) -> EpisodeDataModule:
    settings = {"fold": 0, "size": 32, "shot": 2, "test_episodes": EPISODES, "eval_batch_size": 2, **options}
    return EpisodeDataModule(ShapesSource(image_size=48, train_images=40, val_images=60), **settings)  # type: ignore[arg-type]


def test_of(
    folder: Path, data: EpisodeDataModule, key: str = "key", stop: Stop | None = None, **options: Any
) -> tuple[SegmentationModule, Rows]:
    """One call of the program's test, as ``hmseg.evaluation`` goes about it."""
    journal = TestJournal(folder / "best.unfinished", key, seconds=0)
    module = tiny_module(classes=data.test_classes, original_size=data.original_size, **options)
    module.tested = torch.from_numpy(journal.done[: EPISODES - 1])
    data.tested = frozenset(journal.done[: EPISODES - 1, 0].tolist())
    callbacks = [journal, *([stop] if stop else [])]
    tiny_trainer(folder, callbacks=callbacks).test(module, data, verbose=False)
    return module, journal.read()


test_of.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scores, Rows]:
    module, table = test_of(tmp_path_factory.mktemp("whole"), data_of())
    assert module.scores is not None and 0 < module.scores.miou < 100
    return module.scores, table


def test_the_table_holds_what_the_scores_are_made_of(undisturbed: tuple[Scores, Rows]) -> None:
    scores, table = undisturbed
    assert table[:, 0].tolist() == list(range(EPISODES))
    for class_id, iou in scores.per_class.items():
        rows = table[table[:, 1] == class_id]
        assert iou == pytest.approx(100 * rows[:, 6].sum() / max(1, rows[:, 7].sum()))
        assert scores.episodes[class_id] == len(rows)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_test_ends_like_an_undisturbed_one(
    tmp_path: Path, undisturbed: tuple[Scores, Rows], error: type[BaseException]
) -> None:
    with pytest.raises((error, SystemExit)):
        test_of(tmp_path, data_of(), stop=Stop(2, error))
    assert len(TestJournal(tmp_path / "best.unfinished", "key").done) >= 2
    data = data_of()
    module, table = test_of(tmp_path, data)
    assert len(data.test_dataloader().sampler) < EPISODES  # type: ignore[arg-type]
    assert module.scores == undisturbed[0] and np.array_equal(table, undisturbed[1])
    again, _ = test_of(tmp_path, data_of())  # complete already: one episode is run again, nothing changes
    assert again.scores == undisturbed[0]


def test_rows_of_something_else_or_cut_are_not_taken(
    tmp_path: Path, undisturbed: tuple[Scores, Rows]
) -> None:
    test_of(tmp_path, data_of(), key="another checkpoint")
    assert len(TestJournal(tmp_path / "best.unfinished", "key").done) == 0
    module, table = test_of(tmp_path, data_of())
    assert module.scores == undisturbed[0]
    (path,) = tmp_path.glob("best.unfinished.*")
    path.write_text(path.read_text()[:-3])  # the last line is cut
    assert len(TestJournal(tmp_path / "best.unfinished", "key").done) == EPISODES - 1
    path.write_text("key\nsomething,else\n1,2\n")
    journal = TestJournal(tmp_path / "best.unfinished", "key")
    assert len(journal.done) == 0
    journal.remove()
    assert not list(tmp_path.glob("best*"))


@pytest.mark.parametrize("original_size", [False, True])
def test_batch_size_and_workers_change_no_number(tmp_path: Path, original_size: bool) -> None:
    tables = [
        test_of(
            tmp_path / f"{batch}-{workers}",
            data_of(eval_batch_size=batch, num_workers=workers, original_size=original_size),
        )[1]
        for batch, workers in ((1, 0), (5, 1), (EPISODES, 2))
    ]
    assert len(tables[0]) == EPISODES
    assert all(np.array_equal(table, tables[0]) for table in tables[1:])
    largest = 48 * 48 if original_size else 32 * 32
    assert tables[0][:, 3].max() <= largest < 4 * tables[0][:, 3].max()


@pytest.mark.parametrize("aggregation", ["mean_logits", "mean_probability"])
def test_another_aggregation_is_used(
    tmp_path: Path, undisturbed: tuple[Scores, Rows], aggregation: str
) -> None:
    _, table = test_of(tmp_path, data_of(), aggregation=aggregation)
    assert not np.array_equal(table[:, 4:], undisturbed[1][:, 4:])
    assert np.array_equal(table[:, :4], undisturbed[1][:, :4])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="can't be written"):
        test_of(tmp_path / "file", data_of())


def test_an_evaluation_in_another_precision_is_another_one(tmp_path: Path) -> None:
    data, module = data_of(), tiny_module()
    data.setup("test")
    full = identity(module, data, "checksum")
    module.config = {**module.config, "trainer": {"precision": "32-true"}}
    assert identity(module, data, "checksum") == full
    module.config = {**module.config, "trainer": {"precision": "bf16-mixed"}}
    assert identity(module, data, "checksum") != full
    paths = [
        record_path(tmp_path / "best.ckpt", "shapes", data, "vote", p) for p in ("32-true", "bf16-mixed")
    ]
    assert [path.name for path in paths] == [
        "best.shapes-fold0-2shot-hsnet-12.json", "best.shapes-fold0-2shot-hsnet-12-bf16-mixed.json",
    ]  # fmt: skip


def test_a_table_that_is_not_of_the_record_s_length_is_not_written(tmp_path: Path) -> None:
    data = data_of()
    module, table = test_of(tmp_path, data)
    assert module.scores is not None
    cfg = OmegaConf.create(
        {"dataset": {"name": "shapes"}, "aggregation": "vote", "trainer": {"precision": "32-true"},
         "paths": {"records": None}}
    )  # fmt: skip
    journal = TestJournal(tmp_path / "best.unfinished", "key")
    record: Record = {"episodes": EPISODES}
    (path,) = tmp_path.glob("best.unfinished.*")
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match=f"hold {EPISODES - 1} episodes, {EPISODES} were tested"):
        save_record(cfg, tmp_path / "best.ckpt", data, record, journal)
    assert not list(tmp_path.glob("best.shapes*"))
    path.write_text(whole)
    target = save_record(cfg, tmp_path / "best.ckpt", data, record, journal)
    assert np.array_equal(read_table(table_path(target)), table)
