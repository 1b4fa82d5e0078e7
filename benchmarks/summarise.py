"""Gather the records of finished runs into one table and one JSON Lines file under ``results/``.

python benchmarks/summarise.py results/NAME RUN_OR_SWEEP_FOLDER… [--title TEXT]

Writes NAME.jsonl (one record per run, as the runs wrote it) and NAME.md (mean and spread over seeds of each
configuration, its baselines, and what the figures were made with).
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from timing import write

Record = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Read, write, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="path of the results without its ending")
    parser.add_argument("folders", type=Path, nargs="+", help="run or sweep folders")
    parser.add_argument("--title", default="Results")
    parser.add_argument("--pattern", default="best.*.json", help="which records of a run")
    args = parser.parse_args(argv)
    paths = sorted(path for folder in args.folders for path in folder.glob(f"**/{args.pattern}"))
    if not paths:
        parser.error(f"no {args.pattern} below {', '.join(map(str, args.folders))}: have the runs ended?")
    here = f"{Path.cwd()}/"  # a record may name files: below this folder they are named from it
    records = [json.loads(path.read_text().replace(here, "")) for path in paths]
    curves = {
        f"{name(record)}, seed {record['config']['seed']}": curve(path.parents[1])
        for path, record in zip(paths, records, strict=True)
    }
    text = report(args.title, records, curves)
    write(args.out.with_suffix(".jsonl"), "".join(f"{json.dumps(record)}\n" for record in records))
    write(args.out.with_suffix(".md"), text)
    print(text)


def curve(run: Path) -> dict[int, float]:
    """Validation mIoU by epoch (from 1), from the CSV logs of a run and of its resumptions.

    A resumption logs the validation of the epoch that it starts in again: the last one counts.
    """
    found: dict[int, float] = {}
    for path in sorted(run.glob("csv/version_*/metrics.csv"), key=lambda path: int(path.parent.name[8:])):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                if row.get("val/miou"):
                    found[int(row["epoch"]) + 1] = float(row["val/miou"])
    return found


def report(title: str, records: Sequence[Record], curves: dict[str, dict[int, float]]) -> str:
    """A Markdown page."""
    runs: dict[str, list[Record]] = defaultdict(list)
    baselines: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        runs[name(record)].append(flat(record))
        for baseline, one in record["baselines"].items():
            label = f"{baseline.partition(' (')[0]} beside {name(record)}"
            baselines[label].append({**one, "seed": record["config"]["seed"]})
    lines = [f"# {title}", "", *table(runs), ""]
    if baselines:
        lines += ["Baselines on the same episodes:", "", *table(baselines), ""]
    lines += ["Validation mIoU %, epoch by epoch (the best epoch is the one tested):", ""]
    for label, epochs in curves.items():
        lines.append(f"- {label}: {', '.join(f'{miou:.1f}' for _, miou in sorted(epochs.items()))}")
    return "\n".join([*lines, "", *made_with(records)])


def name(record: Record) -> str:
    """Model, masking, backbone and test setting of a run in words."""
    config, test = record["config"], record["test"]
    masking = config["masking"]["_target_"].rpartition(".")[2].removesuffix("Masking").lower()
    head = config["model"]["_target_"].rpartition(".")[2].removesuffix("Head")
    backbone = config["backbone"]["name"].replace("resnet50_caffe", "ResNet-50 v1 (Caffe strides)")
    setting = f"{test['dataset']} fold {test['fold']}, {test['shot']}-shot"
    return f"{head}, {masking} masking, {backbone}, {setting}"


def flat(record: Record) -> Record:
    """The figures of a run itself."""
    return {
        "miou": record["miou"],
        "fb_iou": record["fb_iou"],
        "miou_small": record["small_objects"]["miou"],
        "seed": record["config"]["seed"],
    }


def table(rows: dict[str, list[Record]]) -> list[str]:
    """Mean ± standard deviation (n - 1) over the runs of each row."""
    lines = ["| | mIoU % | mIoU % on small objects | FB-IoU % | seeds |", "|---|---|---|---|---|"]
    for label, runs in rows.items():
        figures = [spread([run[key] for run in runs]) for key in ("miou", "miou_small", "fb_iou")]
        seeds = ", ".join(str(seed) for seed in sorted({run["seed"] for run in runs}))
        lines.append(f"| {label} | {' | '.join(figures)} | {seeds} |")
    return lines


def spread(values: Sequence[float]) -> str:
    """Mean, and standard deviation where there are several.

    Example:
        >>> spread([1.0, 3.0]), spread([2.0])
        ('2.0 ± 1.4', '2.0')
    """
    mean = f"{statistics.fmean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def made_with(records: Sequence[Record]) -> list[str]:
    """Commands, commit, versions and hardware, each once."""

    def each(values: Sequence[str]) -> str:
        return "; ".join(dict.fromkeys(values))

    def versions(record: Record) -> str:
        return ", ".join(f"{package} {version}" for package, version in record["versions"].items())

    def hardware(record: Record) -> str:
        machine = record["hardware"]
        return f"{machine['cpu']}, {machine['threads']} of {machine['cores']} cores, GPU {machine['gpu']}"

    def episodes(record: Record) -> str:
        test = record["test"]
        digest = test["digest"][:12]
        return f"{record['episodes']} of protocol {test['protocol']} at {test['size'][0]} px ({digest}…)"

    small = f"below {100 * records[0]['small_objects']['below']:g} % of the image"
    return [
        f"Small objects: query foreground {small}; the mean is over the classes that have such an episode.",
        "",
        f"- episodes: {each([episodes(record) for record in records])}",
        *(f"- command: `{command}`" for command in dict.fromkeys(record["command"] for record in records)),
        f"- commit: {each([str(record['commit']) for record in records])}",
        f"- versions: {each([versions(record) for record in records])}",
        f"- hardware: {each([hardware(record) for record in records])}",
        f"- dates: {each([record['date'][:10] for record in records])}",
        "",
    ]


if __name__ == "__main__":
    main()
