"""The short tables of the results: what a training must beat, and all maskings at a glance."""

from __future__ import annotations

from pathlib import Path

from hmseg.reporting.configurations import configurations
from hmseg.reporting.gathering import from_records
from hmseg.reporting.sections.baselines import baselines
from hmseg.reporting.sections.glance import glance
from made_evaluations import record, write_records


def test_baselines(tmp_path: Path) -> None:
    made = []
    for masking, untrained in (("Feature", 9.0), ("Hybrid", 11.0)):
        for fold in (0, 1):
            found = {
                "untrained network": {"miou": untrained + fold, "fb_iou": 30.0},
                f"correlation prior (threshold 0.5{fold})": {"miou": 20.0 + 2 * fold, "fb_iou": 50.0},
                "damaged": "x",
            }
            made.append(record(masking, fold=fold, baselines=found))
    every = configurations(from_records(write_records(tmp_path / "a.jsonl", made)).measurements)
    (table,) = baselines(every)
    assert table.header == ("predictor", "fold 0", "fold 1", "mIoU", "FB-IoU")
    assert table.rows == (
        ("untrained network, feature masking", "9.0", "10.0", "9.5", "30.0"),
        ("untrained network, hybrid masking", "11.0", "12.0", "11.5", "30.0"),
        ("correlation prior", "20.0", "22.0", "21.0", "50.0"),
    )
    assert (
        baselines(configurations(from_records(write_records(tmp_path / "b.jsonl", [record()])).measurements))
        == []
    )


def test_at_a_glance(tmp_path: Path) -> None:
    ways = ((1, "vote"), (5, "vote"), (5, "concat"))
    made = [
        record(masking, fold=fold, shot=shot, aggregation=way)
        for masking in ("Feature", "Hybrid")
        for fold in (0, 1)
        for shot, way in ways
        if (masking, way) != ("Feature", "concat")
    ]
    beside = [record("Hybrid", which="last"), record("Hybrid", original_size=True)]
    path = write_records(tmp_path / "a.jsonl", made + beside)
    (table,) = glance(configurations(from_records(path).measurements))
    assert table.header == ("masking", "1-shot", "5-shot, vote", "5-shot, concat")
    texts = [[cell.text for cell in row] for row in table.cells]
    assert [row[0] for row in texts] == ["feature", "hybrid"] and texts[0][3] == "–"
    feature = [found for found, _ in made if "Feature" in found["config"]["masking"]["_target_"]]
    one_shot = [found["miou"] for found in feature if found["test"]["shot"] == 1]
    assert texts[0][1] == f"{sum(one_shot) / 2:.1f}"
    assert "folds 0, 1" in table.caption
    assert (
        glance(configurations(from_records(write_records(tmp_path / "b.jsonl", [record()])).measurements))
        == []
    )
