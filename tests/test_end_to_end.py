"""The programs as a user runs them: train, evaluate, be killed, go on; and every mistake in one line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from hmseg import training
from hmseg.config import compose
from hmseg.episode_table import read_table
from hmseg.evaluation_record import table_path
from hmseg.files import owned
from hmseg.masking import MASKINGS
from hmseg.records import episodes_path, read_records

# 64-pixel shapes and a dozen episodes: seconds, and nothing is left out.
TINY = (
    "experiment=shapes_quick",
    "dataset.image_size=64",
    "dataset.source.train_images=40",
    "dataset.source.val_images=60",
    "loader.num_workers=0",
    "loader.batch_size=2",
    "loader.train_episodes=8",
    "loader.val_episodes=6",
    "loader.test_episodes=6",
    "trainer.max_epochs=2",
    "trainer.max_time=null",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=2",
)


def start(program: str, *words: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", f"hmseg.{program}", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=pipe,
        stderr=pipe,
        text=True,
        # A test run in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def call(program: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    process = start(program, *words, folder=folder)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def weights(path: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


def only_record(run: Path) -> dict[str, Any]:
    (path,) = (run / "checkpoints").glob("best.shapes-fold0-1shot-hsnet-6.json")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("trained")
    done = call("train", *TINY, "hydra.run.dir=run", folder=folder)
    assert done.returncode == 0, done.stderr
    for row in ("trained network", "untrained network", "prototype, no training", "everything foreground"):
        assert row in done.stdout
    return folder / "run"


def test_a_run_leaves_all_that_is_needed_to_repeat_it(trained: Path) -> None:
    assert (trained / "config.yaml").is_file()
    names = {path.name for path in (trained / "checkpoints").glob("*.ckpt")}
    assert names == {"best.ckpt", "last.ckpt", "last-previous.ckpt"}
    (metrics,) = trained.glob("csv/**/metrics.csv")
    assert {"val/miou", "train/loss", "train/grad_norm", "lr-Adam"} <= set(
        metrics.read_text().splitlines()[0].split(",")
    )
    record = only_record(trained)
    assert (
        record["episodes"] == 6
        and record["test"]["protocol"] == "hsnet"
        and len(record["test"]["digest"]) == 64
    )
    assert record["config"]["masking"]["_target_"] == "hmseg.masking.HybridMasking"
    assert set(record["versions"]) >= {"torch", "torchvision", "hmseg"}
    assert str(trained) not in json.dumps(record)  # a record says nothing of the machine's folders
    assert len(record["training"]["history"]) == 2 and record["training"]["complete"] is True
    assert json.loads((trained / "run.json").read_text())["run"] == record["run"]
    origin = json.loads((trained / "environment.json").read_text())
    assert origin["episodes"]["test"]["digest"] == record["test"]["digest"]
    assert len(origin["episodes"]["val"]["digest"]) == 64 and origin["seeds"]["seed"] == 0
    assert len(origin["starts"]) == 1 and origin["starts"][0]["versions"] == record["versions"]
    checkpoint = torch.load(trained / "checkpoints/best.ckpt", weights_only=True)
    assert checkpoint["hmseg"]["config"]["dataset"]["image_size"] == 64
    assert not any(".backbone." in name for name in checkpoint["state_dict"])  # bundled: can be had again


def test_a_run_cannot_go_on_for_fewer_epochs_than_it_had(trained: Path) -> None:
    done = call("train", f"resume={trained}", "trainer.max_epochs=1", "test=false", folder=trained.parent)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
    assert "trainer.max_epochs=1: the run in" in done.stderr and "has begun epoch 2" in done.stderr


def test_best_and_last_checkpoint_are_both_recorded(trained: Path) -> None:
    best, last = read_records(trained.parent / "results/records.jsonl")[:2]
    assert (best["checkpoint"]["which"], last["checkpoint"]["which"]) == ("best", "last")
    assert best["run"] == last["run"] and best["id"] != last["id"]
    assert best["training"]["history"] == last["training"]["history"]  # the best one's shows what came after
    assert last["training"]["step"] == 8 and best["training"]["step"] in (4, 8)
    assert last["baselines"] == {} and set(best["baselines"]) > {"untrained network"}
    for record in (best, last):
        table = read_table(episodes_path(trained.parent / "results/records.jsonl", record["id"]))
        assert len(table) == record["episodes"] == 6
        for each in record["per_class"]:
            intersection, union = table[table[:, 1] == each["class_id"]][:, 6:].sum(axis=0)
            assert each["iou"] == pytest.approx(100 * intersection / max(1, union))
    assert not list((trained / "checkpoints").glob("*unfinished*"))


def test_an_evaluation_that_is_killed_goes_on(trained: Path) -> None:
    words = (f"ckpt={trained}", "loader.test_episodes=400", "loader.eval_batch_size=4",
             "loader.num_workers=0", "fold=1", "paths.records=null")  # fmt: skip
    process = start("evaluate", *words, folder=trained)
    unfinished = trained / "checkpoints/best.shapes-fold1-1shot-hsnet-400.unfinished.0"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if unfinished.is_file() and unfinished.read_text().count("\n") > 2:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = call("evaluate", *words, folder=trained)
    assert done.returncode == 0, done.stderr
    assert "of 400 episodes were tested before: going on" in done.stdout
    again = trained / "checkpoints/best.shapes-fold1-1shot-hsnet-400"
    first = read_table(Path(f"{again}.episodes.csv.gz"))
    assert call("evaluate", *words, "loader.eval_batch_size=7", folder=trained).returncode == 0
    assert (read_table(Path(f"{again}.episodes.csv.gz")) == first).all()


def test_two_devices_share_an_evaluation(trained: Path) -> None:
    """Of 7 episodes one device has 4 and the other 3; an interruption of both changes nothing."""
    words = (f"ckpt={trained}", "fold=2", "loader.test_episodes=7", "loader.eval_batch_size=2",
             "loader.num_workers=0", "trainer.accelerator=cpu")  # fmt: skip
    ddp = ("trainer.strategy=ddp", "trainer.devices=2")
    path = trained / "checkpoints/best.shapes-fold2-1shot-hsnet-7.json"
    tables, scores = [], []
    for devices in ((), ddp):
        done = call("evaluate", *words, *devices, folder=trained)
        assert done.returncode == 0, done.stderr
        tables.append(read_table(table_path(path)))
        scores.append(json.loads(path.read_text())["per_class"])
        path.unlink()
    assert (tables[0] == tables[1]).all() and scores[0] == scores[1]
    lines = (trained / "results/records.jsonl").read_text().splitlines()
    records = [json.loads(line) | {"command": "as typed"} for line in lines]
    assert str(trained) not in json.dumps(records)
    ids = [record["id"] for record in records if record["episodes"] == 7]
    assert len(ids) == 2 and len(set(ids)) == 1  # one for each evaluation, not for each device


def test_evaluating_the_checkpoint_gives_what_training_ended_with(trained: Path) -> None:
    done = call(
        "evaluate", f"ckpt={trained}", "loader.test_episodes=6", "loader.eval_batch_size=1", folder=trained
    )
    assert done.returncode == 0, done.stderr
    assert "mIoU" in done.stdout and "striped star" in done.stdout
    path = trained / "checkpoints/best.shapes-fold0-1shot-hsnet-6.json"
    again, before = json.loads(path.read_text()), None
    # The evaluation above replaced the record; what training logged is in its own metrics.
    (metrics,) = trained.glob("csv/**/metrics.csv")
    header, *rows = (line.split(",") for line in metrics.read_text().splitlines())
    logged = [row[header.index("test/miou")] for row in rows if row[header.index("test/miou")]]
    before = float(logged[-1])
    assert again["miou"] == pytest.approx(before, abs=1e-4)


def test_two_devices_train_and_one_tells(tmp_path: Path) -> None:
    ddp = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "loader.batch_size=1")
    done = call("train", *TINY, *ddp, "loader.val_episodes=7", "hydra.run.dir=run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    assert done.stdout.count("best.ckpt: fold 0, 1-shot") == done.stdout.count("untrained network") == 1
    assert (run / "train_ddp_process_1.log").read_text() == ""
    assert [path.name for path in (run / "csv").iterdir()] == ["version_0"]
    best, last = read_records(tmp_path / "results/records.jsonl")
    assert len((tmp_path / "results/records.jsonl").read_text().splitlines()) == 2
    assert best["run"] == last["run"] == json.loads((run / "run.json").read_text())["run"]
    assert best["episodes"] == last["episodes"] == 6 and last["training"]["step"] == 8
    assert best["baselines"]["everything foreground"]["miou"] > 0  # scored by one device alone
    (start,) = json.loads((run / "environment.json").read_text())["starts"]
    assert start["devices"] == 2


def test_other_shots_protocol_and_data_set(trained: Path, voc: Path) -> None:
    words = (f"ckpt={trained}", "loader.test_episodes=3", "loader.num_workers=0")
    done = call("evaluate", *words, "shot=2", "protocol=strict", "fold=2", folder=trained)
    assert done.returncode == 0, done.stderr
    assert (trained / "checkpoints/best.shapes-fold2-2shot-strict-3.json").is_file()
    other = ("dataset=pascal", f"dataset.root={voc}", "dataset.image_size=64", "loader.original_size=true")
    done = call("evaluate", *words, *other, folder=trained)
    assert done.returncode == 0, done.stderr
    record = json.loads((trained / "checkpoints/best.pascal-fold0-1shot-hsnet-3-original.json").read_text())
    assert record["per_class"][0]["name"] == "aeroplane" and record["test"]["original_size"]


def step_of(last: Path) -> int:
    """The step of a checkpoint that another process replaces every now and then; 0 where there is none."""
    try:
        step: int = torch.load(last, weights_only=True)["global_step"]
    except FileNotFoundError:
        return 0
    return step


def stop(process: subprocess.Popen[str], signum: int, last: Path, step: int) -> str:
    """Sends a signal as soon as a step is saved; what the program wrote to stderr."""
    deadline = time.monotonic() + 120
    while step_of(last) < step and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signum)
    _, err = process.communicate(timeout=120)
    assert process.returncode == (143 if signum == signal.SIGTERM else -signum), err
    return err


def test_a_run_stopped_in_mid_epoch_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    """Asked to stop, killed, its last checkpoint cut; with readers, the other one without; both keep maps."""
    words = (*TINY, "test=false", "loader.train_episodes=24", "callbacks.last.train_time_interval=null",
             "callbacks.last.every_n_train_steps=1", "callbacks.ema.decay=0.9")  # fmt: skip
    whole = call("train", *words, "features.folder=others", "hydra.run.dir=whole", folder=tmp_path)
    assert whole.returncode == 0, whole.stderr

    last, other = tmp_path / "stopped/checkpoints/last.ckpt", ("loader.num_workers=2", "features.folder=maps")
    process = start("train", *words, *other, "hydra.run.dir=stopped", folder=tmp_path)
    err = stop(process, signal.SIGTERM, last, step=3)  # of the twelve steps of the first epoch
    first = step_of(last)
    assert 3 <= first < 24 and "Traceback" not in err
    hint = f"python -m hmseg.train resume={tmp_path / 'stopped'}"
    assert err.splitlines()[-1] == f"stopped by SIGTERM, saved at step {first}; continue with: {hint}"

    stop(start("train", "resume=stopped", folder=tmp_path), signal.SIGKILL, last, step=first + 3)
    assert first + 3 <= step_of(last) < 24
    os.truncate(last, last.stat().st_size // 2)
    resumed = call("train", "resume=stopped", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert (
        f"warning: {last} is damaged, going on from {last.with_name('last-previous.ckpt')}" in resumed.stderr
    )
    ours, theirs = weights(last), weights(tmp_path / "whole/checkpoints/last.ckpt")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    trained = torch.load(last, weights_only=True)["callbacks"]["WeightAverage"]["trained"]
    assert any(not torch.equal(ours[f"network.head.{name}"], each) for name, each in trained.items())


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("masking", MASKINGS)
def test_every_masking_trains(masking: str, tmp_path: Path) -> None:
    training.run(compose(*TINY, f"masking={masking}", "trainer=debug", f"paths.output_dir={tmp_path}"))
    assert not list(tmp_path.iterdir())  # a debug run leaves nothing


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "experiment", ["shapes_quick", "shapes_maskings", "voc_mini", "voc_maskings"]
)  # test_recipes: the others
def test_every_experiment_of_ours_runs(experiment: str, tmp_path: Path, voc: Path) -> None:
    small = [
        "loader.batch_size=1",
        "loader.eval_batch_size=1",
        "loader.num_workers=0",
        "dataset.image_size=64",
    ]
    if compose(f"experiment={experiment}").dataset.name == "pascal":
        small += [f"dataset.root={voc}", "backbone.weights=random"]
        if experiment == "voc_maskings":
            small += [f"features.folder={tmp_path / 'features'}"]
    cfg = compose(
        f"experiment={experiment}", *small, "trainer.fast_dev_run=1", f"paths.output_dir={tmp_path}"
    )
    training.run(cfg)


def broken_list(root: Path) -> None:
    (root / "splits/val/fold0.txt").write_text("2007_010000__01\n2007_999999__01\n")


def empty_list(root: Path) -> None:
    (root / "splits/val/fold0.txt").write_text("")


def one_image(root: Path) -> None:
    (root / "splits/val/fold0.txt").write_text("2007_010000__01\n")


def truncated_image(root: Path) -> None:
    for path in (root / "JPEGImages").glob("*.jpg"):
        path.write_bytes(path.read_bytes()[:300])


def other_size(root: Path) -> None:
    from PIL import Image

    for path in (root / "SegmentationClassAug").glob("*.png"):
        Image.open(path).resize((5, 5)).save(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (broken_list, "2007_999999"),
        (empty_list, "empty"),
        (one_image, "class 0 has 1 image"),
        (truncated_image, "is damaged (Truncated File Read)"),
        (other_size, "5"),
    ],
)
def test_bad_data_is_one_line(voc: Path, tmp_path: Path, damage: Any, message: str) -> None:
    damage(voc)
    words = ("dataset=pascal", f"dataset.root={voc}", "dataset.image_size=64", "loader.num_workers=0")
    done = call("train", *words, "trainer=debug", "loader.batch_size=1", folder=tmp_path)
    assert done.returncode == 1, done.stdout
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and message in errors[0]
    assert "Traceback" not in done.stderr


def test_a_missing_root_and_missing_weights_are_one_line(tmp_path: Path) -> None:
    for words in (("dataset=pascal", "dataset.root=nowhere"), (*TINY, "backbone.weights=nowhere.pth")):
        done = call("train", *words, folder=tmp_path)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert "nowhere" in next(line for line in done.stderr.splitlines() if line.startswith("error: "))


def test_a_checkpoint_of_another_model_or_backbone(trained: Path) -> None:
    done = call("evaluate", f"ckpt={trained}", "backbone=vgg16", "backbone.weights=random", folder=trained)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "error: the checkpoint was trained on backbone weights 'bundled'" in done.stderr


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    words = (*TINY, "trainer.max_epochs=500", "hydra.run.dir=run")
    process = start("train", *words, folder=tmp_path)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run/checkpoints/last.ckpt").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "continue with: python -m hmseg.train resume=" in err and "Traceback" not in err


def test_two_evaluations_of_one_checkpoint_leave_a_whole_record(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    words = ("ckpt=run", "shot=2", "loader.test_episodes=6", "trainer=cpu")
    both = [start("evaluate", *words, folder=tmp_path) for _ in range(2)]
    ended = [(process.communicate(timeout=300), process.returncode) for process in both]
    refused = [err for (_, err), code in ended if code]
    assert len(refused) < 2, ended
    for err in refused:
        assert err.startswith("error: the record ")
        assert any(f"in use by process {process.pid} on" in err for process in both)
        assert len(err.splitlines()) == 1
    (path,) = (tmp_path / "run" / "checkpoints").glob("best.shapes-fold0-2shot-hsnet-6.json")
    assert json.loads(path.read_text())["episodes"] == len(read_table(table_path(path))) == 6
    assert not list(path.parent.glob("*.unfinished.*"))


def test_a_record_in_use_is_left_alone(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    before = content(folder)
    (record,) = folder.glob("best.*-1shot-hsnet-6.json")
    with owned(folder / f".{record.stem}.lock", "it"):
        done = call("evaluate", "ckpt=run", "loader.test_episodes=6", "trainer=cpu", folder=tmp_path)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert f"{record} is in use by process {os.getpid()} on" in done.stderr
    assert content(folder) == before


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".lock"}
