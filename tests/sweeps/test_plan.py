"""What a repeated sweep finds: finished jobs, interrupted ones, folders that others have."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hmseg.config import compose
from hmseg.errors import HmsegError
from hmseg.evaluation_record import RUN_FILE as WRITTEN
from hmseg.sweeps.digest import digest
from hmseg.sweeps.jobs import JOB_FILE, RUN_FILE, Job, best_value, locked, read_job, write_job
from hmseg.sweeps.plan import earlier_jobs, place


def job(folder: Path, name: str, number: int = 0) -> Job:
    return Job(number, "train", (f"fold={number}",), (), (), folder, name, f"fold={number}")


def left(folder: Path, name: str, status: str, value: float | None = None) -> Path:
    folder.mkdir(parents=True)
    write_job(job(folder, name), status, value)
    return folder


def test_finished_jobs_are_found_and_interrupted_ones_keep_their_folder(tmp_path: Path) -> None:
    done = left(tmp_path / "monday/0", "a" * 64, "finished", 41.5)
    begun = left(tmp_path / "monday/1", "b" * 64, "started")
    broken = left(tmp_path / "monday/2", "c" * 64, "failed")
    now = tmp_path / "tuesday"
    jobs = [job(now / str(at), name * 64, at) for at, name in enumerate("abcd")]
    to_do, outcomes = place(jobs, earlier_jobs([tmp_path, tmp_path / "nowhere"]))
    assert [(one.status, one.value, one.job.folder) for one in outcomes] == [("already", 41.5, done)]
    assert [one.folder for one in to_do] == [begun, broken, now / "3"]


def test_nothing_is_skipped_and_nothing_overwritten_where_that_is_wished(tmp_path: Path) -> None:
    left(tmp_path / "0", "a" * 64, "finished")
    left(tmp_path / "0-2", "b" * 64, "started")
    to_do, outcomes = place([job(tmp_path / "0", "a" * 64)], earlier_jobs([tmp_path]), skip=False)
    assert (outcomes, to_do[0].folder) == ([], tmp_path / "0-3")
    to_do, _ = place([job(tmp_path / "0", "z" * 64)], earlier_jobs([tmp_path]))
    assert to_do[0].folder == tmp_path / "0-3"


def test_two_equal_jobs_of_a_sweep_have_two_folders(tmp_path: Path) -> None:
    left(tmp_path / "old/0", "a" * 64, "started")
    jobs = [job(tmp_path / "new/0", "a" * 64), job(tmp_path / "new/1", "a" * 64, 1)]
    to_do, _ = place(jobs, earlier_jobs([tmp_path]))
    assert [one.folder for one in to_do] == [tmp_path / "old/0", tmp_path / "new/1"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"format": 2}', '{"format": 1, "status": "done", "digest": "a"}',
     '{"format": 1, "status": "finished", "digest": 3}',
     '{"format": 1, "status": "finished", "digest": "a", "value": "high"}'],
)  # fmt: skip
def test_a_damaged_file_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / JOB_FILE).write_text(text)
    assert read_job(tmp_path) is None and earlier_jobs([tmp_path]) == {}


def test_the_best_score_of_a_run(tmp_path: Path) -> None:
    assert RUN_FILE == WRITTEN and best_value(tmp_path) is None
    (tmp_path / RUN_FILE).write_text(json.dumps({"run": "1", "best_miou": 41.5}))
    assert best_value(tmp_path) == 41.5
    (tmp_path / RUN_FILE).write_text("[1]")
    assert best_value(tmp_path) is None


def test_a_folder_has_one_job_at_a_time(tmp_path: Path) -> None:
    taken = pytest.raises(HmsegError, match="another process is at work")
    with locked(tmp_path / "0"), taken, locked(tmp_path / "0"):
        pass
    with locked(tmp_path / "0"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(HmsegError, match="can't be written"), locked(tmp_path / "file/0"):
        pass


def test_a_job_goes_on_only_from_a_whole_checkpoint(tmp_path: Path) -> None:
    one = job(tmp_path / "a=b", "a" * 64)
    last = one.folder / "checkpoints/last.ckpt"
    last.parent.mkdir(parents=True)
    (one.folder / ".hydra").mkdir()
    (one.folder / ".hydra/overrides.yaml").write_text("[]")
    last.write_bytes(b"PK half a file")
    assert not one.resumable
    last.write_bytes(b"PK\x05\x06" + bytes(18))  # an empty archive
    assert one.resumable and one.overrides[-1] == f'resume="{one.folder}"'
    assert not replace(one, digest=None).resumable  # nothing that could go on


def test_only_what_changes_numbers_is_in_the_digest() -> None:
    base = digest(compose("fold=1"))
    alike = ("logger=none", "paths.records=null", "trainer.log_every_n_steps=7", "features.folder=kept",
             "trainer.enable_progress_bar=false")  # fmt: skip
    assert digest(compose("fold=1", *alike)) == base
    for words in (("optimizer.lr=0.5",), ("test=false",), ("callbacks.best.mode=min",),
                  ("features.folder=kept", "features.precision=float16")):  # fmt: skip
        assert digest(compose("fold=1", *words)) != base, words
