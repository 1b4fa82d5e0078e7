"""The benchmarks of outlines and presence: figures stand on their pages, from photos of the right folds."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_checkpoints import write_checkpoint

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def benchmark_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Scripts of this folder can be imported, and are forgotten afterwards."""
    if not FOLDER.is_dir():
        pytest.skip("an installed copy has no benchmarks")
    before = set(sys.modules)
    monkeypatch.syspath_prepend(FOLDER)
    yield FOLDER
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            sys.modules.pop(name)


def record(name: str, voc: Path, tmp_path: Path, *words: str) -> tuple[dict[str, Any], str]:
    """What a benchmark writes: its record, and its page."""
    write_checkpoint(tmp_path / "a.ckpt")
    given = [str(tmp_path / "out"), "--root", str(voc), "--ckpt", str(tmp_path / "a.ckpt"), *words]
    importlib.import_module(name).main(given)
    return json.loads((tmp_path / "out.json").read_text()), (tmp_path / "out.md").read_text()


def test_outlines(voc: Path, tmp_path: Path, benchmark_folder: Path) -> None:
    found, page = record("refinement", voc, tmp_path, "--queries", "1")
    assert found["photos"] == 10  # one of each class of two folds
    for name, row in found["ways"].items():
        assert 0 <= row["miou"] <= 100 and 0 <= row["boundary_f"] <= 100
        assert f"| {name} | {row['miou']:.1f} | {row['boundary_f']:.1f} |" in page


def test_presence(voc: Path, tmp_path: Path, benchmark_folder: Path) -> None:
    found, page = record("presence", voc, tmp_path, "--count", "3")
    for name, row in found["results"].items():
        assert (row["with"], row["without"]) == (3, 3) and 0 <= row["auc"] <= 1
        assert f"| {name} | 3 | 3 | {row['auc']:.3f} |" in page


def test_trials_hold_the_class_or_do_not_and_never_their_support(voc: Path, benchmark_folder: Path) -> None:
    photos = importlib.import_module("voc_pairs").Photos([voc])
    trials = importlib.import_module("presence").draw_trials(photos, (1, 3), 20, 3)
    assert [present for *_, present in trials] == [True, False] * 20
    for number, query, support, present in trials:
        assert number in {*range(6, 11), *range(16, 21)} and query != support
        assert (photos.labels(query) == number).any() == present
        assert (photos.labels(support) == number).any()


def test_boundary_f_counts_the_outlines_that_lie_near_each_other(benchmark_folder: Path) -> None:
    boundary_f = importlib.import_module("refinement").boundary_f
    square, everywhere = np.zeros((100, 100), bool), np.ones((100, 100), bool)
    square[20:60, 20:60] = True
    assert boundary_f(square, square, everywhere) == pytest.approx(100)
    assert boundary_f(np.roll(square, 1, axis=0), square, everywhere) == pytest.approx(100)  # within a pixel
    far = boundary_f(np.roll(square, 10, axis=0), square, everywhere)
    assert 30 < far < 60  # the upright sides, three quarters of them, and nothing of the others
    assert boundary_f(~everywhere, square, everywhere) == 0
