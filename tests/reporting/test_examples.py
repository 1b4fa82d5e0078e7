"""Pictures of episodes: which are chosen, what is drawn, and the whole way from checkpoints to the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hmseg import evaluation
from hmseg.assembly import build_datamodule, build_module
from hmseg.cli import entry
from hmseg.config import compose
from hmseg.data.pascal import PascalSource
from hmseg.errors import DataError
from hmseg.records import read_records
from hmseg.report import PROGRAM
from hmseg.reporting.choosing import chosen_episodes, shared_measurements
from hmseg.reporting.gathering import from_records
from hmseg.reporting.pictures import SIDE, data_uri
from made_evaluations import record, table, write_records
from tiny import LIGHTNING_WARNINGS

pytestmark = LIGHTNING_WARNINGS


def test_chosen_episodes_are_the_ends_and_the_middle() -> None:
    rows = table(40.0, episodes=30)
    rows[4, 2] = 0  # no object: never chosen
    rows[7, 6] = rows[9, 6] = 0
    rows[7, 2], rows[9, 2] = 400, 9000
    chosen = chosen_episodes(rows, 2)
    assert [one.kind for one in chosen] == ["best", "best", "median", "median", "worst", "worst"]
    ious = {int(row[0]): 100 * row[6] / row[7] for row in rows if row[2] > 0}
    ranked = sorted(ious, key=lambda index: ious[index])
    assert [one.episode for one in chosen[:2]] == [ranked[-1], ranked[-2]]
    assert {one.episode for one in chosen[2:4]} == set(ranked[13:15])
    assert [one.episode for one in chosen[4:]] == [9, 7]  # of two that are missed the larger one first
    assert all(one.iou == pytest.approx(ious[one.episode]) for one in chosen)


def test_a_short_list_shows_no_episode_twice() -> None:
    chosen = chosen_episodes(table(40.0, episodes=7), 5)
    assert len({one.episode for one in chosen}) == len(chosen) == 6
    assert chosen_episodes(table(40.0, episodes=2), 5) == []


def test_checkpoints_are_shown_on_common_episodes(tmp_path: Path) -> None:
    made = [record("Feature", shot=5), record("Feature"), record("Hybrid"), record("Hybrid", which="last")]
    runs = from_records(write_records(tmp_path / "a.jsonl", made)).measurements
    checksums = [found["checkpoint"]["sha256"] for found, _ in made]
    pair = shared_measurements(runs, [checksums[1], checksums[2]])
    assert [(run.setting.masking, run.setting.shot) for run in pair] == [("feature", 1), ("hybrid", 1)]
    with pytest.raises(DataError, match="of checkpoint 2"):
        shared_measurements(runs, [checksums[1], "f" * 64])


def test_pictures_are_small_jpegs() -> None:
    uri = data_uri(np.zeros((300, 600, 3), dtype=np.uint8))
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (SIDE, SIDE // 2)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # put back afterwards: entry changes it
    return tmp_path


def evaluated(masking: str, voc: Path) -> Path:
    """An untrained checkpoint, evaluated on nine episodes of tiny photos."""
    words = ("dataset=pascal", f"dataset.root={voc}", "dataset.image_size=64", "fold=1", "~recipe")
    cfg = compose(f"masking={masking}", "loader.test_episodes=9", *words)
    torch.manual_seed(5)
    module = build_module(cfg, build_datamodule(cfg))
    checkpoint: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    path = Path(masking) / "checkpoints/best.ckpt"
    path.parent.mkdir(parents=True)
    torch.save(checkpoint, path)
    told = ("loader.test_episodes=9", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false")
    places = ("paths.records=all.jsonl", "loader.num_workers=0")
    evaluation.run(compose(f"ckpt={path}", *places, *told, config_name="evaluate"))
    return path


def test_from_checkpoints_to_pictures(place: Path, voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for masking in ("feature", "hybrid"):
        evaluated(masking, voc)
    moved = voc.rename(place / "moved")
    entry(
        PROGRAM,
        ["records=all.jsonl", "examples=[feature,hybrid]", "examples_count=1", f"dataset.root={moved}"],
    )
    capsys.readouterr()
    text = (place / "report.html").read_text()
    assert text.count('<img src="data:image/jpeg;base64,') == 3 * 5
    for title in ("support 1", "query", "truth", "feature masking, IoU", "hybrid masking, IoU"):
        assert text.count(f'alt="{title}') == 3, title
    feature, hybrid = sorted(
        read_records(Path("all.jsonl")), key=lambda r: r["config"]["masking"]["_target_"]
    )
    assert feature["test"]["digest"] == hybrid["test"]["digest"]
    for found in (feature, hybrid):  # the pictures' IoUs are those of the tables
        name = found["config"]["masking"]["_target_"].rpartition(".")[2].removesuffix("Masking").lower()
        rows = from_records(Path("all.jsonl")).measurements
        (run,) = (one for one in rows if one.setting.masking == name)
        assert run.table is not None
        ious = {int(row[0]): 100 * row[6] / max(1, row[7]) for row in run.table}
        for part in text.split('<div class="example">')[1:]:
            index = int(part.partition("episode ")[2].partition("<")[0])
            shown = float(part.partition(f'alt="{name} masking, IoU ')[2].partition('"')[0])
            assert shown == pytest.approx(ious[index], abs=0.051)
    markdown = (place / "report.md").read_text()
    assert "data:" not in markdown and "Best: " in markdown


def test_changed_lists_are_noticed(place: Path, voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = evaluated("feature", voc)
    for lists in (voc / "splits/val").iterdir():
        lists.write_text("".join(sorted(lists.read_text().splitlines(keepends=True), reverse=True)))
    assert PascalSource(voc).lists == "own"
    with pytest.raises(SystemExit):
        entry(PROGRAM, ["records=all.jsonl", f"examples={path}"])
    assert "are not those of its record" in capsys.readouterr().err
