"""One curve a run, and when it was as good as it got."""

from __future__ import annotations

from pathlib import Path

from hmseg.reporting.curves import curves, several_hardware
from hmseg.reporting.gathering import from_records
from made_evaluations import record, write_records


def with_history(masking: str = "Hybrid", which: str = "best", **others: object) -> tuple:  # type: ignore[type-arg]
    found, rows = record(masking, which=which)
    values = (10.0, 38.1, 30.0, 40.0, 40.0, 39.0)[: 4 if which == "best" else 6]
    history = [{"epoch": n + 1, "step": n, "seconds": 60.0 * n, "miou": v} for n, v in enumerate(values)]
    return {**found, "training": {**found["training"], "history": history}, **others}, rows


def test_the_longest_history_of_a_run_counts(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.jsonl", [with_history(which="last"), with_history()])
    (one,) = curves(from_records(path).measurements)
    assert len(one.points) == 6
    assert (one.best.epoch, one.best.seconds) == (4, 180.0)  # the first of the best
    assert (one.nearly.epoch, one.nearly.miou) == (2, 38.1)  # 95 % of 40 is 38
    assert (one.fold, one.seed, one.complete, one.hardware) == (1, 0, True, "AMD EPYC, 2 threads")
    assert one.common.checkpoint == "" and one.common.masking == "hybrid"


def test_runs_without_history_or_name_have_no_curve(tmp_path: Path) -> None:
    found, rows = record("Feature")
    bare = {**found, "training": {**found["training"], "history": []}}
    nameless = with_history(run=None)
    path = write_records(tmp_path / "a.jsonl", [(bare, rows), nameless])
    assert curves(from_records(path).measurements) == []


def test_different_hardware_is_noticed(tmp_path: Path) -> None:
    gpu = {"cpu": "some", "cores": 2, "threads": 2, "gpu": "NVIDIA H100"}
    path = write_records(tmp_path / "a.jsonl", [with_history("Feature"), with_history(hardware=gpu)])
    found = curves(from_records(path).measurements)
    assert several_hardware(found) and not several_hardware(found[:1])
    assert [each.hardware for each in found] == ["AMD EPYC, 2 threads", "NVIDIA H100"]
