"""``python -m hmseg.episodes``: lists of episodes, from the command line to the record of an evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hmseg import evaluation, training
from hmseg.cli import entry
from hmseg.config import compose
from hmseg.data.manifest import read_manifest
from hmseg.episode_lists import run
from hmseg.episodes import PROGRAM
from hmseg.errors import ConfigError, DataError, HmsegError
from standin import IMAGES, coco_root, fss_root, pascal_root

SHAPES = (
    "dataset=shapes",
    "dataset.image_size=64",
    "dataset.source.train_images=40",
    "dataset.source.val_images=60",
)


def write(out: Path, *overrides: str) -> str:
    return run(compose(*overrides, f"out={out}", config_name="episodes"))


def test_every_benchmark_is_written_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voc, coco, fss = (
        make(tmp_path / name)
        for make, name in ((pascal_root, "VOC2012"), (coco_root, "COCO2014"), (fss_root, "FSS-1000"))
    )
    for name, settings, count in (
        ("pascal", (f"dataset.root={voc}", "fold=2"), 1000),
        ("coco", (f"dataset.root={coco}", "fold=1", "protocol=ifsl", "episodes=30", "seeds=[0,2]"), 60),
        ("fss", (f"dataset.root={fss}", "protocol=strict", "split=val"), 3 * IMAGES),
        ("coco2pascal", (f"dataset.coco={coco}", f"dataset.pascal={voc}", "fold=3"), 1000),
    ):
        out = tmp_path / f"{name}.jsonl"
        digest = write(out, f"dataset={name}", "shot=5", *settings)
        manifest = read_manifest(out)
        assert (manifest.dataset, manifest.shot, len(manifest.episodes)) == (name, 5, count)
        assert f"SHA-256 of the episodes: {digest}" in capsys.readouterr().out
        places = [setting for setting in settings if setting.startswith("dataset.")]
        again = run(compose(f"dataset={name}", *places, f"check={out}", config_name="episodes"))
        text = capsys.readouterr().out
        assert (
            again == digest and "every image is here" in text and "own lists here gives the same ones" in text
        )


def test_a_list_that_was_not_drawn_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voc = pascal_root(tmp_path / "VOC2012")
    out, place = tmp_path / "m.jsonl", f"dataset.root={voc}"
    write(out, "dataset=pascal", place, "episodes=20")
    (voc / "splits/val/fold0.txt").write_text("".join(f"2007_00000{n}__01\n" for n in (6, 0)))
    run(compose("dataset=pascal", place, f"check={out}", config_name="episodes"))
    assert "gives other ones: its lists differ" in capsys.readouterr().out
    (voc / "JPEGImages/2007_010003.jpg").unlink()
    with pytest.raises(
        DataError, match="the manifest names the image '2007_010003', which pascal does not have"
    ):
        run(compose("dataset=pascal", place, f"check={out}", config_name="episodes"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("dataset=shapes",), "give either out=FILE to write a list of episodes, or check=FILE"),
        (("dataset=shapes", "out=a", "check=b"), "give either out=FILE"),
        (("dataset=shapes", "out=a", "episodes=0"), "episodes: expected at least 1, got 0"),
        (("dataset=shapes", "out=a", "seeds=[1,1]"), r"seeds: expected a number of at least 0, or different"),
        (("dataset=shapes", "out=a", "seeds=[]"), r"seeds: expected"),
        (("dataset=shapes", "out=a", "fold=4"), "fold=4: dataset shapes has folds 0 to 3"),
        (("dataset=fss", "out=a", "fold=0"), "fold=0: dataset fss has no folds; give fold=null"),
        (("dataset=pascal", "out=a", "fold=null"), "fold=null: dataset pascal has 4 folds"),
        (("dataset=shapes", "out=a", "protocol=strikt"), "unknown protocol 'strikt': did you mean 'strict'"),
        (("dataset=shapes", "out=a", "split=train"), "unknown split 'train'"),
        (("dataset=pascal", "out=a", "dataset.novel=dropped"), "unknown dataset.novel 'dropped'"),
        (("out=a",), "dataset"),
    ],
)
def test_mistakes_are_found_before_anything_is_read(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(*words, config_name="episodes")


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "m.jsonl"
    entry(PROGRAM, [*SHAPES, "fold=1", "episodes=9", f"out={out}"])
    assert "9 test episodes of shapes fold 1, 1-shot, protocol hsnet, seed 0" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        entry(PROGRAM, ["dataset=pascal", f"dataset.root={tmp_path}", f"check={out}"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err.startswith("error: image folder")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of one step."""
    folder = tmp_path_factory.mktemp("run")
    small = (
        "loader.batch_size=2",
        "loader.train_episodes=2",
        "loader.val_episodes=2",
        "loader.num_workers=0",
    )
    limits = ("trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false")
    cfg = compose(
        *SHAPES, *small, *limits, "logger=none", "test=false", "fold=1", f"paths.output_dir={folder}"
    )
    training.run(cfg)
    return folder


def evaluate(trained: Path, *overrides: str) -> dict[str, Any]:
    """The record of an evaluation."""
    for path in (trained / "checkpoints").glob("*.json"):
        path.unlink()
    quick = ("loader.num_workers=0", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false")
    cfg = compose(f"ckpt={trained}", "paths.records=null", *quick, *overrides, config_name="evaluate")
    evaluation.run(cfg)
    (path,) = (trained / "checkpoints").glob("*.json")
    record: dict[str, Any] = json.loads(path.read_text())
    record["file"] = path.name
    return record


@pytest.mark.filterwarnings("default")
def test_evaluation_on_a_manifest(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.jsonl"
    digest = write(out, *SHAPES, "fold=1", "shot=2", "protocol=strict", "episodes=7", "seeds=[4]")
    record = evaluate(trained, f"episodes={out}", "shot=2")
    drawn = evaluate(trained, "shot=2", "protocol=strict", "loader.test_episodes=7", "loader.protocol_seed=4")
    assert record["miou"] == drawn["miou"] and record["per_class"] == drawn["per_class"]
    assert record["test"]["digest"] == drawn["test"]["digest"] == digest
    assert (record["test"]["protocol"], drawn["test"]["protocol"]) == ("manifest", "strict")
    assert record["test"]["manifest"]["seeds"] == [4] and drawn["test"]["manifest"] is None
    assert record["test"]["lists"] == "published"
    assert record["file"] == f"best.shapes-fold1-2shot-manifest{digest[:8]}-7.json"


@pytest.mark.filterwarnings("default")
def test_evaluation_with_several_seeds(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = evaluate(trained, "loader.test_episodes=5", "loader.protocol_seed=[3,0]")
    assert record["file"] == "best.shapes-fold1-1shot-hsnet-10-seed3-0.json"
    assert [each["seed"] for each in record["seeds"]] == record["test"]["protocol_seed"] == [3, 0]
    alone = evaluate(trained, "loader.test_episodes=5", "loader.protocol_seed=3")
    assert record["seeds"][0]["miou"] == pytest.approx(alone["miou"])
    mious = [each["miou"] for each in record["seeds"]]
    assert record["miou_mean"] == pytest.approx(sum(mious) / 2)
    assert record["miou_std"] == pytest.approx(abs(mious[0] - mious[1]) / 2**0.5)
    assert "mIoU by seed: " in capsys.readouterr().out and "seeds" not in alone


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("episodes=nowhere.jsonl",), "manifest nowhere.jsonl cannot be read"),
        (("shot=1",), "the manifest is of shot=2, not of shot=1: give shot=2"),
        (("shot=2", "fold=3"), "the manifest is of fold=1, not of fold=3: give fold=1"),
        (("shot=2", "dataset.source.val_images=40"), "names the image 'val_0000"),
    ],
)
def test_a_manifest_of_something_else_stops_before_the_model(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "m.jsonl"
    write(out, *SHAPES, "fold=1", "shot=2", "episodes=15")
    monkeypatch.setattr(evaluation, "build_module", lambda *_: pytest.fail("the model was built"))
    with pytest.raises(HmsegError, match=message):
        evaluate(trained, f"episodes={out}", *overrides)
