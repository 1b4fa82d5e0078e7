"""The benchmark on own photos: all figures stand on its page, and all ways give the same masks."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from made_checkpoints import write_checkpoint

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


def test_page_and_sheet(voc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not FOLDER.is_dir():
        pytest.skip("an installed copy has no benchmarks")
    write_checkpoint(tmp_path / "a.ckpt")
    before = set(sys.modules)
    monkeypatch.syspath_prepend(FOLDER)
    benchmark = importlib.import_module("segment_own")
    monkeypatch.setattr(benchmark, "QUERIES", 2)
    monkeypatch.setattr(benchmark, "MOST_SUPPORTS", 2)
    words = [str(tmp_path / "own"), "--root", str(voc), "--ckpt", str(tmp_path / "a.ckpt"), "--repeats", "1"]
    benchmark.main([*words, "--sides", "64", "--sheet", str(tmp_path / "sheet.png")])
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            sys.modules.pop(name)
    record = json.loads((tmp_path / "own.json").read_text())
    assert [each["photo"] for each in record["queries"]] == ["2007_080001", "2007_080002"]
    assert [(row["shots"], row["way"]) for row in record["timing"]] == [
        (shots, way)
        for shots in (1, 2)
        for way in ("support kept", "recomputed, this network", "recomputed, as published")
    ]
    assert all(row["differing"] < 0.01 for row in record["timing"])
    assert (tmp_path / "own.md").read_text().count("| support kept |") == 2
    with Image.open(tmp_path / "sheet.png") as picture:
        assert min(picture.size) > 100
