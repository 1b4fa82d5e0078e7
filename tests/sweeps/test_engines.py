"""Sweeps as a user runs them: what fails is named, what is done is left out, what stopped goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hmseg.reporting.gathering import from_sweep

TINY = (
    "experiment=shapes_quick",
    "dataset.image_size=64",
    "dataset.source.train_images=40",
    "dataset.source.val_images=60",
    "loader.num_workers=0",
    "loader.batch_size=4",
    "loader.train_episodes=4",
    "loader.val_episodes=4",
    "loader.test_episodes=4",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "baselines=false",
)
LIGHT = ("dry_run=true", "hydra.sweep.dir=sweep")
"""Of ``hmseg.reproduce``: jobs without PyTorch."""
CLAIM = "coco/1shot/hsnet/hybrid/resnet50"


def command(program: str, *words: str) -> list[str]:
    return [sys.executable, "-m", f"hmseg.{program}", "-m", *words]


def call(program: str, *words: str, folder: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PATH": path + os.environ["PATH"],
    }
    return subprocess.run(
        command(program, *words), cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )


def jobs(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "sweep.json").read_text())["jobs"]
    return found


def test_joblib_names_what_failed_and_leaves_out_what_is_done(tmp_path: Path) -> None:
    words = (*TINY, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "masking=feature")
    weights = "backbone.weights=bundled,nowhere.pth"
    done = call("train", *words, weights, "hydra.sweep.dir=multirun/a", folder=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    first, failed = done.stderr.splitlines()[-2:]
    assert first == "error: 1 of 2 jobs failed; the same command does them again"
    assert failed.startswith("  #1 backbone.weights=nowhere.pth: no weights at 'nowhere.pth'")
    assert failed.endswith("(log: multirun/a/1/job.log)")
    assert "feature" in done.stdout and "mIoU" in done.stdout  # the table of the other
    assert "feature" in (tmp_path / "multirun/a/sweep.md").read_text()
    records = (tmp_path / "results/records.jsonl").read_text()

    again = call("train", *words, "backbone.weights=bundled", "hydra.sweep.dir=multirun/b", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "already finished: multirun/a/0" in again.stdout
    (job,) = jobs(tmp_path / "multirun/b")
    assert job["status"] == "already" and job["value"] is not None
    assert (tmp_path / "results/records.jsonl").read_text() == records
    both = [
        [one.identity for one in from_sweep(tmp_path / "multirun" / sweep).measurements] for sweep in "ab"
    ]
    assert both[0] == both[1] != []  # a report on the second one has the earlier run, too


def descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            yield child
            yield from descendants(child)


def running(pid: int, what: str) -> list[int]:
    found = []
    for each in descendants(pid):
        try:
            if what in Path(f"/proc/{each}/cmdline").read_text().split("\0"):
                found.append(each)
        except OSError:
            continue  # it has ended meanwhile
    return found


def test_a_preempted_job_goes_on_in_its_folder(tmp_path: Path) -> None:
    words = (*TINY, "hydra/launcher=submitit_local", "hydra.launcher.n_jobs=1", "test=false", "seed=0",
             "loader.train_episodes=60", "callbacks.last.train_time_interval=null",
             "callbacks.last.every_n_train_steps=1", "hydra.sweep.dir=sweep")  # fmt: skip
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    sweep = subprocess.Popen(
        command("train", *words), cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True
    )
    last = tmp_path / "sweep/0/checkpoints/last.ckpt"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and not last.is_file() and sweep.poll() is None:
        time.sleep(0.05)
    (worker,) = running(sweep.pid, "submitit.core._submit")
    os.kill(worker, signal.SIGUSR2)  # what SLURM sends before it takes a machine away
    out, _ = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, out
    (job,) = jobs(tmp_path / "sweep")
    assert (job["status"], job["folder"]) == ("finished", str(tmp_path / "sweep/0"))
    assert json.loads((tmp_path / "sweep/0/run.json").read_text())["steps"] == 15
    overrides = (tmp_path / "sweep/0/.hydra/overrides.yaml").read_text()
    assert "resume=" in overrides  # the second start went on from the first one's checkpoint
    logs = "".join(path.read_text() for path in (tmp_path / "sweep/.submitit").glob("*.err"))
    assert "this job is preempted" in logs


def programs(folder: Path) -> str:
    """Stand-ins for a cluster's commands: an array's jobs are run at once, on this machine."""
    folder.mkdir()
    texts = {
        "sbatch": """#!/bin/bash
script=$1; cp "$script" "$SUBMITTED"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$script")
echo "Submitted batch job 70"
for task in $(seq 0 "$last"); do
  SLURM_ARRAY_JOB_ID=70 SLURM_ARRAY_TASK_ID=$task SLURM_JOB_ID=$((71 + task)) SLURM_PROCID=0 \\
    bash "$script" >/dev/null 2>&1 </dev/null &
done
""",
        "srun": """#!/bin/bash
while [[ $1 == --* ]]; do [[ $1 == --unbuffered ]] && shift || shift 2; done
exec "$@"
""",
        "sacct": "#!/bin/bash\necho 'JobID|State|NodeList'\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return f"{folder}:"


def test_slurm_gets_an_array_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = programs(tmp_path / "bin")
    monkeypatch.setenv("SUBMITTED", str(tmp_path / "script"))
    claims = f"claim={CLAIM},{CLAIM.replace('1shot', '5shot')}"
    settings = ("timeout_min=90", "partition=long", "setup=[module load cuda]", "array_parallelism=3",
                "additional={exclude: node7}")  # fmt: skip
    words = ("hydra/launcher=submitit_slurm", *(f"hydra.launcher.{each}" for each in settings), claims)
    done = call("reproduce", *LIGHT, *words, folder=tmp_path, path=path)
    assert done.returncode == 0, done.stderr
    assert [job["status"] for job in jobs(tmp_path / "sweep")] == ["finished", "finished"]
    for number, shots in enumerate(("1shot", "5shot")):
        assert f"coco/{shots}/" in (tmp_path / f"sweep/{number}/job.log").read_text()
    script = (tmp_path / "script").read_text().splitlines()
    for option in ("--array=0-1%2", "--time=90", "--partition=long", "--signal=USR2@120", "--requeue",
                   "--nodes=1", "--gpus-per-node=1", "--cpus-per-task=4", "--mem=32768MB", "--exclude=node7",
                   "--ntasks-per-node=1", "--job-name=hmseg-reproduce", "--open-mode=append"):  # fmt: skip
        assert f"#SBATCH {option}" in script, option
    assert script.index("module load cuda") < next(
        at for at, line in enumerate(script) if line.startswith("srun")
    )


def test_what_an_engine_cannot_do_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBMITTED", str(tmp_path / "script"))
    claims = f"claim={CLAIM},{CLAIM.replace('1shot', '5shot')}"
    path = programs(tmp_path / "bin")
    for words, more, message in (
        (("hydra/launcher=submitit_slurm",), "", "srun and sbatch are not on this machine"),
        (("hydra/launcher=submitit_slurm",), path, "how long may a job take? give trainer.max_time="),
        (
            ("hydra/launcher=joblib", "hydra.launcher.n_jobs=0"),
            "",
            "hydra.launcher.n_jobs: expected at least 1",
        ),
        (("hydra/launcher=joblib", "hydra.launcher.n_job=2"), "", "n_job"),
        (("hydra/launcher=joblob",), "", "joblob"),
    ):
        done = call("reproduce", *LIGHT, *words, claims, folder=tmp_path, path=more)
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert (done.returncode, len(lines)) == (2, 1) and message in lines[0], done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "script").exists()
