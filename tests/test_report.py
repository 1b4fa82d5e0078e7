"""The entry point: pages, the short table, refusals in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from called import Call, caller
from hmseg.report import PROGRAM
from made_evaluations import record, write_beside_checkpoint, write_records


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the program in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    return caller(PROGRAM, monkeypatch, capsys)


def test_pages_beside_the_records(call: Call, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    write_records(tmp_path / "results/voc.jsonl", [record("Feature", shot=5), record(shot=5)])
    outcome = call("records=results/voc.jsonl")
    assert (outcome.code, outcome.err) == (0, "")
    assert "HSNet, resnet50_caffe, pascal, 5-shot" in outcome.out and "1/4" in outcome.out
    assert outcome.out.rstrip().endswith("written to results/report.md and results/report.html")
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert names == {"voc.jsonl", "voc.episodes", "report.md", "report.html", "report_files"}


@pytest.mark.parametrize("out", ["pages/voc", "pages/voc.html", "pages/voc.v1"])
def test_pages_elsewhere(call: Call, tmp_path: Path, out: str) -> None:
    write_records(tmp_path / "a.jsonl", [record()])
    assert call("records=a.jsonl", f"out={out}", "claims=false").code == 0
    stem = out.removesuffix(".html")
    assert (tmp_path / f"{stem}.md").is_file() and (tmp_path / f"{stem}.html").is_file()


def test_a_sweep_names_the_jobs_without_a_record(call: Call, tmp_path: Path) -> None:
    for number, masking in enumerate(("feature", "hybrid", "none")):
        folder = tmp_path / f"multirun/now/{number}"
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra/overrides.yaml").write_text(f"- masking={masking}\n- fold=1\n")
        if masking != "none":
            write_beside_checkpoint(folder, *record(masking.capitalize()))
    outcome = call("sweep=multirun/now")
    assert (outcome.code, outcome.err) == (0, "")
    assert "no record: job 2: masking=none fold=1" in outcome.out
    text = (tmp_path / "multirun/now/report.md").read_text()
    assert "hybrid − feature" in text and "2: masking=none fold=1" in text


def test_an_unwritable_place_is_one_line(call: Call, tmp_path: Path) -> None:
    write_records(tmp_path / "a.jsonl", [record()])
    outcome = call("records=a.jsonl", "out=a.jsonl/pages")
    assert outcome.code == 1
    assert (
        outcome.err.startswith("error: out=a.jsonl/pages: can't be written (")
        and outcome.err.count("\n") == 1
    )


def test_a_damaged_record_is_one_line(call: Call, tmp_path: Path) -> None:
    found, rows = record()
    write_records(tmp_path / "a.jsonl", [({**found, "per_class": 3}, rows)])
    outcome = call("records=a.jsonl")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "per_class: expected a list of objects, got 3" in outcome.err


REFUSALS = {
    "": "records, sweep: neither came; give records=FILE or sweep=FOLDER",
    "records=a sweep=b": "records, sweep: both came",
    "records=none.jsonl": "records=none.jsonl: there is no such file",
    "sweep=nowhere": "sweep=nowhere: there is no such folder",
    "records={here} examples_count=0": "examples_count: expected at least 1, got 0",
    "records={here} examples=[a,b,c]": "examples: expected at most 2 checkpoints, got 3",
    "records={here} examples=[1]": "examples: expected a path or [path,path], got [1]",
    "recrods=a": "unknown key 'recrods': did you mean 'records'?",
    "records={here} +foo=1": "unknown key 'foo'",
}


@pytest.mark.parametrize("words", REFUSALS)
def test_refusals_are_one_line_and_write_nothing(call: Call, tmp_path: Path, words: str) -> None:
    (tmp_path / "here").write_text("")
    outcome = call(*words.replace("{here}", "here").split())
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith(f"error: {REFUSALS[words]}")
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_examples_of_a_checkpoint_without_a_record_are_refused(call: Call, tmp_path: Path) -> None:
    import torch

    write_records(tmp_path / "a.jsonl", [record()])
    torch.save({}, tmp_path / "some.ckpt")
    outcome = call("records=a.jsonl", "examples=some.ckpt")
    assert outcome.code == 1 and "no record with a table of episodes is of checkpoint 1" in outcome.err
    outcome = call("records=a.jsonl", "examples=gone.ckpt")
    assert outcome.code == 1 and outcome.err == "error: examples=gone.ckpt: there is no such file or folder\n"


def test_help(call: Call) -> None:
    out = call("--help").out
    assert max(map(len, out.splitlines())) <= 110
    for key in ("records", "sweep", "out", "claims", "examples", "examples_count"):
        assert any(line.split()[:1] == [key] for line in out.splitlines()), key
