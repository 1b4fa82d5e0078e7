"""Cores and GPUs shared out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hmseg.errors import ConfigError
from hmseg.sweeps.devices import Share, shares, visible_gpus


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_without_gpus_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shares(None, None, None, 1) == [Share(2, None)] * 4
    assert shares(3, None, None, 1) == [Share(2, None)] * 3
    assert shares(16, None, None, 1)[0].threads == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert shares(2, None, None, 1)[0].environment() == {}  # the user's own stays
    assert shares(2, 4, None, 1)[0].environment()["OMP_NUM_THREADS"] == "4"


def test_every_job_has_gpus_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, 5,7")
    every = shares(None, None, None, 1)
    assert [one.environment()["CUDA_VISIBLE_DEVICES"] for one in every] == ["4", "5", "7"]
    assert [one.gpus for one in shares(None, None, None, 2)] == [("4", "5")]
    assert [one.gpus for one in shares(4, 1, [0, 0, 1, 1], 1)] == [("0",), ("0",), ("1",), ("1",)]


def test_more_jobs_than_gpus_and_wrong_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"n_jobs: 3 at a time with 1 GPU each, but there are 2 \(0,1\)"):
        shares(3, None, [0, 1], 1)
    with pytest.raises(ConfigError, match="1 at a time with 2 GPU each, but there are 1"):
        shares(None, None, [0], 2)
    with pytest.raises(ConfigError, match="threads: expected at least 1, got 0"):
        shares(2, 0, None, 1)


def test_gpus_are_found_by_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert visible_gpus() == ["0", "1"]
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho no driver; exit 9\n")
    assert visible_gpus() == []
