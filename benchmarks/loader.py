"""Episodes per second of the loader, beside the plain reading of the published code, with identical pixels.

python benchmarks/loader.py results/loader --root VOC2012 [--shots 1 5] [--workers 1 2] [--repeats 3] …

Two workloads of PASCAL-5i: the published test protocol, which comes back to the same images (1000 episodes of
a list of some hundred pairs), and training, where nearly all images differ. Before anything is timed, the
pixels of the first episodes are compared: floats with floats, to the bit. A figure is the rate from the first
batch on, so that the start of the workers does not count; the order of the ways alternates over the repeats,
and one round before them is not counted. Then the parts of reading are timed one by one.
Writes NAME.json and NAME.md, and prints the latter.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import torch
from parts import measure_parts
from published_reading import PublishedReading
from timing import interleaved, made_on, spread, write
from torch.utils.data import DataLoader

from hmseg.data.dataset import EpisodeDataset
from hmseg.data.episode import Episode, EpisodeSpec
from hmseg.data.loader import EpisodeLoader
from hmseg.data.pascal import PascalSource
from hmseg.data.protocols import episodes
from hmseg.data.sampler import eval_items
from hmseg.data.training_draws import training_episodes
from hmseg.data.transforms import normalise

Record = dict[str, Any]
PUBLISHED, PLAIN, KEPT, CACHED = "published code", "hmseg", "kept in memory", "cache of files"
WORKLOADS = {"test": (PUBLISHED, PLAIN, KEPT, CACHED), "training": (PUBLISHED, PLAIN, CACHED)}
KEEP = 512  # images, 0.3 GB in each process


def main(argv: Sequence[str] | None = None) -> None:
    """Compare pixels, time, write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="path of the results without its ending")
    parser.add_argument("--root", type=Path, required=True, help="a VOC2012 folder as hmseg takes it")
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--size", type=int, default=400)
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--images", type=int, default=1200, help="read per pass: episodes times their images")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    source = PascalSource(args.root)
    record: Record = {
        "settings": {key: value for key, value in vars(args).items() if key not in ("out", "root")},
        **made_on(opencv=cv2.__version__, albumentations=version("albumentations")),
        "loads": [],
    }
    with tempfile.TemporaryDirectory() as cache:
        for workload, shot in [*(("test", shot) for shot in args.shots), ("training", 1)]:
            specs = draw(source, workload, shot, args.fold, args.images // (shot + 1))
            ways = {way: loader_of(way, source, specs, args.size, Path(cache)) for way in WORKLOADS[workload]}
            check_pixels(ways)
            for workers in args.workers:
                print(f"{workload}, {shot}-shot, {workers} worker(s) ...", file=sys.stderr, flush=True)
                works = {way: partial(rate, make, args.batch_size, workers) for way, make in ways.items()}
                record["loads"].append(
                    {
                        "workload": workload,
                        "shot": shot,
                        "workers": workers,
                        "episodes": len(specs),
                        "images": len({name for spec in specs for name in (spec.query, *spec.supports)}),
                        "per_second": interleaved(works, args.repeats),
                    }
                )
    pairs = source.listing("train", args.fold).pairs
    sample = random.Random(0).sample(pairs, min(100, len(pairs)))
    record["parts"] = measure_parts(source, sample, (args.size, args.size), args.repeats)
    write(args.out.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    write(args.out.with_suffix(".md"), report(record))
    print(report(record))


def draw(source: PascalSource, workload: str, shot: int, fold: int, count: int) -> list[EpisodeSpec]:
    """The first episodes of the published test, or of a training epoch."""
    if workload == "test":
        return episodes("hsnet", source.listing("val", fold), shot, count)
    return list(training_episodes(source.listing("train", fold), shot, 0, 0, count))


Loader = Callable[[int, int], Iterable[Any]]


def loader_of(way: str, source: PascalSource, specs: Sequence[EpisodeSpec], side: int, cache: Path) -> Loader:
    """(batch size, workers) -> a fresh loader."""
    size = (side, side)
    if way == PUBLISHED:
        plain = PublishedReading(source, specs, size)
        return lambda batch_size, workers: DataLoader(plain, batch_size=batch_size, num_workers=workers)
    options: dict[str, Any] = {PLAIN: {}, KEPT: {"keep": KEEP}, CACHED: {"cache": cache}}[way]

    def make(batch_size: int, workers: int) -> EpisodeLoader:
        return EpisodeLoader(EpisodeDataset(source, size, **options), eval_items(specs), batch_size, workers)

    return make


def check_pixels(ways: dict[str, Loader], count: int = 24) -> None:
    """Every way gives the published floats, to the bit; exits otherwise."""
    for wanted, *others in zip(*(make(1, 0) for make in ways.values()), range(count), strict=False):
        for way, episode in zip(list(ways)[1:], others, strict=False):
            if not same(wanted, episode):
                sys.exit(f"error: the pixels of '{way}' are not those of '{PUBLISHED}': nothing is timed")


def same(wanted: dict[str, torch.Tensor], episode: Episode) -> bool:
    """Are images (normalised as on the device), masks and void the same?"""
    return (
        torch.equal(normalise(episode.query_image), wanted["query_image"])
        and torch.equal(normalise(episode.support_images), wanted["support_images"])
        and torch.equal(episode.query_mask.float(), wanted["query_mask"])
        and torch.equal(episode.query_void.float(), wanted["query_void"])
        and torch.equal(episode.support_masks.float(), wanted["support_masks"])
    )


def rate(make: Loader, batch_size: int, workers: int) -> float:
    """Episodes per second of one pass, from its first batch on."""
    batches = iter(make(batch_size, workers))
    next(batches)
    started, count = time.perf_counter(), 0
    for batch in batches:
        count += len(batch["class_id"] if isinstance(batch, dict) else batch.class_id)
    return count / (time.perf_counter() - started)


def report(record: Record) -> str:
    """The tables."""
    settings, machine = record["settings"], record["hardware"]
    lines = [
        "# Reading of episodes",
        "",
        f"PASCAL-5i fold {settings['fold']} at {settings['size']} pixels, batches of "
        f"{settings['batch_size']}. Episodes per second, median of {settings['repeats']} (smallest to "
        "largest), and in bold how many times the published code's median. The pixels of all ways are the "
        "same, to the bit.",
        "",
        f"| workload | workers | {' | '.join((PUBLISHED, PLAIN, KEPT, CACHED))} |",
        "|---|---|---|---|---|---|",
    ]
    for load in record["loads"]:
        found = {way: spread(values) for way, values in load["per_second"].items()}
        cells = [
            f"{found[way]} **x{found[way].median / found[PUBLISHED].median:.1f}**" if way in found else ""
            for way in (PUBLISHED, PLAIN, KEPT, CACHED)
        ]
        title = (
            f"{load['workload']}, {load['shot']}-shot, {load['episodes']} episodes of {load['images']} images"
        )
        lines.append(f"| {title} | {load['workers']} | {' | '.join(cells)} |")
    lines += ["", "| part of reading one image | milliseconds of processor time |", "|---|---|"]
    lines += [f"| {part} | {spread(values)} |" for part, values in record["parts"].items()]
    versions = ", ".join(f"{package} {version}" for package, version in record["versions"].items())
    return "\n".join(
        [
            *lines,
            "",
            f"- `{record['command']}`, commit {record['commit']}, {record['date'][:10]}",
            f"- {machine['cpu']}, {machine['cores']} cores, load {record['load']} at the start",
            f"- {versions}",
            "",
        ]
    )


if __name__ == "__main__":
    main()
