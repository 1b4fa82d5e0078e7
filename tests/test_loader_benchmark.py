"""The loader's benchmark runs, and stops where pixels differ."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
ARGUMENTS = ["--size", "16", "--images", "12", "--batch-size", "1", "--repeats", "1", "--workers", "0"]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    if not FOLDER.is_dir():
        pytest.skip("an installed copy has no benchmarks")
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module("loader")
    for name in ("loader", "parts", "published_reading", "timing"):
        sys.modules.pop(name, None)


def test_it_measures_every_way(
    benchmark: ModuleType, voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark.main([str(tmp_path / "out/loader"), "--root", str(voc), *ARGUMENTS])
    record = json.loads((tmp_path / "out/loader.json").read_text())
    assert [(load["workload"], load["shot"]) for load in record["loads"]] == [
        ("test", 1), ("test", 5), ("training", 1)
    ]  # fmt: skip
    assert all(len(values) == 1 for load in record["loads"] for values in load["per_second"].values())
    assert len(record["loads"][0]["per_second"]) == 4
    assert capsys.readouterr().out.strip() == (tmp_path / "out/loader.md").read_text().strip()


def test_other_pixels_are_not_timed(
    benchmark: ModuleType, voc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = importlib.import_module("hmseg.data.dataset")
    monkeypatch.setattr(dataset, "resize_pixels", lambda image, *_: np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(SystemExit, match="the pixels of 'hmseg' are not those of 'published code'"):
        benchmark.main([str(tmp_path / "loader"), "--root", str(voc), *ARGUMENTS])
    assert not (tmp_path / "loader.json").exists()
