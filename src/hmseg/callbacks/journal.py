"""The episodes of a test that are done, in a file, so that an interrupted test goes on where it stopped."""

from __future__ import annotations

import glob
import logging
import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from hmseg.episode_table import COLUMNS, Rows, parse_rows, table_of
from hmseg.errors import DataError, HmsegError
from hmseg.module import SegmentationModule
from hmseg.untrusted import read_text

log = logging.getLogger(__name__)
SECONDS = 10.0
"""Between two writings, each of which waits for the device once."""
ELSEWHERE = (
    "records go beside their checkpoint, so free some space, or copy the checkpoint to a folder of yours"
)
"""What to do where that folder can't be written."""


class TestJournal(Callback):
    """Writes the rows of tested episodes to a file for each device, and finds those of an earlier start.

    Args:
        path: where; each device adds its number. Removed by ``remove`` once the record is written.
        key: what the rows are of (checkpoint, episodes, setting); files with another key are written anew.
        seconds: between two writings.
    """

    __test__ = False  # not a test, whatever its name says to pytest

    def __init__(self, path: Path, key: str, seconds: float = SECONDS) -> None:
        self.path, self.key, self.seconds = path, key, seconds
        self._written = 0.0
        self.done = self.read()

    def read(self) -> Rows:
        """The rows in the files of all devices so far, in the order of the list."""
        return table_of(_rows_in(path, self.key) for path in self._files())

    def remove(self) -> None:
        """Deletes the files."""
        for path in self._files():
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{glob.escape(self.path.name)}.*"))

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins this device's file, with the rows found so far in the first one's."""
        trainer.strategy.barrier()  # every device has read the files of an earlier start
        rows = torch.from_numpy(self.done) if trainer.is_global_zero else None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            own = self._own(trainer)
            part = own.with_name(f".{own.name}")
            part.write_text(f"{self.key}\n{','.join(COLUMNS)}\n{_lines(rows)}")
            part.replace(own)
        except OSError as error:
            raise _unwritable(self.path, error) from None
        self._written = -math.inf  # the first batch is written at once: a folder that is full shows early

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Writes what has come, when that is due."""
        if time.monotonic() - self._written >= self.seconds:
            self._write(trainer, pl_module)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the rest; after this the files hold all episodes of the test."""
        self._write(trainer, pl_module)
        trainer.strategy.barrier()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Ctrl-C and the like: keeps what is done, unless it can't be used."""
        if trainer.testing and self._own(trainer).is_file():
            with suppress(HmsegError):  # the exception at hand is told
                self._write(trainer, pl_module)

    def _write(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, SegmentationModule)
        pl_module.check_finite()
        rows = pl_module.take_rows()
        try:
            with self._own(trainer).open("a") as file:
                file.write(_lines(rows))
        except OSError as error:
            raise _unwritable(self.path, error) from None
        self._written = time.monotonic()

    def _own(self, trainer: pl.Trainer) -> Path:
        return self.path.with_name(f"{self.path.name}.{trainer.global_rank}")


def _lines(rows: Tensor | None) -> str:
    return "" if rows is None else "".join(f"{','.join(map(str, row))}\n" for row in rows.tolist())


def _rows_in(path: Path, key: str) -> Rows:
    """The whole rows of a file; none where it is of something else or can't be read."""
    try:
        text = read_text(path)
        whole = text[: text.rfind("\n") + 1].splitlines()  # a last line that was cut does not count
        if len(whole) < 2 or whole[0] != key:
            return table_of([])
        return parse_rows(whole[1].split(","), [line.split(",") for line in whole[2:]])
    except Exception:  # noqa: BLE001 - whatever is wrong with it, nothing of it counts
        log.warning("%s can't be used: its episodes are tested again", path)
        return table_of([])


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path.parent} can't be written ({error.strerror}): {ELSEWHERE}")
