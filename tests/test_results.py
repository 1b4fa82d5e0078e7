"""Records: written whole or not at all, and gathered into a table."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from hmseg.metrics import Scores
from hmseg.results import print_comparison, scores_record, write_json

SUMMARISE = Path(__file__).resolve().parents[1] / "benchmarks" / "summarise.py"


def test_json_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.json"
    write_json(path, {"miou": 1.5})
    with pytest.raises(TypeError):
        write_json(path, {"miou": object()})
    assert json.loads(path.read_text()) == {"miou": 1.5}
    assert [each.name for each in path.parent.iterdir()] == ["record.json"]


def test_comparison_shows_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    scores = Scores(31.25, 60.5, {0: 31.25}, {0: 4})
    print_comparison(
        "title", {"ours": (scores, scores._replace(per_class={0: 7.5})), "other": (scores, scores)}
    )
    out = capsys.readouterr().out
    assert "31.25" in out and "60.50" in out and "7.50" in out and "other" in out


def record(masking: str, seed: int, miou: float) -> dict[str, Any]:
    scores = Scores(miou, 50.0, {0: miou}, {0: 4})
    row = scores_record(scores, ("ant",))
    return {
        **row,
        "small_objects": {"below": 0.02, **row, "miou": miou / 2},
        "baselines": {"everything foreground": {**row, "miou": 6.0, "miou_small": 1.0}},
        "test": {
            "dataset": "shapes",
            "fold": 0,
            "shot": 1,
            "protocol": "hsnet",
            "size": [64, 64],
            "digest": "d" * 64,
        },
        "config": {
            "seed": seed,
            "masking": {"_target_": f"hmseg.masking.{masking}Masking"},
            "model": {"_target_": "hmseg.networks.hsnet.HSNetHead"},
            "backbone": {"name": "mobilenet_v2"},
        },
        "command": "python -m hmseg.train",
        "commit": "abc",
        "versions": {"torch": "2.11.0"},
        "hardware": {"cpu": "some", "cores": 2, "threads": 1, "gpu": None},
        "date": "2026-01-31T00:00:00+00:00",
    }


def test_summary_groups_by_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, (masking, seed, miou) in enumerate(
        (("Hybrid", 0, 20.0), ("Hybrid", 1, 24.0), ("Feature", 0, 9.0))
    ):
        write_json(tmp_path / f"runs/{number}/checkpoints/best.x.json", record(masking, seed, miou))
        for version, rows in enumerate(("0,,1\n0,11.0,2\n1,12.0,4\n", "1,13.5,4\n")):
            log = tmp_path / f"runs/{number}/csv/version_{version}/metrics.csv"
            log.parent.mkdir(parents=True)
            log.write_text(f"epoch,val/miou,step\n{rows}")
    main = runpy.run_path(str(SUMMARISE))["main"]
    main([str(tmp_path / "out/table"), str(tmp_path / "runs"), "--title", "Maskings"])
    text = (tmp_path / "out/table.md").read_text()
    assert "| HSNet, hybrid masking, mobilenet_v2, shapes fold 0, 1-shot | 22.0 ± 2.8 | 11.0 ± 1.4 |" in text
    assert "feature masking, mobilenet_v2, shapes fold 0, 1-shot | 9.0 | 4.5 | 50.0 | 0 |" in text
    assert "shapes fold 0, 1-shot, seed 1: 11.0, 13.5\n" in text
    assert "everything foreground" in text and text in capsys.readouterr().out
    assert len((tmp_path / "out/table.jsonl").read_text().splitlines()) == 3
    with pytest.raises(SystemExit):
        main([str(tmp_path / "none"), str(tmp_path / "out")])
