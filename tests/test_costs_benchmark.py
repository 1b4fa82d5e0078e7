"""The table of costs: cells in order, failures with their reason, a run taken up where it stopped."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PATH = Path(__file__).resolve().parents[1] / "benchmarks/costs.py"


@pytest.fixture(scope="module")
def costs() -> ModuleType:
    if not PATH.is_file():
        pytest.skip("an installed copy has no benchmarks")
    spec = importlib.util.spec_from_file_location("costs", PATH)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["costs"] = module
    spec.loader.exec_module(module)
    return module


def record(*cell: str) -> dict[str, Any]:
    return {
        "cell": list(cell),
        "image_size": 400,
        "learnable": 2573794,
        "frozen": 23508032,
        "forward_seconds": [2.0, 1.0, 1.5],
        "step_seconds": [4.0],
        "forward_memory_gb": 1.0,
        "step_memory_gb": 2.5,
        "hardware": {"cpu": "a CPU", "cores": 2, "threads": 2, "gpu": None},
        "versions": {"torch": "2"},
        "commit": "abc",
        "date": "2026-01-31T00:00:00",
    }


def test_only_missing_cells_run_and_the_table_is_sorted(
    costs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def run(cell: tuple[str, str, str], repeats: int, threads: int) -> dict[str, Any]:
        ran.append(cell)
        return {"cell": list(cell), "failed": "too large"} if cell[0] == "vat" else record(*cell)

    monkeypatch.setattr(costs, "_run", run)
    out = tmp_path / "costs"
    words = [str(out), "--models", "vat", "hsnet", "--maskings", "none", "--backbones", "resnet50"]
    out.with_suffix(".jsonl").write_text(json.dumps(record("hsnet", "hybrid", "vgg16")) + "\n")
    costs.main(words)
    assert ran == [("vat", "none", "resnet50"), ("hsnet", "none", "resnet50")]
    costs.main(words)
    assert len(ran) == 2
    rows = [line for line in out.with_suffix(".md").read_text().splitlines() if line[:3] in ("| h", "| v")]
    assert [row.split(" | ")[:3] for row in rows] == [
        ["| hsnet", "none", "resnet50"],
        ["| hsnet", "hybrid", "vgg16"],
        ["| vat", "none", "resnet50"],
    ]
    assert "1,500 (1,000) | 4,000 (0) | 1.00 | 2.50" in rows[0]
    assert "could not run: too large" in rows[2]
    absent = out.with_suffix(".md").read_text().partition("Not measured")[2]
    assert "asnet none resnet50;" in absent and "hsnet none resnet50;" not in absent


def test_a_cell_that_cannot_run_says_why(costs: ModuleType) -> None:
    failed = costs._run(("hsnet", "none", "nowhere"), 1, 1)
    assert failed["cell"] == ["hsnet", "none", "nowhere"]
    assert "unknown option 'nowhere' for backbone" in failed["failed"]
