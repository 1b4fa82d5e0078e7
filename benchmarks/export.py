"""ONNX Runtime beside PyTorch on the CPU: seconds and memory of one 1-shot episode, whole and split.

python benchmarks/export.py results/export [--models hsnet asnet vat] [--files FOLDER] [--only-export]
    [--repeats 5] [--threads 0]

Hybrid masking, ResNet-50, random weights, the published image size. ONNX files (as of ``any_size=true``) are
written and checked into FOLDER where they are not there yet. Then each way runs in a process of its own: one
call that is not counted, then ``--repeats``. A model that is measured again replaces its record. Writes
NAME.json and NAME.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from measures import peak_memory
from timing import interleaved, made_on, seconds, spread, write

from hmseg.deployment.checking import check
from hmseg.deployment.formats import Onnx
from hmseg.deployment.parts import Part, Sizes, episode, example, parts_of, sizes_to_try
from hmseg.networks import FewShotNetwork, build_network
from hmseg.networks.parts import kept_levels

Record = dict[str, Any]
SIDES = {"hsnet": 400, "asnet": 400, "vat": 473}
MASKING, BACKBONE, OPSET = "hybrid", "resnet50", 18
WAYS = {
    "pytorch": "PyTorch, whole episode",
    "onnx": "ONNX Runtime, whole episode",
    "pytorch_encoder": "PyTorch, supports only",
    "onnx_encoder": "ONNX Runtime, support encoder",
    "pytorch_segmenter": "PyTorch, query with the supports kept",
    "onnx_segmenter": "ONNX Runtime, query segmenter",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Write the files that are missing, measure each way, write the page."""
    args = _parse(argv)
    if args.way:
        print(json.dumps(measure(args.models[0], args.way, args.files, args.repeats, args.threads)))
        return
    with tempfile.TemporaryDirectory() as folder:
        files = args.files or Path(folder)
        files.mkdir(parents=True, exist_ok=True)
        written = {model: export(model, files) for model in args.models}
        if args.only_export:
            return
        path = args.out.with_suffix(".json")
        records: dict[str, Record] = json.loads(path.read_text()) if path.is_file() else {}
        for model in args.models:
            ways = {way: run(model, way, files, args) for way in WAYS}
            records[model] = {
                "model": model,
                "side": SIDES[model],
                "ways": ways,
                **written[model],
                **_made_on(files),
            }
            write(path, json.dumps(records, indent=1) + "\n")
            write(args.out.with_suffix(".md"), report(records))
        print(report(records))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", help="path of the results without its ending")
    parser.add_argument("--models", nargs="+", default=list(SIDES), choices=SIDES)
    parser.add_argument("--files", type=Path, help="folder of the ONNX files, kept; default: a temporary one")
    parser.add_argument("--only-export", action="store_true", help="write the files, measure nothing")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls after one for warming up")
    parser.add_argument("--threads", type=int, default=0, help="0: the programs' own choice")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)  # measure one in this process
    args = parser.parse_args(argv)
    if args.out is None and not args.way and not args.only_export:
        parser.error("give the path of the results without its ending, such as results/export")
    return args


def network_of(model: str) -> FewShotNetwork:
    """The network that is exported and timed, the same every time."""
    torch.manual_seed(0)
    return build_network(model, MASKING, BACKBONE)


def export(model: str, files: Path) -> Record:
    """Write the files of a model that are not there, check them, and keep what was found beside them."""
    note = files / f"{model}.json"
    if note.is_file():
        return dict(json.loads(note.read_text()))
    network, form, side = network_of(model), Onnx(OPSET, any_size=True), SIDES[model]
    errors, taken = {}, {}
    for kind in ("whole", "split"):
        parts = parts_of(network, kind, any_size=True)
        paths = [file_of(files, model, part) for part in parts]
        for part, path in zip(parts, paths, strict=True):
            sample = example(part, Sizes(2, 2, (side, side), (side, side)))
            taken[part.name] = seconds(lambda: form.write(part, sample, path, {"hmseg.part": part.name}))  # noqa: B023
        errors[kind] = max(check(network, [form.read(p) for p in paths], sizes_to_try(side, False)).values())
    square = Sizes(1, 1, (side, side), (side, side))
    torch.save(example(parts[-1], square)[1:], files / f"{model}-kept.pt")
    sizes = {part: file.stat().st_size / 1e6 for part in taken if (file := files / f"{model}-{part}.onnx")}
    found = {"errors": errors, "export_seconds": taken, "megabytes": sizes}
    write(note, json.dumps(found) + "\n")
    return found


def file_of(files: Path, model: str, part: Part) -> Path:
    """Where a part's ONNX file lies."""
    return files / f"{model}-{part.name}.onnx"


def run(model: str, way: str, files: Path, args: argparse.Namespace) -> Record:
    """One way in a process of its own; where it fails, the last line of what it said."""
    words = [sys.executable, __file__, "--models", model, "--way", way, "--files", str(files)]
    numbers = ["--repeats", str(args.repeats), "--threads", str(args.threads)]
    done = subprocess.run([*words, *numbers], capture_output=True, text=True)
    if done.returncode == 0:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    said = [line for line in done.stderr.strip().splitlines() if line.strip()]
    return {"failed": said[-1] if said else f"exit {done.returncode}"}


def measure(model: str, way: str, files: Path, repeats: int, threads: int) -> Record:
    """Seconds of each call and peak memory of the process, the imports of both programs in it."""
    if threads:
        torch.set_num_threads(threads)
    side = SIDES[model]
    with torch.no_grad():
        work = work_of(model, way, files, Sizes(1, 1, (side, side), (side, side)), threads)
        found = interleaved({way: lambda: seconds(work)}, repeats)[way]
    return {"seconds": found, "memory_gb": peak_memory(torch.device("cpu"))}


def work_of(model: str, way: str, files: Path, sizes: Sizes, threads: int) -> Callable[[], object]:
    """What is timed. What a segmenter takes was kept by :func:`export`."""
    query, images, masks = episode(sizes)
    program, _, part = way.partition("_")
    kept = torch.load(files / f"{model}-kept.pt", weights_only=True) if part == "segmenter" else ()
    if program == "onnx":
        run_file = session(files / f"{model}-{part or 'whole'}.onnx", threads)
        inputs = {"": (query, images, masks), "encoder": (images, masks), "segmenter": (query, *kept)}[part]
        return lambda: run_file(inputs)
    network = network_of(model)
    if not part:
        return lambda: network(query, images, masks)
    flat, shown = images.flatten(0, 1), masks.flatten(0, 1).float()
    if part == "encoder":
        return lambda: network.encode_supports(flat, shown)
    levels: dict[int, list[torch.Tensor]] = {level: [] for level in network.head.levels}
    for level, each in zip(kept_levels(network), kept, strict=False):
        levels[level].append(each.flatten(0, 1))
    return lambda: network.head(network.encode_query(query), levels, shown)


def session(path: Path, threads: int) -> Callable[[tuple[torch.Tensor, ...]], tuple[torch.Tensor, ...]]:
    """A file in ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    made = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in made.get_inputs()]

    def call(inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        fed = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
        return tuple(torch.from_numpy(each) for each in made.run(None, fed))

    return call


def _made_on(files: Path) -> Record:
    import onnx
    import onnxruntime
    import onnxscript

    packages = {"onnx": onnx, "onnxruntime": onnxruntime, "onnxscript": onnxscript}
    record = made_on(**{name: package.__version__ for name, package in packages.items()})
    record["command"] = record["command"].replace(str(files), "FILES")  # where they lie is nobody's concern
    return record


def report(records: dict[str, Record]) -> str:
    """The page."""
    lines = [
        "# ONNX Runtime beside PyTorch",
        "",
        f"One 1-shot episode, {MASKING} masking, {BACKBONE}, random weights, float32, opset {OPSET}, files "
        "of `any_size=true`. Seconds are medians (fastest to slowest); memory is the peak of a process that "
        "does nothing else, in which PyTorch is imported (0.4 GB), also for ONNX Runtime's rows. PyTorch's "
        "rows are the fast path.",
        "",
        "| model | side | way | seconds | beside PyTorch | peak GB |",
        "|---|--:|---|--:|--:|--:|",
    ]
    for model, record in records.items():
        for way, found in record["ways"].items():
            lines.append(
                f"| {model} | {record['side']} | {WAYS[way]} | {_cells(record['ways'], way, found)} |"
            )
    lines += ["", "| model | relative error, whole | split | MB | s to export |", "|---|--:|--:|--:|--:|"]
    for model, record in records.items():
        errors, sizes = record["errors"], record["megabytes"]
        total = sum(record["export_seconds"].values())
        lines.append(
            f"| {model} | {errors['whole']:.1e} | {errors['split']:.1e} "
            f"| {', '.join(f'{part} {size:.0f}' for part, size in sizes.items())} | {total:.0f} (all files) |"
        )
    last = list(records.values())[-1]
    machine = last["hardware"]
    commits = sorted({str(record["commit"]) for record in records.values()})
    return "\n".join(
        [
            *lines,
            "",
            f"- {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads; load "
            f"{', '.join(str(record['load']) for record in records.values())}",
            f"- `{last['command']}` and so on; commit {', '.join(commits)}, {last['date'][:10]}",
            f"- {', '.join(f'{name} {number}' for name, number in last['versions'].items())}",
            "",
        ]
    )


def _cells(ways: dict[str, Record], way: str, found: Record) -> str:
    if "failed" in found:
        return f"could not run: {found['failed']} | |"
    beside = ways.get(way.replace("onnx", "pytorch"), {})
    ratio = ""
    if way.startswith("onnx") and "seconds" in beside:
        ratio = f"{median(found['seconds']) / median(beside['seconds']):.2f}"
    return f"{spread(found['seconds'])} | {ratio} | {found['memory_gb']:.2f}"


if __name__ == "__main__":
    main()
