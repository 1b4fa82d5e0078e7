"""Steps as processes: locks that outlive this one, the last word of a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hmseg.errors import HmsegError
from hmseg.reproduction.process import call, last_line, locked, printed


def test_a_folder_is_one_process_s_at_a_time(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "run"),
        pytest.raises(HmsegError, match="another process is at work"),
        locked(tmp_path / "run"),
    ):
        pass
    with locked(tmp_path / "run"):
        pass


def test_a_step_keeps_the_folder_though_its_parent_is_gone(tmp_path: Path) -> None:
    with locked(tmp_path) as lock:
        waiting = [sys.executable, "-c", "input()"]
        child = subprocess.Popen(waiting, stdin=subprocess.PIPE, pass_fds=[lock.fileno()])
    with pytest.raises(HmsegError, match="another process"), locked(tmp_path):
        pass
    child.communicate(b"\n")
    with locked(tmp_path):
        pass


def test_a_folder_that_can_not_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(HmsegError, match="can't be written"), locked(tmp_path / "runs" / "fold0"):
        pass


def test_what_a_step_says_last_is_kept_and_passed_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with locked(tmp_path) as lock:
        outcome = call("train", ["maskin=hybrid"], lock)
    assert outcome.code == 2 and outcome.said.startswith("unknown key 'maskin'")
    assert capfd.readouterr().err.startswith("error: unknown key 'maskin'")


def test_progress_bars_are_no_last_word() -> None:
    assert last_line("50 %\r100 %\nValueError: no\n\n") == "ValueError: no"
    assert last_line("\n") == ""


def test_what_is_printed_can_be_typed() -> None:
    assert printed("train", ["dataset.root=/my data"]).endswith("-m hmseg.train 'dataset.root=/my data'")
