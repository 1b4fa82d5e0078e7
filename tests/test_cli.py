"""Entry points: help, refusals before anything heavy is imported, runs, sweeps, resumption."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from called import Outcome, caller
from hmseg import evaluate, train
from hmseg.cli import Program, entry
from hmseg.config import compose
from hmseg.config.runs import keep_overrides
from hmseg.errors import DataError
from hmseg.files import owned
from hmseg.interruption import Terminated

CFGS: list[DictConfig] = []


def record(cfg: DictConfig) -> None:
    resolved = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))  # everything has a value in a run
    assert isinstance(resolved, DictConfig)
    CFGS.append(resolved)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # put back afterwards: entry changes it
    CFGS.clear()


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(program: Program, *words: str) -> Outcome:
        return caller(program, monkeypatch, capsys)(*words)

    return run


TRAIN = replace(train.PROGRAM, task=record)
EVALUATE = replace(evaluate.PROGRAM, task=record)


def test_the_traceback_of_a_parsers_error_is_there_for_those_who_ask(
    call: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x.ckpt").write_bytes(b"PK" * 100)
    words = ("ckpt=x.ckpt",)
    plain = call(EVALUATE, *words)
    assert plain.code == 2 and len(plain.err.splitlines()) == 1
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(SystemExit):
        entry(EVALUATE, words)
    full = capsys.readouterr().err.splitlines()
    assert full[0] == "Traceback (most recent call last):" and full[-1] == plain.err.strip()


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_shows_everything_to_choose(call: Any, flag: str) -> None:
    outcome = call(TRAIN, flag)
    assert (outcome.code, outcome.err) == (0, "")
    lines = [
        line.split() for line in re.sub(r"\n {15}", " ", outcome.out).splitlines()
    ]  # wrapped ones joined
    for group in ("model", "masking", "backbone", "dataset", "optimizer", "trainer", "logger", "callbacks"):
        assert any(line[:1] == [group] and "[" in " ".join(line) for line in lines), group
    assert ["paths", "[default]"] in lines
    assert f"masking {MASKINGS}".replace(" hybrid,", " [hybrid],") in " ".join(outcome.out.split())
    for key in ("fold", "shot", "seed", "resume", "loader.batch_size", "trainer.max_epochs", "paths.data"):
        assert any(line[:1] == [key] for line in lines), key
    for text in (
        "python -m hmseg.train masking=feature",
        "--multirun",
        "--config-dir",
        "hydra/launcher",
        "--cfg",
    ):
        assert text in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 110


def test_help_of_evaluation_needs_no_checkpoint(call: Any) -> None:
    outcome = call(EVALUATE, "--help")
    assert outcome.code == 0
    assert "[checkpoint], asnet, hsnet, prototype, vat" in outcome.out
    assert "[required]" in outcome.out


MASKINGS = (
    "feature, hybrid, hybrid_after_relu, hybrid_black, hybrid_deep, hybrid_dilated, hybrid_remask, "
    "hybrid_soft, input, none"
)
REFUSALS = {
    "fodl=1": "error: unknown key 'fodl': did you mean 'fold'?",
    "masking=hybird": "error: unknown option 'hybird' for masking: did you mean 'hybrid'? "
    f"(known: {MASKINGS})",
    "fold=abc": "error: fold: expected a whole number, got 'abc'",
    "fold=4": "error: fold=4: dataset shapes has folds 0 to 3",
    "masking hybrid": "error: 'masking' is not key=value: did you mean 'masking=hybrid'?",
    "--fold 2": "error: unknown flag '--fold': settings are written without dashes, fold=value; see --help",
    "--cfg everything": "error: argument --cfg/-c: invalid choice: 'everything' "
    "(choose from 'job', 'hydra', 'all'); see --help",
    "--config-dir nowhere": "error: --config-dir nowhere: there is no such folder",
    "--experimental-rerun x.pickle": "error: --experimental-rerun reads a pickle, which can run code; "
    "continue a run with resume=…",
    "fold=0,1": "error: fold=0,1: several values; add -m to run each of them, "
    "or quote a text that holds commas",
    "-m fold=0,1,2,4": "error: fold=4: dataset shapes has folds 0 to 3",
    "-m masking=none,hybird": "error: unknown option 'hybird' for masking: did you mean 'hybrid'? "
    f"(known: {MASKINGS})",
    "-m backbone=mobilenet_v2,resnet50 backbone.weights=bundled": "error: backbone.weights=bundled: only the "
    "weights of mobilenet_v2, efficientnet_lite2 are in the package; for resnet50 give imagenet, random or "
    "a file",
    "-m shot=1,5 seed=range(0,9) fold=3,4": "error: fold=4: dataset shapes has folds 0 to 3",
    "-m fold=interval(0,3)": "error: fold=interval(0,3): Hydra's own sweeper needs a choice of values, "
    "key=a,b,c",
    "-m resume=x fold=0,1": "error: resume=x: there is no such file or folder",
    "resume=nowhere": "error: resume=nowhere: there is no such file or folder",
}


@pytest.mark.parametrize("words", REFUSALS)
def test_refusals_are_one_line_and_write_nothing(call: Any, tmp_path: Path, words: str) -> None:
    outcome = call(TRAIN, *words.split())
    assert outcome == Outcome(2, "", REFUSALS[words] + "\n")
    assert CFGS == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "error: ckpt: a value is required; give ckpt=<run folder> or ckpt=<checkpoint file>"),
        ("ckpt=x.ckpt", "error: ckpt=x.ckpt: there is no such file or folder"),
        ("ckpt=x.ckpt fodl=1", "error: unknown key 'fodl': did you mean 'fold'?"),
        ("ckpt=x.ckpt masking=hybird", "error: unknown option 'hybird' for masking: did you mean 'hybrid'? "
         f"(known: checkpoint, {MASKINGS})"),
        ("-m ckpt=x,y", "error: ckpt: one checkpoint at a time; run the program once for each"),
    ],
)  # fmt: skip
def test_evaluation_refuses_before_the_checkpoint_is_read(call: Any, words: str, message: str) -> None:
    assert call(EVALUATE, *words.split()) == Outcome(2, "", message + "\n")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "half"])
def test_evaluation_refuses_damaged_checkpoints(call: Any, tmp_path: Path, content: bytes | str) -> None:
    path = checkpoint(tmp_path / "x.ckpt")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    message = "error: ckpt=x.ckpt: not a checkpoint, or a truncated one\n"
    assert call(EVALUATE, "ckpt=x.ckpt") == Outcome(2, "", message)


def checkpoint(path: Path, *overrides: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    config = OmegaConf.to_container(compose(*overrides), resolve=True)
    torch.save({"hmseg": {"config": config}}, path)
    return path


SCRIPT = """
import sys
from hmseg.{module} import main
sys.argv = ["hmseg", *{words!r}]
code = 0
try:
    main()
except SystemExit as error:
    code = error.code
heavy = [name for name in ("torch", "torchvision", "pytorch_lightning", "cv2") if name in sys.modules]
print("exit", code, "heavy", heavy)
"""


@pytest.mark.parametrize(
    ("module", "words", "code"),
    [
        ("train", ["--help"], 0),
        ("train", ["fodl=1"], 2),
        ("train", ["-m", "fold=0,4"], 2),
        ("train", ["--cfg", "job"], 0),
        ("evaluate", ["--help"], 0),
        ("evaluate", ["fodl=1", "ckpt=x"], 2),
        ("evaluate", ["ckpt=x"], 2),
    ],
)
def test_nothing_heavy_is_imported_to_say_what_is_wrong(module: str, words: list[str], code: int) -> None:
    script = SCRIPT.format(module=module, words=words)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"exit {code} heavy []"


def test_run_gets_the_configuration_and_a_folder(call: Any, tmp_path: Path) -> None:
    assert call(TRAIN, "fold=2", "shot=5", "hydra.run.dir=here").code == 0
    (cfg,) = CFGS
    assert (cfg.fold, cfg.shot, cfg.paths.output_dir) == (2, 5, str(tmp_path / "here"))
    assert OmegaConf.load(tmp_path / "here" / ".hydra" / "config.yaml").fold == 2


def test_settings_may_stand_on_both_sides_of_flags(call: Any) -> None:
    assert call(TRAIN, "masking=none,input", "-m", "fold=0,3", "hydra.sweep.dir=here").code == 0
    seen = [(cfg.masking._target_.rpartition(".")[2], cfg.fold) for cfg in CFGS]
    assert seen == [("NoMasking", 0), ("NoMasking", 3), ("InputMasking", 0), ("InputMasking", 3)]


def test_options_of_ones_own_folder(call: Any, tmp_path: Path) -> None:
    (tmp_path / "own" / "masking").mkdir(parents=True)
    (tmp_path / "own" / "masking" / "mine.yaml").write_text("_target_: hmseg.masking.NoMasking\n")
    assert call(TRAIN, "--config-dir", "own", "masking=mine", "hydra.run.dir=here").code == 0
    assert CFGS[0].masking == {"_target_": "hmseg.masking.NoMasking"}


def test_cfg_prints_instead_of_running(call: Any, tmp_path: Path) -> None:
    outcome = call(TRAIN, "fold=3", "--cfg", "job")
    assert (outcome.code, outcome.err, CFGS) == (0, "", [])
    assert OmegaConf.create(outcome.out).fold == 3
    assert list(tmp_path.iterdir()) == []


def raise_error(cfg: DictConfig) -> None:
    raise {0: DataError("no images\nat all"), 1: RuntimeError("a bug"), 2: KeyboardInterrupt()}[cfg.fold]


def test_errors_of_the_task(call: Any) -> None:
    program = replace(TRAIN, task=raise_error)
    assert call(program, "fold=0") == Outcome(1, "", "error: no images at all\n")
    assert call(program, "fold=2") == Outcome(130, "", "interrupted\n")


def test_bugs_of_the_task_keep_their_traceback(call: Any) -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        call(replace(TRAIN, task=raise_error), "fold=1")


def test_sweep_goes_on_after_an_error(call: Any) -> None:
    def fail_first(cfg: DictConfig) -> None:
        record(cfg)
        if cfg.fold == 0:
            raise DataError("no images")

    outcome = call(replace(TRAIN, task=fail_first), "-m", "fold=0,1", "hydra.sweep.dir=here")
    assert (outcome.code, [cfg.fold for cfg in CFGS]) == (1, [0, 1])
    first, failed = outcome.err.splitlines()[-2:]
    assert first == "error: 1 of 2 jobs failed; the same command does them again"
    assert failed.startswith("  #0 fold=0: no images")


def test_run_folder_that_cannot_be_written(call: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = call(TRAIN, "hydra.run.dir=file/run")
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    assert "file/run" in outcome.err


def interrupt_like_lightning(cfg: DictConfig) -> None:
    save_last(cfg)
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)


def save_last(cfg: DictConfig) -> None:
    checkpoint(Path(cfg.paths.output_dir) / "checkpoints" / "last.ckpt")
    record(cfg)


def test_interrupted_training_says_how_to_continue(call: Any, tmp_path: Path) -> None:
    outcome = call(replace(TRAIN, task=interrupt_like_lightning), "hydra.run.dir=here")
    resume = f"python -m hmseg.train resume={tmp_path / 'here'}"
    assert (outcome.code, outcome.err) == (130, f"interrupted; continue with: {resume}\n")


def build(cfg: DictConfig) -> None:
    from hydra.utils import instantiate

    instantiate(cfg.masking)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "hmseg.masking.HybirdMasking",
            "error: masking: Error locating target 'hmseg.masking.HybirdMasking'",
        ),
        ("hmseg.masking.NoMasking", "error: masking: NoMasking() takes no arguments"),
    ],
)
def test_what_cannot_be_built_is_one_line(call: Any, tmp_path: Path, target: str, message: str) -> None:
    (tmp_path / "own" / "masking").mkdir(parents=True)
    (tmp_path / "own" / "masking" / "mine.yaml").write_text(f"_target_: {target}\nstrength: 1\n")
    outcome = call(replace(TRAIN, task=build), "--config-dir", "own", "masking=mine", "hydra.run.dir=here")
    assert outcome.code == 1
    assert outcome.err.startswith(message)
    assert len(outcome.err.splitlines()) == 1


def overrides_of(folder: Path) -> Sequence[str]:
    return list(OmegaConf.load(folder / ".hydra" / "overrides.yaml"))


def test_resume_replays_the_run_in_place(call: Any, tmp_path: Path) -> None:
    run = tmp_path / "lr=0.1, it's" / "run"
    program = replace(TRAIN, task=save_last)
    assert (
        call(program, "fold=2", "masking=input", "trainer.max_epochs=3", f'hydra.run.dir="{run}"').code == 0
    )
    os.chdir(tmp_path / "lr=0.1, it's")
    assert call(program, "resume=run", "trainer.max_epochs=5").code == 0
    first, second = CFGS
    assert second.resume == str(run / "checkpoints" / "last.ckpt")
    assert second.paths.output_dir == first.paths.output_dir == str(run)
    assert (second.trainer.max_epochs, second.fold) == (5, 2)
    assert second.masking._target_ == "hmseg.masking.InputMasking"
    assert call(program, "resume=run/checkpoints/last.ckpt").code == 0  # a resumed run can be resumed
    third = CFGS[-1]
    assert (third.trainer.max_epochs, third.fold, third.resume) == (5, 2, second.resume)
    assert sum(line.startswith("resume=") for line in overrides_of(run)) == 1


def test_resume_survives_the_words_of_lightnings_other_processes(call: Any, tmp_path: Path) -> None:
    program = replace(TRAIN, task=save_last)
    assert call(program, "fold=1", "hydra.run.dir=run").code == 0
    run = tmp_path / "run"
    again = [f'resume="{run}/checkpoints/last.ckpt"', f'hydra.run.dir="{run}"', "fold=1"]
    extra = [f'hydra.run.dir="{run}"', "hydra.job.name=train_ddp_process_1", "hydra.output_subdir=null"]
    assert call(program, *again, *extra).code == 0
    assert (CFGS[-1].fold, CFGS[-1].paths.output_dir) == (1, str(run))


def test_resume_passes_over_a_damaged_checkpoint(call: Any, tmp_path: Path) -> None:
    program = replace(TRAIN, task=save_last)
    assert call(program, "fold=1", "hydra.run.dir=run").code == 0
    folder = tmp_path / "run/checkpoints"
    whole = (folder / "last.ckpt").read_bytes()
    (folder / "last.ckpt").write_bytes(whole[:-10])
    assert call(TRAIN, "resume=run") == Outcome(
        2, "", "error: resume=run: last.ckpt damaged, and no other checkpoint is there: start the run anew\n"
    )
    for name in ("best.ckpt", "last-previous.ckpt"):  # the second is the later one
        (folder / name).write_bytes(whole)
        (folder / "last.ckpt").write_bytes(whole[:-10])
        outcome = call(program, "resume=run")
        warning = f"warning: {tmp_path}/run/checkpoints/last.ckpt is damaged, going on from "
        assert (outcome.code, outcome.err) == (0, f"{warning}{tmp_path}/run/checkpoints/{name}\n")
        assert (CFGS[-1].fold, CFGS[-1].resume) == (1, str(folder / name))
    (folder / "last.ckpt").write_bytes(whole[:-10])
    assert call(TRAIN, "resume=run/checkpoints/last.ckpt").err == (  # a file that is named is meant
        "error: resume=run/checkpoints/last.ckpt: not a checkpoint, or a truncated one\n"
    )


def test_resume_needs_no_overrides_of_hydra(call: Any, tmp_path: Path) -> None:
    """Hydra writes its file anew at each start: a full disk, or a kill at that moment, leaves it empty."""
    program = replace(TRAIN, task=keep)
    assert call(program, "fold=1", "shot=3", "hydra.run.dir=run").code == 0
    (tmp_path / "run/.hydra/overrides.yaml").write_text("")
    assert call(program, "resume=run", "seed=4").code == 0
    assert (CFGS[-1].fold, CFGS[-1].shot, CFGS[-1].seed) == (1, 3, 4)
    (tmp_path / "run/.hydra/overrides.yaml").write_text("- fold=1\n")
    assert call(program, "resume=run").code == 0
    assert (CFGS[-1].fold, CFGS[-1].shot, CFGS[-1].seed) == (1, 3, 4)


def keep(cfg: DictConfig) -> None:
    keep_overrides(Path(cfg.paths.output_dir), HydraConfig.get().overrides.task)
    save_last(cfg)


def terminated(cfg: DictConfig) -> None:
    save_last(cfg)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)  # the handler comes first


def saved_and_terminated(cfg: DictConfig) -> None:
    save_last(cfg)
    raise Terminated(signal.SIGUSR1, "saved at step 3")


def another_device(cfg: DictConfig) -> None:
    os.environ["LOCAL_RANK"] = "1"
    try:
        raise Terminated(signal.SIGTERM)
    finally:
        del os.environ["LOCAL_RANK"]


def full_disk(cfg: DictConfig) -> None:
    save_last(cfg)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "metrics.csv")


@pytest.mark.parametrize(
    ("task", "code", "message"),
    [
        (terminated, 143, "stopped by SIGTERM; continue with: RESUME"),
        (
            saved_and_terminated,
            138,
            "stopped by SIGUSR1, saved at step 3; continue with: RESUME",
        ),
        (another_device, 0, ""),
        (
            full_disk,
            1,
            "error: metrics.csv can't be written (No space left on device): make room on that disk; "
            "continue with: RESUME",
        ),
    ],
)
def test_what_ends_a_run_says_how_to_continue(
    call: Any, tmp_path: Path, task: Any, code: int, message: str
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    outcome = call(replace(TRAIN, task=task), "hydra.run.dir=here")
    expected = message.replace("RESUME", f"python -m hmseg.train resume={tmp_path / 'here'}")
    assert (outcome.code, outcome.err.strip()) == (code, expected)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_slurm_job_goes_back_into_the_queue(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever part of the run the signal came; unless the run is told not to."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    tool = tmp_path / "scontrol"
    tool.write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/calls\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    resume = f"continue with: python -m hmseg.train resume={tmp_path / 'here'}\n"
    outcome = call(replace(TRAIN, task=terminated), "hydra.run.dir=here")
    assert outcome.err == f"stopped by SIGTERM, SLURM job 7 requeued; {resume}"
    assert (tmp_path / "calls").read_text() == "requeue 7\n"
    outcome = call(replace(TRAIN, task=terminated), "hydra.run.dir=here", "requeue=false")
    assert outcome.err == f"stopped by SIGTERM; {resume}"
    assert (tmp_path / "calls").read_text() == "requeue 7\n"


def test_processes_of_srun_need_one_folder(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "8")
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    assert call(TRAIN, "fold=1").err == (
        "error: srun started 8 processes, and by default each would name its folder by its own clock: give "
        "hydra.run.dir=…, the same for all, such as hydra.run.dir=runs/$SLURM_JOB_ID\n"
    )
    assert call(replace(TRAIN, task=record), "fold=1", "hydra.run.dir=here").code == 0


def test_resume_refuses_what_is_no_run(call: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    message = "error: resume=empty: the folder holds no checkpoints/last.ckpt\n"
    assert call(TRAIN, "resume=empty") == Outcome(2, "", message)
    checkpoint(tmp_path / "alone" / "last.ckpt")
    assert call(TRAIN, "resume=alone/last.ckpt").err.startswith(
        "error: resume=alone/last.ckpt: not inside a run"
    )
    (tmp_path / "alone" / ".hydra").mkdir()
    (tmp_path / "alone" / ".hydra" / "overrides.yaml").write_text("fold: 3\n")
    assert "expected a list of overrides" in call(TRAIN, "resume=alone/last.ckpt").err
    (tmp_path / "alone" / ".hydra" / "overrides.yaml").write_text("- fold=3\n")
    assert call(TRAIN, "-m", "resume=alone/last.ckpt", "seed=0,1").err == (
        "error: resume continues one run and can't be part of a sweep; leave out -m\n"
    )
    assert call(TRAIN, "resume=alone/last.ckpt", "fold=4").err == (
        "error: fold=4: dataset shapes has folds 0 to 3\n"
    )


def test_evaluation_of_a_run_folder_takes_the_best(call: Any, tmp_path: Path) -> None:
    best = checkpoint(tmp_path / "epoch=3" / "checkpoints" / "best.ckpt", "fold=3", "masking=none")
    checkpoint(tmp_path / "epoch=3" / "checkpoints" / "last.ckpt")
    before = set(tmp_path.rglob("*"))
    assert call(EVALUATE, "ckpt=epoch=3", "shot=5").code == 0
    (cfg,) = CFGS
    assert (cfg.ckpt, cfg.fold, cfg.shot) == (str(best), 3, 5)
    assert cfg.masking._target_ == "hmseg.masking.NoMasking"
    assert set(tmp_path.rglob("*")) == before  # the result is the task's to write, beside the checkpoint


def test_evaluation_sweeps_over_folds(call: Any, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "best.ckpt", "fold=3")
    assert call(EVALUATE, "-m", f"ckpt={path}", "fold=0,1", "hydra.sweep.dir=here").code == 0
    assert [cfg.fold for cfg in CFGS] == [0, 1]
    outcome = call(EVALUATE, "-m", f"ckpt={path}", "fold=0,4")
    assert outcome == Outcome(2, "", "error: fold=4: dataset shapes has folds 0 to 3\n")


# The folder of a run


def test_runs_begun_in_the_same_second_have_folders_of_their_own(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []
    monkeypatch.setattr("hydra.core.utils.datetime", Stopped)
    program = replace(TRAIN, task=lambda cfg: folders.append(Path(HydraConfig.get().runtime.output_dir)))
    for _ in range(3):
        assert call(program).code == 0
    day = Path.cwd() / "outputs" / "2026-01-31"
    assert folders == [day / "12-00-00", day / "12-00-00-2", day / "12-00-00-3"]
    for _ in range(2):
        assert call(program, "-m", "fold=0,1").code == 0
    sweeps = [folder.relative_to(Path.cwd()).parts[2:] for folder in folders[3:]]
    assert sweeps[:2] == [("12-00-00", "0"), ("12-00-00", "1")]
    assert (Path.cwd() / "multirun" / "2026-01-31" / "12-00-00-2" / "sweep.json").is_file()


class Stopped(datetime):
    """A clock that stands."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Stopped:
        return cls(2026, 1, 31, 12, 0, 0)


def test_a_folder_that_was_named_is_taken_as_it_is(call: Any) -> None:
    for _ in range(2):
        assert call(TRAIN, "hydra.run.dir=runs/a").code == 0
    assert [path.name for path in (Path.cwd() / "runs").iterdir()] == ["a"]
    assert not (Path.cwd() / "outputs").exists()


@pytest.mark.parametrize("words", [["hydra.run.dir=run"], ["resume=run"], ["-m", "fold=0,1"]])
def test_a_folder_in_use_is_refused_before_anything_is_written_to_it(call: Any, words: list[str]) -> None:
    swept = words[0] == "-m"
    if swept:
        words = [*words, "hydra.sweep.dir=run", "hydra.launcher.root=run"]
    else:
        assert call(replace(TRAIN, task=save_last), "hydra.run.dir=run").code == 0
        CFGS.clear()
    lock = Path("run") / ("0/.lock" if swept else ".lock")
    with owned(lock, "it"):
        before = content(Path("run"))
        outcome = call(TRAIN, *words)
        assert outcome.code in (1, 2) and len(CFGS) == int(swept)  # of the sweep the other job is done
        assert f"in use by process {os.getpid()} on" in outcome.err
        assert swept or (content(Path("run")) == before and outcome.err.count("\n") == 1)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_other_processes_of_a_run_share_its_folder(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with owned(Path("run/.lock"), "it"):
        assert call(TRAIN, "hydra.run.dir=run", "hydra.output_subdir=null").code == 0


def test_showing_a_configuration_makes_no_folder(call: Any) -> None:
    assert call(TRAIN, "--cfg", "job").code == 0
    assert list(Path.cwd().iterdir()) == []
