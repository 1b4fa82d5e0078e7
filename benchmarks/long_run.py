"""Memory and open files of a long training run.

python benchmarks/long_run.py results/long_run [--steps 200] [--epochs 5] [--side 64] [--batch 2]
    [--workers 1]

Trains as ``python -m hmseg.train`` does, on small drawn images: logs at each step, validates each epoch,
saves every 20 steps. Every 10 steps it notes resident memory of the process and of its readers, open file
handles, threads and the objects that Python's garbage collector knows. Writes NAME.json, NAME.md and
NAME.svg.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pytorch_lightning as pl
from timing import footer, made_on, write

from hmseg.allocator import keep_freed_memory
from hmseg.assembly import build_callbacks, build_datamodule, build_loggers, build_module, build_trainer
from hmseg.config import compose

EVERY = 10
"""Steps between two looks."""
COLUMNS = ("step", "epoch", "rss_mb", "readers_mb", "handles", "threads", "objects")
SHOWN = {
    "rss_mb": "resident memory, MB",
    "readers_mb": "of the readers, MB",
    "handles": "open files",
    "threads": "threads",
    "objects": "objects of Python",
}
Sample = dict[str, float]
Record = dict[str, Any]


class Watch(pl.Callback):
    """Notes what a run holds, every few steps."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % EVERY == 0:
            self.samples.append(look(trainer.global_step, trainer.current_epoch + 1))


def look(step: int, epoch: int) -> Sample:
    """One line of figures, after garbage is collected."""
    gc.collect()
    readers = [each.pid for each in multiprocessing.active_children() if each.pid is not None]
    values = (
        step, epoch, resident(os.getpid()), sum(map(resident, readers)), len(os.listdir("/proc/self/fd")),
        threading.active_count(), len(gc.get_objects()),
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def resident(process: int) -> float:
    """Resident memory of a process in MB (10^6 bytes)."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def train(args: argparse.Namespace, folder: Path) -> list[Sample]:
    """The run; what was noted."""
    cfg = compose(
        "experiment=shapes_quick", "trainer=cpu", f"dataset.image_size={args.side}",
        f"paths.output_dir={folder}",
        f"loader.batch_size={args.batch}", f"loader.train_episodes={args.batch * args.steps}",
        "loader.val_episodes=20", f"loader.num_workers={args.workers}", f"trainer.max_epochs={args.epochs}",
        "trainer.max_time=null", "trainer.log_every_n_steps=1", "callbacks.last.train_time_interval=null",
        "callbacks.last.every_n_train_steps=20",
    )  # fmt: skip
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = build_datamodule(cfg)
    watch = Watch()
    trainer = build_trainer(cfg, build_callbacks(cfg) | {"watch": watch}, build_loggers(cfg, "train"))
    keep_freed_memory()  # as the program does
    trainer.fit(build_module(cfg, data), data)
    return watch.samples


def summary(samples: Sequence[Sample]) -> Record:
    """Medians of each epoch, and the growth from the second epoch, when all is warm, to the last."""
    epochs = sorted({int(each["epoch"]) for each in samples})
    by_epoch = [
        {"epoch": epoch, **{name: median(s[name] for s in samples if s["epoch"] == epoch) for name in SHOWN}}
        for epoch in epochs
    ]
    first, last = by_epoch[min(1, len(by_epoch) - 1)], by_epoch[-1]
    growth = {name: round(last[name] - first[name], 1) for name in SHOWN}
    return {"by_epoch": by_epoch, "growth_since_second_epoch": growth, "steps": int(samples[-1]["step"])}


def report(record: Record) -> str:
    """The page."""
    growth = record["growth_since_second_epoch"]
    lines = [
        "# Memory and open files of a long run",
        "",
        f"{record['steps']} training steps in {len(record['by_epoch'])} epochs: HSNet, hybrid masking, "
        f"MobileNetV2, {record['side']} px, batch {record['batch']}, {record['workers']} reading "
        "process(es), a log line a step, a checkpoint every 20 steps, a validation each epoch. Medians of "
        f"each epoch, noted every {EVERY} steps.",
        "",
        f"| epoch | {' | '.join(SHOWN.values())} |",
        f"|--:|{'--:|' * len(SHOWN)}",
        *(
            f"| {each['epoch']} | {' | '.join(f'{each[name]:g}' for name in SHOWN)} |"
            for each in record["by_epoch"]
        ),
        f"| last - second | {' | '.join(f'{growth[name]:+g}' for name in SHOWN)} |",
        "",
        f"![over the steps]({record['plot']})",
        "",
        *footer(record),
    ]
    return "\n".join(lines)


def plot(samples: Sequence[Sample], path: Path) -> None:
    """Memory, handles and objects over the steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = ("rss_mb", "handles", "objects")
    figure, axes = pyplot.subplots(len(shown), 1, figsize=(7, 5), sharex=True)
    for axis, name in zip(axes, shown, strict=True):
        axis.plot([each["step"] for each in samples], [each[name] for each in samples])
        axis.set_ylabel(SHOWN[name])
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("step")
    figure.tight_layout()
    part = path.with_name(f".{path.name}.part")
    figure.savefig(part, format="svg", metadata={"Date": None})
    part.replace(path)
    pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Train, write figures, page and plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="path of the results without its ending")
    parser.add_argument("--steps", type=int, default=200, help="of an epoch")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--side", type=int, default=64, help="of the images, px")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="reading processes")
    args = parser.parse_args(argv)
    started = made_on()
    with tempfile.TemporaryDirectory() as folder:
        samples = train(args, Path(folder))
    about = {"side": args.side, "batch": args.batch, "workers": args.workers, "plot": f"{args.out.name}.svg"}
    record = {**summary(samples), **about, **started, "samples": samples}
    write(args.out.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    write(args.out.with_suffix(".md"), report(record))
    plot(samples, args.out.with_suffix(".svg"))
    print(report(record))


if __name__ == "__main__":
    main()
