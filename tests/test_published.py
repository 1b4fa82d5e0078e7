"""Files as the published code wrote them: read whole, with nothing in them run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import hmseg
from hmseg.errors import CheckpointError, ConfigError
from hmseg.published import published_content, read_published, save
from tiny import tiny_network

STATE = {"backbone.conv1.weight": torch.ones(2, 3), "hpn_learner.a": torch.arange(3)}


@pytest.fixture
def checkpoint_class(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """The callback of ASNet's code, importable only while a file is written."""
    module = ModuleType("common.callbacks")
    kind = type("CustomCheckpoint", (), {"__module__": "common.callbacks"})
    module.CustomCheckpoint = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "common", ModuleType("common"))
    monkeypatch.setitem(sys.modules, "common.callbacks", module)
    yield kind


def assert_state(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("new_zipfile", [True, False])  # HSNet was trained with PyTorch 1.5, which has no zip
@pytest.mark.parametrize("prefix", ["module.", ""])
def test_a_state_dict(tmp_path: Path, prefix: str, new_zipfile: bool) -> None:
    path = tmp_path / "hsnet.pt"
    named = {f"{prefix}{name}": value for name, value in STATE.items()}
    torch.save(named, path, _use_new_zipfile_serialization=new_zipfile)
    published = read_published(path)
    assert_state(published.state, STATE)
    assert (published.epoch, published.ignored) == (None, ())


def test_a_state_dict_beside_optimizer_and_scheduler(tmp_path: Path) -> None:
    content = {
        "epoch": 112,
        "state_dict": {f"module.{name}": value for name, value in STATE.items()},
        "optimizer": torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))]).state_dict(),
        "scheduler": {"gamma": np.float64(0.5), "last_epoch": np.int64(3)},
        "val_miou": torch.tensor(61.5),
    }
    torch.save(content, tmp_path / "vat.pt")
    published = read_published(tmp_path / "vat.pt")
    assert_state(published.state, STATE)
    assert published.epoch == 112
    assert len(published.ignored) == 2 and all(name.startswith("numpy.") for name in published.ignored)


def test_a_lightning_checkpoint_of_asnets_time(tmp_path: Path, checkpoint_class: type) -> None:
    content = {
        "epoch": 40,
        "global_step": 1000,
        "pytorch-lightning_version": "1.3.8",
        "callbacks": {checkpoint_class: {"best_model_score": torch.tensor(0.6), "dirpath": "logs"}},
        "optimizer_states": [],
        "hyper_parameters": argparse.Namespace(bsz=12, backbone="resnet50"),
        "state_dict": STATE,
    }
    path = tmp_path / "best_model.ckpt"
    torch.save(content, path)
    del sys.modules["common.callbacks"], sys.modules["common"]
    published = read_published(str(path))
    assert_state(published.state, STATE)
    assert published.epoch == 40
    assert published.ignored == ("argparse.Namespace", "common.callbacks.CustomCheckpoint")


class Harmful:
    """Unpickles into a call."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.arguments


@pytest.mark.parametrize("where", ["state_dict", "beside"])
@pytest.mark.parametrize("call", [exec, os.system, Path.touch, print, torch.set_num_threads])
def test_a_file_cannot_run_code(
    tmp_path: Path, call: Any, where: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is refused, or its code is passed over; either way nothing is called."""
    mark, threads = tmp_path / "ran", torch.get_num_threads()
    arguments = {
        exec: f"open({str(mark)!r}, 'w')",
        os.system: f"touch {mark}",
        Path.touch: mark,
        print: "ran",
        torch.set_num_threads: threads + 1,
    }
    harm = Harmful(call, arguments[call])
    content = {"state_dict": {**STATE, "x": harm}} if where == "state_dict" else {"x": harm, **STATE}
    path = tmp_path / "harmful.pt"
    torch.save({"state_dict": STATE, "x": harm} if where == "beside" else content, path)
    try:
        published = read_published(path)
    except CheckpointError as error:
        assert "cannot be read" in str(error) or "holds no state dict" in str(error)
    else:
        assert where == "beside"
        assert_state(published.state, STATE)
    assert not mark.exists() and torch.get_num_threads() == threads
    assert capfd.readouterr().out == ""


def test_stand_ins_are_for_one_file_only(tmp_path: Path) -> None:
    torch.save({"state_dict": STATE, "hparams": argparse.Namespace()}, tmp_path / "a.ckpt")
    before = torch.serialization.get_safe_globals()
    assert read_published(tmp_path / "a.ckpt").ignored == ("argparse.Namespace",)
    assert set(torch.serialization.get_safe_globals()) == set(before)
    with pytest.raises(Exception, match="Namespace"):
        torch.load(tmp_path / "a.ckpt", weights_only=True)


class Odd(dict[str, int]):
    """A mapping that weights_only can't fill."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds no state dict"),
        ({}, "holds no state dict"),
        ({"state_dict": {}}, "holds no state dict"),
        ({"state_dict": {"a": 1}}, "holds no state dict"),
        ({"epoch": 1, "model": STATE}, "holds no state dict"),
        ({1: torch.zeros(1)}, "holds no state dict"),
        ({"hmseg": {}, "state_dict": STATE}, "is a checkpoint of hmseg already"),
        (
            {"state_dict": STATE, "hparams": Odd(a=1)},
            "hold code beside its weights; then save its state dict",
        ),
    ],
)
def test_files_that_are_not_published_ones(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=message) as caught:
        read_published(tmp_path / "x.pt")
    assert "\n" not in str(caught.value) and "add_safe_globals" not in str(caught.value)


@pytest.mark.parametrize("new_zipfile", [True, False])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.95])
def test_truncated_files(tmp_path: Path, kept: float, new_zipfile: bool) -> None:
    path = tmp_path / "x.pt"
    torch.save(STATE, path, _use_new_zipfile_serialization=new_zipfile)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(CheckpointError, match=r"x\.pt' cannot be read as a checkpoint"):
        read_published(path)


def test_files_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no file at"):
        read_published(tmp_path)
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_published(tmp_path / "text.pt")


def test_import_in_python(tmp_path: Path) -> None:
    theirs = hmseg.build_network("hsnet", "none", "mobilenet_v2")
    torch.save(published_content(theirs), tmp_path / "x.pt")
    network = hmseg.import_published(tmp_path / "x.pt", "hsnet", "hybrid", "mobilenet_v2")
    assert_state(network.state_dict(), theirs.state_dict())
    assert (type(network.masking).__name__, network.training) == ("HybridMasking", False)
    assert network.backbone.weights_origin == "checkpoint"
    with pytest.raises(CheckpointError, match="give model=hsnet"):
        hmseg.import_published(tmp_path / "x.pt", "asnet", "hybrid", "mobilenet_v2")
    with pytest.raises(ConfigError, match="did you mean 'hsnet'"):
        hmseg.import_published(tmp_path / "x.pt", "hsnett", "hybrid", "mobilenet_v2")


def test_published_content_needs_a_published_model() -> None:
    with pytest.raises(
        CheckpointError, match="no published format for a TinyHead: only for asnet, hsnet, vat"
    ):
        published_content(tiny_network())


def test_saving_leaves_whole_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "x.pt"
    save(STATE, path)
    whole = path.read_bytes()

    def full_disk(content: object, target: Path) -> None:
        Path(target).write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(CheckpointError, match=r"x\.pt' can't be written \(PytorchStreamWriter failed"):
        save({}, path)
    assert [each.name for each in path.parent.iterdir()] == ["x.pt"]
    assert path.read_bytes() == whole
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="can't be written"):
        save({}, tmp_path / "file" / "x.pt")
