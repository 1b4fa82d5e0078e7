"""A training and an evaluation with ``logger=wandb`` offline, read back from the files that they leave."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hmseg.files import sha256
from wandb_files import Written, only_run, read_run
from wandb_runs import TINY, run_all

OFFLINE = ("logger=[csv,wandb]", "logger.wandb.mode=offline")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained for two epochs, gone on with for a third, evaluated; then again with W&B disabled."""
    path = tmp_path_factory.mktemp("offline")
    first = ("train", *TINY, *OFFLINE, "fold=1", "logger.wandb.tags=[mine]")
    done = run_all(
        [
            first,
            ("evaluate", "ckpt=run", "logger=wandb", "logger.wandb.mode=offline", "loader.test_episodes=6"),
            ("train", "resume=run", "trainer.max_epochs=3", "test=false"),
            ("train", *TINY, "hydra.run.dir=off", "test=false", "logger=wandb", "logger.wandb.mode=disabled"),
        ],
        path,
    )
    assert "ended with" not in done.stderr and "Traceback" not in done.stderr, done.stderr
    return path


def runs(folder: Path) -> list[Path]:
    """Files of the training and of what it was gone on with, in order."""
    return sorted(folder.glob("run/wandb/offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime)


@pytest.fixture(scope="module")
def trained(folder: Path) -> Written:
    return read_run(runs(folder)[0])


def test_a_run_is_of_its_experiment_its_fold_and_its_tags(trained: Written) -> None:
    assert (trained.run.run_group, trained.run.job_type) == ("shapes_quick", "fold1")
    assert trained.run.project == "hmseg" and trained.run.display_name == "hybrid fold 1 seed 0"
    known = {"train", "model=hsnet", "masking=hybrid", "dataset=shapes", "backbone=mobilenet_v2", "shot=1"}
    assert set(trained.run.tags) == {"mine", *known}
    assert trained.exit_code == 0


def test_the_whole_resolved_configuration_is_there(trained: Written, folder: Path) -> None:
    written = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    stored = {key: value for key, value in trained.config.items() if key not in ("_wandb", "labels")}
    again = {"resume": None, "test": True}  # the file is of the run that went on
    assert stored == {**written, **again, "trainer": {**written["trainer"], "max_epochs": 2}}
    assert trained.config["labels"]["masking"] == "hybrid" and "${" not in json.dumps(stored)


def test_metrics_have_steps_and_summaries(trained: Written) -> None:
    step = "trainer/global_step"
    assert trained.metrics["*"].step_metric == trained.metrics["val/miou"].step_metric == step
    assert trained.metrics["train/loss_epoch"].step_metric == "epoch"
    summary = trained.metrics["val/miou"].summary
    assert (summary.max, summary.last, summary.min) == (True, True, False)
    assert trained.metrics["train/loss"].summary.min and trained.metrics["test/*"].options.hidden
    steps = [row[step] for row in trained.history if "train/loss" in row]
    assert steps == [0, 1, 2, 3]
    for name in ("train/grad_norm", "train/episodes_per_second", "train/memory_gb"):
        assert len(trained.values(name)) == 4 and min(trained.values(name)) > 0, name
    assert all(row.get(step) is not None for row in trained.history)


def test_validations_and_the_best_of_them(trained: Written) -> None:
    scores = trained.values("val/miou")
    assert len(scores) == 2
    assert trained.values("val/miou_best") == [scores[0], max(scores)]
    assert len(trained.values("val/classes")) == 1 + (scores[1] > scores[0])
    assert trained.values("val/classes")[0]["nrows"] == 5  # classes of a fold


def test_tests_of_best_and_last_by_size_of_the_object(trained: Written, folder: Path) -> None:
    for which in ("best", "last"):
        (path,) = (folder / "run/checkpoints").glob(f"{which}.shapes-fold1-1shot-hsnet-6.json")
        record = json.loads(path.read_text())
        assert trained.values(f"test_{which}/miou") == [record["miou"]]
        assert trained.values(f"test_{which}/fb_iou") == [record["fb_iou"]]
        assert trained.values(f"test_{which}/miou_small") == [record["small_objects"]["miou"]]
        sized = [
            name for row in trained.history for name in row if name.startswith(f"test_{which}/miou_size")
        ]
        assert sized
        table = files(folder, trained.values(f"test_{which}/sizes")[0])
        assert [row[0] for row in table["data"]] == ["below 1 %", "1 to 5 %", "5 to 20 %", "20 % and more"]
        assert sum(row[2] for row in table["data"]) == 6
        table = files(folder, trained.values(f"test_{which}/classes")[0])
        assert table["columns"] == ["class", "IoU", "episodes"]
        assert [row[1] for row in table["data"]] == [each["iou"] for each in record["per_class"]]


def files(folder: Path, told: dict[str, Any]) -> Any:
    """The content of a table that the first run's history tells of."""
    content: Any = json.loads((runs(folder)[0].parent / "files" / told["path"]).read_text())
    return content


def test_fixed_episodes_are_shown_with_masks_over_the_epochs(trained: Written, folder: Path) -> None:
    tables = [files(folder, told) for told in trained.values("val/episodes")]
    assert [table["data"][0][0] for table in tables] == [1, 2]  # epochs
    for table in tables:
        assert table["columns"] == ["epoch", "episode", "class", "support", "query", "IoU"]
        assert len(table["data"]) == 4
    assert [row[1:3] for row in tables[0]["data"]] == [row[1:3] for row in tables[1]["data"]]
    assert len({row[2] for row in tables[0]["data"]}) == 4  # of as many classes
    of_table = [each for each in trained.artifacts if each.type == "run_table" and "valepisodes" in each.name]
    names = {content.path: content.local_path for content in of_table[0].manifest.contents}
    rows = json.loads(Path(names["val/episodes.table.json"]).read_text())["data"]
    for row in rows:
        support, query = row[3], row[4]
        assert set(support["masks"]) == {"mask"} and set(query["masks"]) == {"truth", "prediction"}
        assert all(one["path"] in names for one in (support, query, *query["masks"].values()))


def test_checkpoints_are_versions_of_one_artifact(trained: Written, folder: Path) -> None:
    best, last = (each for each in trained.artifacts if each.type == "model")
    assert best.name == last.name == f"checkpoint-{trained.run.run_id}"
    assert "best" in best.aliases and {"last", "latest"} <= set(last.aliases)
    (file,) = best.manifest.contents
    about = json.loads(best.metadata)
    assert file.path == "best.ckpt" and about["sha256"] == sha256(Path(file.local_path))
    assert (about["run"], about["group"]) == (trained.run.run_id, "shapes_quick")
    assert json.loads(last.metadata)["step"] == 4
    origin = json.loads((folder / "run" / "wandb.json").read_text())
    assert origin["artifacts"]["best.ckpt"] == f"{best.name}:best" and origin["entity"] is None


def test_a_training_that_goes_on_is_the_same_run(trained: Written, folder: Path) -> None:
    first, second = runs(folder)
    again = read_run(second)
    assert again.run.run_id == trained.run.run_id and again.exit_code == 0
    assert again.values("val/miou_best")[0] == max([*trained.values("val/miou"), *again.values("val/miou")])
    assert [row["trainer/global_step"] for row in again.history if "train/loss" in row] == [4, 5]


def test_an_evaluation_is_a_run_of_the_same_group_that_names_its_checkpoint(
    trained: Written, folder: Path
) -> None:
    tested = read_run(only_run(folder))
    assert (tested.run.run_group, tested.run.job_type) == ("shapes_quick", "fold1")
    assert "evaluate" in tested.run.tags and tested.run.run_id != trained.run.run_id
    assert tested.values("test_best/miou") == trained.values("test_best/miou")
    about = tested.config["checkpoint"]
    assert about["artifact"] == f"hmseg/checkpoint-{trained.run.run_id}:best"
    assert about["run"] == trained.run.run_id and tested.config["shot"] == 1
    assert not (folder / "wandb.json").exists()  # an evaluation leaves nothing but its record


def test_the_same_numbers_are_in_the_csv_file(trained: Written, folder: Path) -> None:
    with (folder / "run/csv/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in ("val/miou", "train/grad_norm", "test_best/miou", "test_last/fb_iou"):
        assert [float(row[name]) for row in rows if row[name]] == pytest.approx(trained.values(name)), name


def test_disabled_leaves_nothing(folder: Path) -> None:
    assert (folder / "off/checkpoints/best.ckpt").is_file()
    assert not list(folder.glob("off/wandb/*run*")) and not (folder / "off/wandb.json").exists()
