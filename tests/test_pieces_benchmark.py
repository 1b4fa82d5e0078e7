"""The pieces' benchmark: every way gives the plain way's numbers, and all stand in the table."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


def test_every_way_is_measured_and_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not FOLDER.is_dir():
        pytest.skip("an installed copy has no benchmarks")
    monkeypatch.syspath_prepend(FOLDER)
    pieces = importlib.import_module("pieces")
    pieces.main([str(tmp_path / "pieces"), "--scale", "10", "--repeats", "1"])
    for name in ("pieces", "pieces_backbone", "pieces_head", "timing", "winograd"):
        sys.modules.pop(name)
    rows = json.loads((tmp_path / "pieces.json").read_text())["rows"]
    assert len(rows) == 22
    for found in rows:
        for way, error in found["errors"].items():
            assert error < (1e-4 if way.startswith("PyTorch's") else 5e-6), (found["piece"], way)
    assert (tmp_path / "pieces.md").read_text().count("(product)") == 22
