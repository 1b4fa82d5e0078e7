"""What launchers are worth: the same sweep of 16 short runs on each engine, its wall-clock and its table.

python benchmarks/sweeps.py results/sweeps --engine joblib             (one engine at a time; see ENGINES)
python benchmarks/sweeps.py results/sweeps --picture results/sweeps.png (then the page)

A sweep is 2 maskings x 4 folds x 2 seeds on drawn shapes (SHORT), with CSV and offline W&B logs. With
--engine it is run and timed and NAME.json gets its figures; without, W&B's files are read back, the page
NAME.md is written and the HTML report photographed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))  # the browser, the reader of W&B's files

from hmseg import environment
from hmseg.files import writing
from hmseg.reporting.configurations import configurations
from hmseg.reporting.gathering import from_sweep
from hmseg.reporting.markdown import escape, write_tables
from hmseg.reporting.sections.results import by_fold

SWEPT = ("masking=feature,hybrid", "fold=0,1,2,3", "seed=0,1")
SHORT = (
    "experiment=shapes_quick",
    "dataset.image_size=64",
    "dataset.source.train_images=400",
    "dataset.source.val_images=100",
    "loader.num_workers=0",
    "loader.train_episodes=500",
    "loader.val_episodes=40",
    "loader.test_episodes=200",
    "trainer.max_epochs=5",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "baselines=false",
    "logger=[csv,wandb]",
    "logger.wandb.mode=offline",
    "paths.records=null",
)
ENGINES: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "sequential": (1, 1, ("hydra/launcher=sequential",)),
    "sequential_2_threads": (1, 2, ("hydra/launcher=sequential",)),
    "joblib": (2, 1, ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")),
    "submitit_local": (2, 1, ("hydra/launcher=submitit_local", "hydra.launcher.n_jobs=2")),
}
"""Jobs at a time, threads of each, and the words that choose it."""
Record = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Run one engine, or write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="path of the results without its ending")
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--runs", type=Path, default=Path("multirun/engines"), help="folder of the sweeps")
    parser.add_argument("--picture", type=Path, help="PNG of the HTML report")
    args = parser.parse_args(argv)
    path = args.out.with_suffix(".json")
    results: Record = json.loads(path.read_text()) if path.is_file() else {}
    if args.engine:
        results[args.engine] = run(args.engine, args.runs / args.engine)
        with writing(path) as file:
            json.dump(results, file, indent=1)
        print(f"{args.engine}: {results[args.engine]['seconds']:.0f} s")
        return
    if not results:
        parser.error(f"{path} is not there yet: run an --engine first")
    for engine in results:
        results[engine]["wandb"] = read_back(args.runs / engine)
    with writing(path) as file:
        json.dump(results, file, indent=1)
    last = next(reversed(results))
    write_page(results, args.runs / last, args.out.with_suffix(".md"), args.picture)
    if args.picture:
        photograph(args.runs / last, args.picture)


def run(engine: str, folder: Path) -> Record:
    """The sweep on one engine, from nothing: its seconds, and the scores of its jobs."""
    jobs, threads, words = ENGINES[engine]
    shutil.rmtree(folder, ignore_errors=True)
    place = [f"hydra.sweep.dir={folder}", "hydra.launcher.skip_finished=false"]
    command = ["-m", "hmseg.train", "-m", *words, *place, *SHORT, *SWEPT]
    changes = {"OMP_NUM_THREADS": str(threads), "WANDB_SILENT": "true"}
    commit = environment.commit()
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], env={**os.environ, **changes}, check=True)
    seconds = time.perf_counter() - started
    about = environment.describe() | {"commit": commit}
    about["command"] = f"OMP_NUM_THREADS={threads} python {' '.join(command)}"
    return {"jobs_at_a_time": jobs, "threads_of_each": threads, "seconds": round(seconds, 1),
            "jobs": scores(folder), **about}  # fmt: skip


def scores(folder: Path) -> list[Record]:
    """Each job's settings, seconds and test mIoU."""
    told = {Path(job["folder"]): job for job in json.loads((folder / "sweep.json").read_text())["jobs"]}
    found = []
    for run_folder, job in told.items():
        (path,) = run_folder.glob("checkpoints/best.*.json")
        swept = [word for word in job["overrides"] if word.split("=")[0] in ("masking", "fold", "seed")]
        figures = {"test_miou": json.loads(path.read_text())["miou"], "best_val_miou": job["value"]}
        found.append({"job": " ".join(swept), "seconds": job["seconds"], **figures})
    return found


def read_back(folder: Path) -> Record:
    """The offline W&B runs below a sweep: how many, and what their files say of themselves."""
    from wandb_files import read_run

    runs = [read_run(path) for path in sorted(folder.glob("**/wandb/offline-run-*/run-*.wandb"))]
    rows = []
    for each in runs:
        logged = each.values("test/best/miou") or each.values("test/miou")
        rows.append(
            {
                "name": each.run.display_name,
                "group": each.run.run_group,
                "job_type": each.run.job_type,
                "tags": list(each.run.tags),
                "miou": logged[0] if logged else None,
                "exit_code": each.exit_code,
            }
        )
    return {"runs": len(rows), "rows": rows}


def write_page(results: Record, folder: Path, path: Path, picture: Path | None) -> None:
    """Markdown: wall-clock, the aggregate table, what W&B's files say, and what it was made with."""
    one_at_a_time = results.get("sequential", {}).get("seconds")
    lines = ["# Sweeps on several engines", "",
             "2 maskings x 4 folds x 2 seeds on drawn shapes, 16 runs of half a minute each: long enough for "
             "the wall-clock; for the scores the beginning of a training, which ranks no masking.", "",
             "| engine | jobs at a time | threads of each | wall-clock, s | of sequential | a job, s |",
             "|---|---:|---:|---:|---:|---:|"]  # fmt: skip
    for engine, one in results.items():
        share = f"{one['seconds'] / one_at_a_time:.2f}" if one_at_a_time else "–"
        each = sum(job["seconds"] for job in one["jobs"]) / len(one["jobs"])
        about = (escape(engine), one["jobs_at_a_time"], one["threads_of_each"])
        cells = (*about, f"{one['seconds']:.0f}", share, f"{each:.1f}")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", same(results), "", "## The sweep's table", "",
              "Printed at the end of the sweep and written to its `sweep.md`:", ""]  # fmt: skip
    with writing(path) as file:
        file.write(
            "\n".join([*lines, *table(folder), *wandb_lines(results), *made_with(results, picture), ""])
        )


def same(results: Record) -> str:
    """Whether the engines with one thread gave the same scores."""
    given = {engine: {job["job"]: job["test_miou"] for job in one["jobs"]} for engine, one in results.items()}
    alike = [engine for engine, one in results.items() if one["threads_of_each"] == 1]
    first = given[alike[0]]
    apart = [engine for engine in alike if given[engine] != first]
    if len(alike) < 2:
        return ""
    names = ", ".join(alike)
    if not apart:
        return f"The {len(first)} scores of {names} are the same to the last digit."
    worst = max(abs(given[engine][job] - first[job]) for engine in apart for job in first)
    return f"The scores of {names} differ by up to {worst:.3g} mIoU points ({', '.join(apart)})."


def table(folder: Path) -> list[str]:
    """The aggregate table, by the code that the sweep itself prints it with."""
    path = folder / "sweep.md"
    write_tables(by_fold(configurations(from_sweep(folder).measurements)), path)
    return path.read_text().splitlines()


def wandb_lines(results: Record) -> list[str]:
    """What the offline runs say."""
    lines = ["", "## Weights & Biases, offline", "",
             "| engine | run files | groups | job types | tags of all | ended well | mIoU as recorded |",
             "|---|---:|---|---|---|---:|---:|"]  # fmt: skip
    for engine, one in results.items():
        rows = one["wandb"]["rows"]
        if not rows:
            continue
        common = set.intersection(*(set(row["tags"]) for row in rows))
        recorded = {round(job["test_miou"], 3) for job in one["jobs"]}
        agree = sum(row["miou"] is not None and round(row["miou"], 3) in recorded for row in rows)
        cells = (engine, len(rows), ", ".join(sorted({row["group"] for row in rows})),
                 ", ".join(sorted({row["job_type"] for row in rows})), ", ".join(sorted(common)),
                 sum(row["exit_code"] == 0 for row in rows), agree)  # fmt: skip
        lines.append(f"| {' | '.join(escape(str(cell)) for cell in cells)} |")
    return lines


def made_with(results: Record, picture: Path | None) -> list[str]:
    """Commands, commits, versions, hardware."""
    lines = ["", "## Made with", ""]
    for engine, one in results.items():
        lines.append(f"- {engine}: `{one['command']}`, commit {one['commit']}, {one['date'][:16]}")
    last = results[next(reversed(results))]
    machine = last["hardware"]
    lines.append(
        f"- versions: {', '.join(f'{name} {version}' for name, version in last['versions'].items())}"
    )
    lines.append(f"- hardware: {machine['cpu']}, {machine['cores']} cores, GPU {machine['gpu']}")
    lines.append(f"- command of this page: `{environment.command()}`")
    if picture:
        lines += ["", "The top of the sweep's HTML report (`python -m hmseg.report`) in a browser:", "",
                  f"![HTML report of the sweep]({picture.name})"]  # fmt: skip
    return lines


def photograph(folder: Path, picture: Path, height: int = 1100) -> None:
    """The top of the HTML report as a browser shows it."""
    from PIL import Image

    from browser import look

    page = (folder / "report.html").absolute()
    subprocess.run([sys.executable, "-m", "hmseg.report", f"sweep={folder}"], check=True)
    look(page, picture.absolute(), width=1120, height=height)
    image = Image.open(picture)
    image.crop((0, 0, image.width, min(height, image.height))).quantize(256).save(picture, optimize=True)


if __name__ == "__main__":
    main()
