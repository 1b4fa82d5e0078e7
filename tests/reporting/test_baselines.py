"""What a training must beat: one line where the masking doesn't matter, else one each."""

from __future__ import annotations

from pathlib import Path

from hmseg.reporting.configurations import configurations
from hmseg.reporting.gathering import from_records
from hmseg.reporting.sections.baselines import baselines
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
