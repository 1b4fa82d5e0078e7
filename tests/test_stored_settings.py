"""A run folder or checkpoint from somebody else: resumed and evaluated without its code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from hmseg.config import Composer, compose
from hmseg.config.runs import replay
from hmseg.errors import CheckpointError, ConfigError
from made_checkpoints import config, write_checkpoint


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder, as far as resuming looks at it."""
    write_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    (tmp_path / "run" / ".hydra").mkdir()
    return tmp_path / "run"


def store(run: Path, *overrides: str) -> Path:
    file = run / ".hydra" / "overrides.yaml"
    file.write_text(yaml.safe_dump(list(overrides)))
    return file


def resumed(run: Path, *given: str, config_dir: Path | None = None) -> list[str]:
    with Composer(extra_dir=None if config_dir is None else str(config_dir)) as composer:
        return replay(composer, [f'resume="{run}"', *given])


@pytest.mark.parametrize(
    "override",
    [
        "+callbacks.x={_target_: joblib.load, filename: /tmp/harm}",
        "+callbacks.x._target_=torch.load",
        "++logger.a.b._target_=os.system",
        "model._target_=builtins.exec",
        "+x=[{y: {_target_: subprocess.run}}]",
        "optimizer={_target_: hmseg.nothing}",
        "paths.data='${oc.env:HOME}'",
        "+x='${oc.decode:${oc.env:HOME}}'",
        "+x='${${y}:HOME}'",
        "+x={y: '${oc.env:HOME}'}",
        "+callbacks.x._target_='${y}'",
        "model=../../../tmp/harm",
        "logger=[csv,../harm]",
        "+callbacks/a@b=../harm",
        "hydra.callbacks.x._target_=os.system",
        "hydra/launcher=joblib",
        "+hydra.job.env_set.PATH=/tmp",
    ],
)
def test_resuming_a_strangers_run_runs_and_looks_up_nothing_of_it(
    run: Path, override: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/secret")
    file = store(run, "fold=1", override)
    with pytest.raises(ConfigError) as caught:
        resumed(run)
    message = str(caught.value)
    assert str(file) in message and "if you trust it, give " in message and "\n" not in message
    assert "/secret" not in message


def test_a_run_of_shipped_parts_is_resumed_as_before(run: Path) -> None:
    stored = ["fold=1", "masking=feature", "optimizer.lr=1e-3", "~callbacks.throughput", "paths.data=../d",
              "callbacks.step_seed={_target_: hmseg.callbacks.StepSeed}", "logger=[csv]"]  # fmt: skip
    store(run, *stored)
    assert resumed(run, "fold=2")[: len(stored)] == [*stored[1:], "fold=2"]


def test_own_code_is_run_where_it_is_named_again(run: Path, tmp_path: Path) -> None:
    own = "model._target_=mine.Head"
    store(run, "fold=1", own)
    with pytest.raises(ConfigError, match=r"builds 'mine.Head', which is not .* give model\._target_"):
        resumed(run)
    assert resumed(run, own)[:2] == ["fold=1", own]
    (tmp_path / "conf" / "masking").mkdir(parents=True)
    (tmp_path / "conf" / "masking" / "mine.yaml").write_text("_target_: mine.Masking\n")
    store(run, "masking=mine")
    assert resumed(run, config_dir=tmp_path / "conf")[0] == "masking=mine"


@pytest.mark.parametrize(
    "content",
    [b"\xff", b"[" * 10_000, b"&a [*a]", b"x" * 1_000_001, b"- 3", b"{", b"- !!python/name:os.x\n"],
)
def test_overrides_that_are_none(run: Path, content: bytes) -> None:
    file = store(run)
    file.write_bytes(content)
    message = r"overrides\.yaml: (can't be read|expected a list of overrides)"
    with pytest.raises(ConfigError, match=message) as caught:
        resumed(run)
    assert "\n" not in str(caught.value)


def test_overrides_that_are_a_pipe(run: Path) -> None:
    os.mkfifo(run / ".hydra" / "overrides.kept.yaml")
    store(run, "fold=1")
    assert resumed(run)[0] == "fold=1"  # Hydra's own is there


@pytest.mark.parametrize("key", ["fold", "shot", "seed", "aggregation"])
@pytest.mark.parametrize("program", ["evaluate", "export"])
def test_no_program_resolves_what_a_checkpoint_asks_for(
    tmp_path: Path, key: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "/secret")
    path = tmp_path / "best.ckpt"
    write_checkpoint(path, **{**config(), key: "${oc.env:SECRET}"})
    words = [f'ckpt="{path}"', *([f"out={tmp_path / 'x.onnx'}"] if program == "export" else [])]
    with pytest.raises(CheckpointError, match=rf"its {key} is '\$\{{oc\.env:SECRET\}}', \w+ was expected"):
        compose(*words, config_name=program)


def test_a_conversion_resolves_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "/secret")
    path = tmp_path / "best.ckpt"
    write_checkpoint(path, **{**config(), "fold": "${oc.env:SECRET}"})
    words = [f'source="{path}"', "export=true", f'out="{tmp_path / "x.pt"}"']
    with pytest.raises(CheckpointError, match="its fold is"):
        compose(*words, config_name="convert")


def test_what_is_given_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    stored: dict[str, Any] = compose("fold=1")  # type: ignore[assignment]
    plain = yaml.safe_load(yaml.safe_dump({key: stored[key] for key in ("shot", "seed")}))
    write_checkpoint(path, **plain, fold="${oc.env:SECRET}", dataset={"name": "shapes", "image_size": 64})
    given = ("fold=2", "dataset=shapes", "dataset.image_size=64")
    cfg = compose(f'ckpt="{path}"', *given, config_name="evaluate")
    assert cfg.fold == 2


def test_a_packed_checkpoint_is_told_before_it_is_read_through(tmp_path: Path) -> None:
    import zipfile

    torch.save({"a": torch.zeros(10**7)}, tmp_path / "whole.pt")
    path = tmp_path / "best.ckpt"
    with zipfile.ZipFile(tmp_path / "whole.pt") as source, zipfile.ZipFile(path, "w", 8) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(CheckpointError, match="MB unpack to 40 MB, and PyTorch packs nothing"):
        compose(f'ckpt="{path}"', config_name="evaluate")
