"""The entry point: with stand-ins for the steps, then with real ones on 64-pixel shapes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest
import torch

import hmseg
from hmseg.claims import find_claim, published, read_events
from hmseg.cli import entry
from hmseg.config import compose
from hmseg.config.checks_reproduce import split_list
from hmseg.config.runs import RUN_FILE
from hmseg.errors import ConfigError
from hmseg.files import sha256
from hmseg.reproduce import PROGRAM, request
from hmseg.reproduction import run as running
from hmseg.reproduction.process import Outcome
from hmseg.reproduction.process import call as really_call
from hmseg.run_checkpoints import read_checkpoint
from made_records import made_record

ID = "coco/1shot/hsnet/hybrid/resnet50"
RUNS = Path("outputs/claims/hsnet_hm_coco_resnet50")


@dataclass
class StandIns:
    """Steps that take no time: trainings leave their files, evaluations a record on the full protocol."""

    called: list[tuple[str, str]] = field(default_factory=list)
    failing: dict[str, str] = field(default_factory=dict)
    """What a step whose first setting ends so says before it fails."""

    real: tuple[str, ...] = ()
    """Programs without a stand-in."""

    def __call__(self, program: str, words: Sequence[str], lock: IO[str]) -> Outcome:
        if program in self.real:
            return really_call(program, words, lock)
        place = next(word for word in words if word.startswith(("hydra.run.dir=", "ckpt=", "resume=")))
        folder = Path(place.partition("=")[2])
        self.called.append((program, folder.name))
        for end, reason in self.failing.items():
            if f"{program} {folder.name}" == end:
                if reason == "^C":
                    raise KeyboardInterrupt
                return Outcome(1, reason)
        getattr(self, program)(folder, words)
        return Outcome(0, "")

    def train(self, folder: Path, words: Sequence[str]) -> None:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        (folder / "checkpoints/best.ckpt").write_text(str(folder))
        (folder / RUN_FILE).write_text(json.dumps({"run": "0" * 32, "epochs": 2000}))

    def evaluate(self, folder: Path, words: Sequence[str]) -> None:
        if folder.suffix == ".ckpt":
            return  # of an import: that it was called is enough
        benchmark = "coco2pascal" if "dataset=coco2pascal" in words else "coco"
        shot = next(word for word in words if word.startswith("shot=")).removeprefix("shot=")
        claim = find_claim(f"{benchmark}/{shot}shot/hsnet/hybrid/resnet50", published())
        content = sha256(folder / "checkpoints/best.ckpt")
        fold = int(folder.name.removeprefix("fold"))
        Path("results").mkdir(exist_ok=True)
        with Path("results/records.jsonl").open("a") as file:
            file.write(json.dumps(made_record(claim, fold, checkpoint__sha256=content)) + "\n")


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # put back afterwards: entry changes it
    stand_ins = StandIns()
    monkeypatch.setattr(running, "call", stand_ins)
    return stand_ins


def call(*words: str) -> int:
    try:
        entry(PROGRAM, list(words))
    except SystemExit as error:
        return int(str(error.code))
    return 0


def ledger_row(name: str = ID) -> dict[str, str]:
    import csv

    with Path("results/claims.csv").open(newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["claim"] == name)
    return row


def test_a_claim_is_trained_evaluated_and_judged(steps: StandIns, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(f"claim={ID}") == 0
    folds = [f"fold{fold}" for fold in range(4)]
    assert steps.called == [(program, fold) for fold in folds for program in ("train", "evaluate")]
    row = ledger_row()
    assert (row["status"], row["miou"], row["difference"]) == ("verified", "44.30", "+0.00")
    out = capsys.readouterr().out
    assert f"{ID}: verified" in out
    assert f"-m hmseg.train experiment=hsnet_hm_coco_resnet50 fold=2 hydra.run.dir={RUNS}/fold2" in out
    events = read_events(Path("results/reproduce.jsonl"))
    assert [event["event"] for event in events] == ["started", "finished"] * 8
    assert events[0]["command"].startswith("python -m hmseg.train experiment=")  # not this machine's Python


def test_nothing_is_done_twice_and_other_claims_share_the_trainings(steps: StandIns) -> None:
    assert call(f"claim={ID}") == 0
    steps.called.clear()
    assert call(f"claim={ID}") == 0
    assert steps.called == []
    for other in ("coco/5shot/hsnet/hybrid/resnet50", "coco2pascal/1shot/hsnet/hybrid/resnet50"):
        assert call(f"claim={other}") == 0
        assert {program for program, _ in steps.called} == {"evaluate"}
        assert ledger_row(other)["status"] == "verified"
    assert ledger_row()["status"] == "verified"


def test_a_failing_fold_is_noted_and_the_others_go_on(
    steps: StandIns, capsys: pytest.CaptureFixture[str]
) -> None:
    steps.failing = {"train fold1": "no space left", "evaluate fold2": "a mask is missing"}
    assert call(f"claim={ID}") == 1
    assert steps.called == [
        ("train", "fold0"), ("evaluate", "fold0"), ("train", "fold1"), ("train", "fold2"),
        ("evaluate", "fold2"), ("train", "fold3"), ("evaluate", "fold3"),
    ]  # fmt: skip
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "2 of 4 folds failed (fold 1: train: no space left; fold 2: evaluate: a mask is missing)" in error
    row = ledger_row()
    assert (row["status"], row["per_fold"]) == ("failed", "44.30 - - 44.30")
    assert "train of fold 1 failed: no space left" in row["note"]
    steps.failing, steps.called = {}, []
    assert call(f"claim={ID}") == 0
    assert steps.called == [("train", "fold1"), ("evaluate", "fold1"), ("evaluate", "fold2")]
    assert ledger_row()["status"] == "verified"


def test_ctrl_c_stops_and_the_same_command_goes_on(
    steps: StandIns, capsys: pytest.CaptureFixture[str]
) -> None:
    steps.failing = {"train fold2": "^C"}
    assert call(f"claim={ID}") == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert read_events(Path("results/reproduce.jsonl"))[-1]["event"] == "stopped"
    assert ledger_row()["status"] == "unverified"
    (RUNS / "fold2/checkpoints").mkdir(parents=True)
    (RUNS / "fold2/checkpoints/last.ckpt").touch()
    steps.failing, steps.called = {}, []
    assert call(f"claim={ID}") == 0
    assert steps.called[:2] == [("train", "fold2"), ("evaluate", "fold2")]
    assert f"-m hmseg.train resume={RUNS}/fold2" in capsys.readouterr().out


def test_a_dry_run_does_nothing(steps: StandIns, capsys: pytest.CaptureFixture[str]) -> None:
    (RUNS / "fold0").mkdir(parents=True)
    (RUNS / "fold0" / RUN_FILE).write_text(json.dumps({"run": "0" * 32, "epochs": 2000}))
    before = sorted(Path().rglob("*"))
    assert call(f"claim={ID}", "dry_run=true", "measure=false", "train=[dataset.root=/a=b,trainer=gpu]") == 0
    out = capsys.readouterr().out
    assert "fold 0, train, skipped: trained already, 2000 epochs" in out
    assert "-m hmseg.train experiment=hsnet_hm_coco_resnet50 fold=1" in out and "dataset.root=/a=b" in out
    assert "7 of 8 steps to do, at most unknown" in out
    assert "2000 epochs at most; the published models were best after 35" in out
    assert steps.called == [] and sorted(Path().rglob("*")) == before


def test_the_ledger_alone_and_the_list(steps: StandIns, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list=true") == 0
    out = capsys.readouterr().out
    assert all(claim.id in out for claim in published()) and not Path("results").exists()
    assert call() == 0
    assert Path("results/claims.csv").read_text().count("\n") == 65
    assert "64" in capsys.readouterr().out and steps.called == []


def test_two_at_once_do_not_train_the_same_fold(steps: StandIns, capsys: pytest.CaptureFixture[str]) -> None:
    from hmseg.reproduction.process import locked

    with locked(RUNS / "fold0"):
        assert call(f"claim={ID}") == 1
    assert "another process is at work there" in capsys.readouterr().err
    assert ("train", "fold0") not in steps.called and ("evaluate", "fold3") in steps.called


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("claim=coco/1shot/hsnet/hybird/resnet50",), "did you mean coco/1shot/hsnet/hybrid/resnet50"),
        ((f"claim={ID}", "list=true"), "list=true shows all claims"),
        (("dry_run=true",), "dry_run: give a claim"),
        ((f"claim={ID}", "tolerance=-1"), "tolerance: expected at least 0"),
        ((f"claim={ID}", "train=[fold=1]"), "train: fold is decided by the claim"),
        ((f"claim={ID}", "both=[trainer]"), "both: expected settings key=value, got 'trainer'"),
        ((f"claim={ID}", "evaluate=3"), "evaluate: expected a list of settings"),
        ((f"claim={ID}", "checkpoints=/nowhere/fold{fold}.pt"), "there is no file '/nowhere/fold0.pt'"),
        ((f"claim={ID}", "checkpoints=/nowhere/fold.pt"), "expected {fold} in the path"),
        ((f"claim={ID}", "checkpoints=[a.pt,b.pt]"), "expected 4 paths"),
        (("claims_file=nowhere.csv",), "claims nowhere.csv can't be read"),
        (("claims=1",), "unknown key 'claims'"),
    ],
)
def test_mistakes_are_one_line(
    steps: StandIns, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert call(*words) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and steps.called == []


def test_a_wrong_setting_of_a_training_is_found_before_the_first_fold(
    steps: StandIns, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(f"claim={ID}", "train=[trainer.max_epoch=3]") == 1
    assert "did you mean 'trainer.max_epochs'" in capsys.readouterr().err and steps.called == []


def test_settings_need_no_quotes_of_their_own(tmp_path: Path) -> None:
    words = ("train=[dataset.root=/a b,logger=[csv,wandb]]", "both='trainer=gpu'", "evaluate=shot_note=1")
    asked = request(compose(f"claim={ID}", *words, config_name="reproduce"))
    assert asked.train == ("trainer=gpu", "dataset.root=/a b", "logger=[csv,wandb]")
    assert asked.evaluate == ("trainer=gpu", "shot_note=1")
    for fold in range(4):
        (tmp_path / f"fold{fold}.pt").touch()
    cfg = compose(f"claim={ID}", f"checkpoints={tmp_path}/fold{{fold}}.pt", config_name="reproduce")
    assert request(cfg).checkpoints == {fold: tmp_path / f"fold{fold}.pt" for fold in range(4)}
    assert split_list('a="x,y",b=[1,2]') == ['a="x,y"', "b=[1,2]"]
    with pytest.raises(ConfigError, match="trainer.gpu"):
        compose(f"claim={ID}", "both=[trainer.gpu]", config_name="reproduce")


def test_published_checkpoints_are_imported_instead_of_trained(steps: StandIns, tmp_path: Path) -> None:
    """The import is the real one: what it leaves is of the claim's network and fold."""
    network = hmseg.build_network("hsnet", "hybrid", "mobilenet_v2", "bundled")
    state = {f"module.backbone.{name}": value for name, value in network.backbone.state_dict().items()}
    state |= {f"module.hpn_learner.{name}": value for name, value in network.head.state_dict().items()}
    torch.save(state, "fold0.pt")
    Path("mine.csv").write_text(f"{HEADER}\n{ROW}\n")
    steps.real = ("convert",)
    assert call(f"claim={OWN}", "claims_file=mine.csv", "checkpoints=fold{fold}.pt") == 0
    (checkpoint,) = Path("outputs/claims/shapes_quick/published").glob("fold0-*.ckpt")
    about = read_checkpoint(checkpoint)["hmseg"]
    assert (about["config"]["fold"], about["config"]["dataset"]["name"]) == (0, "shapes")
    assert about["config"]["masking"]["_target_"] == "hmseg.masking.HybridMasking"
    assert steps.called == [("evaluate", checkpoint.name)]
    steps.called.clear()
    assert call(f"claim={OWN}", "claims_file=mine.csv", "checkpoints=fold{fold}.pt") == 0
    assert steps.called == []


# The real programs

SMALL = (
    "dataset.image_size=64,dataset.source.train_images=40,dataset.source.val_images=60,loader.num_workers=0,"
    "loader.batch_size=2,loader.train_episodes=20,loader.val_episodes=5,trainer.max_time=null,test=false,"
    "trainer.accelerator=cpu,trainer.log_every_n_steps=2,baselines=false,"
    "callbacks.last.train_time_interval=null"
)
HEADER = "benchmark,shot,model,masking,backbone,metric,claimed,per_fold,fb_iou,source,experiment,folds"
ROW = "shapes,1,hsnet,hybrid,mobilenet_v2,miou,40,,,me,shapes_quick,1"
OWN = "shapes/1shot/hsnet/hybrid/mobilenet_v2"


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hmseg.reproduce", f"claim={OWN}", "claims_file=mine.csv", *words]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def wait_for(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not there() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert there()


def test_killed_failed_and_gone_on_with(
    steps: StandIns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped in training, then failing at the evaluation, then whole: each call does what is missing."""
    (tmp_path / "mine.csv").write_text(f"{HEADER}\n{ROW}\n")
    run = tmp_path / "outputs/claims/shapes_quick/fold0"

    process = start(tmp_path, f"train=[{SMALL},trainer.max_epochs=9999,callbacks.last.every_n_train_steps=1]")
    wait_for(lambda: (run / "checkpoints/last.ckpt").is_file())
    process.send_signal(signal.SIGTERM)  # of the parent alone, which has its step stop cleanly
    code, _, err = finished(process)
    assert code == 130 and "the same command goes on" in err and "Traceback" not in err
    assert not (run / RUN_FILE).exists()

    epochs = read_checkpoint(run / "checkpoints/last.ckpt")["epoch"] + 2
    fewer = f"train=[{SMALL},trainer.max_epochs={epochs},callbacks.last.every_n_train_steps=500]"
    code, out, err = finished(start(tmp_path, fewer, "evaluate=[sho=1]"))
    assert code == 1, out
    assert "fold 0, train, resumed" in out and "-m hmseg.train resume=" in out and (run / RUN_FILE).is_file()
    assert "1 of 1 folds failed (fold 0: evaluate: unknown key 'sho'" in err.splitlines()[-1]

    small_test = "evaluate=[loader.test_episodes=6,loader.num_workers=0,trainer.accelerator=cpu]"
    code, out, err = finished(start(tmp_path, small_test))
    assert code == 0, err
    assert "fold 0, train, skipped" in out and "fold 0, evaluate\n" in out
    assert f"{OWN}: unverified" in out and "64 px instead of 96" in out and "6 episodes instead of 100" in out
    (record,) = (json.loads(line) for line in (tmp_path / "results/records.jsonl").read_text().splitlines())
    assert (record["episodes"], record["training"]["complete"]) == (6, True)

    assert call(f"claim={OWN}", "claims_file=mine.csv", small_test) == 0 and steps.called == []
    assert "fold 0, evaluate, skipped: done before" in capsys.readouterr().out
    events = read_events(tmp_path / "results/reproduce.jsonl")
    assert [(event["step"], event["event"]) for event in events] == [
        ("train", "started"), ("train", "stopped"), ("train", "started"), ("train", "finished"),
        ("evaluate", "started"), ("evaluate", "failed"), ("evaluate", "started"), ("evaluate", "finished"),
    ]  # fmt: skip
    assert (tmp_path / "results/mine.ledger.csv").is_file() and not (tmp_path / "results/claims.csv").exists()
    assert _status(tmp_path) == "unverified"


def _status(folder: Path) -> Any:
    import csv

    with (folder / "results/mine.ledger.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    return row["status"]
