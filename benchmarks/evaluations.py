"""The evaluation loop end to end: reading, network, vote, scores; the published way and the product's."""

from __future__ import annotations

import atexit
import logging
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from published_metrics import PublishedMeter
from published_network import PublishedNetwork
from published_reading import PublishedReading
from scenarios import FILLING, PRODUCT, PUBLISHED, Cell, networks
from torch.utils.data import DataLoader

from hmseg.allocator import keep_freed_memory
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.pascal import PascalSource
from hmseg.feature_store import FeatureStore
from hmseg.module import SegmentationModule

POINTS = 0.05
"""Most that mIoU and FB-IoU of the two ways may differ: argmax of almost equal logits falls either way."""

Scores = tuple[float, float]


def evaluation_works(cell: Cell, ways: Sequence[str]) -> dict[str, Callable[[], float]]:
    """Each way's evaluation of the first published test episodes, giving its seconds.

    Settings are those of ``python -m hmseg.evaluate`` without any given (conf/evaluate.yaml), and where maps
    are kept, ``features.folder``: beside the published way, an evaluation that fills the folder and is timed
    by itself comes before the one that finds all of them there.
    """
    if cell.root is None:
        sys.exit("error: the evaluation reads photos: give --root, a VOC2012 folder as hmseg takes it")
    baseline, product = networks(cell, ways)
    classes = source(cell).classes("test", cell.fold)
    runs: dict[str, Callable[[], Scores]] = {
        PUBLISHED: lambda: published(cell, baseline),
        PRODUCT: lambda: ours(cell, SegmentationModule(product, None, classes)),
    }
    if cell.keeps_maps and product is not None:
        folder = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        product.store = FeatureStore(folder, "benchmark")
        runs[FILLING] = runs[PRODUCT]
        ways = [*(way for way in ways if way == PUBLISHED), *([FILLING] if len(ways) > 1 else []), PRODUCT]
    found: dict[str, Scores] = {}

    def timed(way: str) -> float:
        if way != PUBLISHED:
            keep_freed_memory()  # as hmseg's programs do; the published way comes first
        started = time.perf_counter()
        found[way] = runs[way]()
        seconds = time.perf_counter() - started
        first = next(iter(found.values()))
        if not all(abs(a - b) <= POINTS for a, b in zip(first, found[way], strict=True)):
            sys.exit(f"error: mIoU and FB-IoU differ between the ways: {found}")
        return seconds

    return {way: lambda way=way: timed(way) for way in ways}  # type: ignore[misc]


def source(cell: Cell) -> PascalSource:
    """The photos, opened anew: nothing that one run has read serves the next."""
    return PascalSource(Path(str(cell.root)))


def data_of(cell: Cell) -> EpisodeDataModule:
    """The product's data with the loader of conf/evaluate.yaml."""
    given = OmegaConf.load(Path(__file__).parents[1] / "conf" / "evaluate.yaml").loader
    return EpisodeDataModule(
        source(cell),
        cell.fold,
        cell.side,
        shot=cell.shots,
        eval_batch_size=given.eval_batch_size,
        num_workers=given.num_workers,
        keep_images=given.keep_images,
        test_episodes=cell.episodes,
    )


@torch.no_grad()
def published(cell: Cell, network: PublishedNetwork) -> Scores:
    """Batches of one, read in the main process, as the published test programs do."""
    data = data_of(cell)
    reading = PublishedReading(data.source, data.test_specs, data.size)  # type: ignore[arg-type]
    meter = PublishedMeter(data.test_classes)
    batches: Iterator[dict[str, torch.Tensor]] = iter(DataLoader(reading, batch_size=1, num_workers=0))
    for batch in batches:
        batch = {name: value.to(cell.device) for name, value in batch.items()}
        prediction = network.predict(batch["query_image"], batch["support_images"], batch["support_masks"])
        meter.update(prediction, batch["query_mask"], batch["query_void"], batch["class_id"])
    return meter.compute()


def ours(cell: Cell, module: SegmentationModule) -> Scores:
    """``Trainer.test`` of the module, as ``hmseg.evaluate`` runs it."""
    warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    trainer = pl.Trainer(
        accelerator="gpu" if cell.device == "cuda" else "cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.test(module, data_of(cell), verbose=False)
    assert module.scores is not None
    return module.scores.miou, module.scores.fb_iou
