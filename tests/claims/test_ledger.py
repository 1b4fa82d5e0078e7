"""The ledger: one row a claim, generated, the committed one too."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import pytest

from hmseg.claims import as_csv, find_claim, ledger, published, read_events, write_ledger
from hmseg.claims.events import append_event
from hmseg.config import compose
from hmseg.errors import DataError
from made_records import made_record

ROOT = Path(__file__).resolve().parents[2]
CLAIM = find_claim("pascal/5shot/vat/feature/resnet101", published())


def test_the_committed_ledger_is_what_the_records_say(tmp_path: Path) -> None:
    results = ROOT / "results"
    if not (results / "claims.csv").is_file():
        pytest.skip("no results beside the tests: an unpacked source distribution")
    again = tmp_path / "claims.csv"
    write_ledger(again, results / "records.jsonl", results / "reproduce.jsonl")
    assert again.read_bytes() == (results / "claims.csv").read_bytes(), "run python -m hmseg.reproduce"


def test_a_row_says_all_about_a_result(tmp_path: Path) -> None:
    records = [made_record(CLAIM, fold, 71.0 + fold, seed) for fold in CLAIM.folds for seed in (0, 1)]
    records[0]["hardware"]["gpu"] = "NVIDIA H100"
    (tmp_path / "records.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in records))
    rows = write_ledger(tmp_path / "claims.csv")
    with (tmp_path / "claims.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["claim"] for row in read] == [claim.id for claim in published()]
    (row,) = (each for each in read if each["claim"] == CLAIM.id)
    expected = {
        "status": "verified", "miou": "72.50", "difference": "+0.90", "tolerance": "1", "fb_iou": "70.00",
        "per_fold": "71.00 72.00 73.00 74.00", "seeds": "0; 1", "episodes": "1000", "lists": "published",
        "checkpoints": "trained", "claimed": "71.6", "claimed_per_fold": "73.3 75.2 68.4 69.5",
        "claimed_fb_iou": "82.0", "note": "",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert row["hardware"] == "NVIDIA H100; AMD EPYC, 2 threads" and row["commit"] == "0123456789ab"
    assert row["date"].startswith("2026-01-31") and "torch 2.11.0" in row["versions"]
    assert {each["status"] for each in read if each["claim"] != CLAIM.id} == {"unverified"}
    assert as_csv(rows) == (tmp_path / "claims.csv").read_text()


def test_missing_folds_show_and_other_columns_stay_empty() -> None:
    (row,) = ledger([made_record(CLAIM, 1, 75.0)], claims=[CLAIM])
    assert (row.per_fold, row.miou, row.status, row.note) == (
        "- 75.00 - -",
        "",
        "unverified",
        "folds 0, 2, 3 missing",
    )
    (row,) = ledger([], claims=[CLAIM])
    assert row.per_fold == row.seeds == row.hardware == row.note == ""


@pytest.mark.parametrize(
    "name", ["coco2pascal/5shot/vat/hybrid/resnet50", "fss/1shot/hsnet/feature/resnet50"]
)
def test_commands_of_a_row_can_be_composed(name: str) -> None:
    (row,) = ledger([], claims=[find_claim(name, published())])
    words = shlex.split(row.train_command)
    assert words[:3] == ["python", "-m", "hmseg.train"]
    settings = [word for word in words[3:] if not word.startswith(("-m", "hydra.", "fold="))]
    trained = compose(*settings)
    assert trained.dataset.name == name.split("/")[0].removesuffix("2pascal")
    assert "hmseg.evaluate ckpt=outputs/claims/" in row.evaluate_command
    if name.startswith("coco2pascal"):
        assert "dataset=coco2pascal dataset.image_size=417" in row.evaluate_command
        assert "'hydra.sweep.subdir=fold${fold}'" in row.train_command


def test_events_survive_a_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "reproduce.jsonl"
    append_event(path, claim="a", event="started")
    with path.open("a") as file:
        file.write('{"claim": "a", "ev')
    append_event(path, claim="a", event="failed", reason="é")
    assert [each["event"] for each in read_events(path)] == ["started", "failed"]
    assert read_events(tmp_path / "none.jsonl") == []
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="can't be read"):
        read_events(path)


def test_a_ledger_that_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(DataError, match="can't be written"):
        write_ledger(tmp_path / "results" / "claims.csv")
