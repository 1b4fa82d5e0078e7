"""Records of performance.py as a Markdown table and as a plot over commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from scenarios import FILLING, PRODUCT, PUBLISHED, PUBLISHED_KEEPING
from timing import spread

Record = Mapping[str, Any]
NAMES = {
    "forward1": "forward, 1-shot",
    "forward5": "forward, 5-shot",
    "step": "training step",
    "evaluation1": "evaluation, 1-shot",
    "evaluation5": "evaluation, 5-shot",
    "kept_evaluation1": "evaluation, 1-shot, maps of the backbone kept by an earlier run",
}
TARGETS = {"forward1": 1.5, "forward5": 2.2, "step": 1.4, "evaluation1": 2.0}
"""Least speed-up aimed at (HSNet-HM, ResNet-50, 400 px, two CPU cores); memory: at most 0.7 times."""
HEADER = (
    "| scenario | model, masking, backbone | seconds, published way | seconds, hmseg | faster | same setting "
    "| GB before | peak GB | memory | GFLOP | GB moved | floor s | commit |",
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
)


def last_of_each(records: Sequence[Record]) -> list[Record]:
    """The last record of each cell and machine, in order of scenario and name."""
    found: dict[tuple[str, ...], Record] = {}
    for record in records:
        found[(title(record), what(record), str(record["hardware"]))] = record
    return [found[key] for key in sorted(found, key=lambda key: (list(NAMES.values()).index(key[0]), key))]


def title(record: Record) -> str:
    return NAMES[record["cell"]["scenario"]]


def what(record: Record) -> str:
    cell = record["cell"]
    batch = f", batch {cell['batch']}" if cell["batch"] != 1 else ""
    count = f", {cell['episodes']} episodes" if "evaluation" in cell["scenario"] else ""
    return f"{cell['model']}, {cell['masking']}, {cell['backbone']}, {cell['side']} px{batch}{count}"


def report(records: Sequence[Record], name: str) -> str:
    """The page."""
    shown = last_of_each(records)
    lines = [
        "# Speed and memory beside the published way of computing",
        "",
        "Both ways have the same weights and were checked to give the same numbers (relative error below "
        "1e-4) before they were timed in turns, each in a process of its own; medians (smallest to "
        "largest). `faster` is the ratio of the medians. hmseg runs as its programs do, with the C library "
        "told to keep freed memory (`hmseg.allocator`); `same setting` is the ratio to the published way "
        "timed by itself under that setting too. Records without it are older: there both ways ran in one "
        "process that gave freed memory back. Peak memory is that of a process on a CPU, interpreter and "
        "libraries included, and of PyTorch's tensors on a GPU; `GB before` is what hmseg held, weights "
        "included, before anything was computed. GFLOP counts products and convolutions, GB moved what "
        "operators read and write; both ways: published -> hmseg. `floor` is the time that hmseg's "
        "operations would take at the best measured rate of the machine. Random weights; they change no "
        "time.",
        "",
    ]
    for machine in dict.fromkeys(str(record["hardware"]) for record in shown):
        here = [record for record in shown if str(record["hardware"]) == machine]
        lines += [*HEADER, *(row(record) for record in here), "", *made_with(here, name), ""]
    return "\n".join(lines)


def row(record: Record) -> str:
    """One line of the table."""
    start = f"| {title(record)} | {what(record)} |"
    if "failed" in record:
        return f"{start} could not run: {record['failed']} | | | | | | | | | | {record['commit']} |"
    times, memory = record["time"], record["memory"]
    ratio = median(times[PUBLISHED]) / median(times[PRODUCT])
    keeping = times.get(PUBLISHED_KEEPING)
    same = f"x{median(keeping) / median(times[PRODUCT]):.2f}" if keeping else ""
    counts = record.get("operations", {})
    flops = both(counts, 0) if counts else ""
    moved = both(counts, 1) if counts else ""
    before = f"{memory[key]:.2f}" if (key := f"{PRODUCT}, before") in memory else ""
    peaks = memory[PUBLISHED], memory[PRODUCT]
    filling = f"; {spread(times[FILLING]).median:.0f} while keeping them" if FILLING in times else ""
    return (
        f"{start} {spread(times[PUBLISHED])} | {spread(times[PRODUCT])}{filling} | **x{ratio:.2f}** | {same} "
        f"| {before} | {peaks[0]:.2f} -> {peaks[1]:.2f} | x{peaks[1] / peaks[0]:.2f} "
        f"| {flops} | {moved} | {floor(record)} | {record['commit']} |"
    )


def both(counts: Mapping[str, Sequence[float]], place: int) -> str:
    return f"{counts[PUBLISHED][place]:,.0f} -> {counts[PRODUCT][place]:,.0f}"


def floor(record: Record) -> str:
    """Seconds of hmseg's operations at the best rate measured on the machine."""
    if "operations" not in record:
        return ""
    best = max(value for key, value in record["ceilings"].items() if key.endswith("gflops"))
    return f"{record['operations'][PRODUCT][0] / best:.2f}"


def made_with(records: Sequence[Record], name: str) -> list[str]:
    """Hardware, ceilings, versions, command."""
    machine, rates = records[0]["hardware"], records[0]["ceilings"]
    versions = ", ".join(f"{package} {version}" for package, version in records[0]["versions"].items())
    commands = dict.fromkeys(record["command"] for record in records)
    return [
        f"- {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"GPU {machine['gpu'] or 'none'}; load of the machine {min(r['load'] for r in records)} to "
        f"{max(r['load'] for r in records)}",
        f"- best rates: products {rates['matmul_gflops']:,.0f} GFLOP/s, 3x3 convolution "
        f"{rates['conv3x3_gflops']:,.0f}, 1x1 {rates['conv1x1_gflops']:,.0f}; copying "
        f"{rates['copy_gbytes']:,.0f} GB/s",
        *(f"- `{command}`" for command in commands),
        f"- {versions}; dates {', '.join(sorted({record['date'][:10] for record in records}))}; every record "
        f"is in {name}.jsonl",
    ]


def plot(records: Sequence[Record], path: Path) -> None:
    """Speed-up of every scenario over the commits, one line per cell, in order of the records."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    ran = [record for record in records if "failed" not in record]
    commits = list(dict.fromkeys(str(record["commit"])[:12] for record in ran))
    lines: dict[str, dict[int, float]] = {}
    for record in ran:
        times = record["time"]
        ratio = median(times[PUBLISHED]) / median(times[PRODUCT])
        label = f"{title(record)}: {what(record)}"
        lines.setdefault(label, {})[commits.index(str(record["commit"])[:12])] = ratio
    figure, axes = pyplot.subplots(figsize=(10, 5))
    for label, points in lines.items():
        axes.plot(list(points), list(points.values()), marker="o", label=label)
    axes.set_xticks(range(len(commits)), commits, rotation=30, ha="right")
    axes.set_ylabel("times as fast as the published way")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if lines:
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    part = path.with_name(f".{path.name}.part")
    figure.savefig(part, format="svg", metadata={"Date": None})
    part.replace(path)
    pyplot.close(figure)
