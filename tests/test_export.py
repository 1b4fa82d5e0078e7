"""``hmseg.export`` as typed: what it writes, what it refuses, and that nothing is half written."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

import hmseg
from called import Outcome, caller
from hmseg import export
from hmseg.assembly import build_network
from hmseg.config import checks_export, compose
from hmseg.deployment import checking
from hmseg.run_checkpoints import fingerprint, pack
from tiny import LIGHTNING_WARNINGS

pytestmark = LIGHTNING_WARNINGS


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return caller(export.PROGRAM, monkeypatch, capsys)


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as a training run leaves it."""
    cfg = compose("masking=hybrid", "dataset.image_size=64", "aggregation=mean_logits")
    torch.manual_seed(0)
    network = build_network(cfg)
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    checkpoint: dict[str, Any] = {"state_dict": state}
    pack(checkpoint, "bundled", fingerprint(network.backbone), config)
    path = tmp_path_factory.mktemp("run") / "best.ckpt"
    torch.save(checkpoint, path)
    return path


def test_a_checkpoint_becomes_a_file(call: Any, ckpt: Path, tmp_path: Path) -> None:
    outcome = call(f"ckpt={ckpt}", "format=torchscript", "out=new/network.pt")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].startswith("batch 1, 1 shots, query 64x64, supports 64x64: relative error ")
    assert lines[-1].startswith("written to new/network.pt; checked against PyTorch")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["network.pt"]
    with zipfile.ZipFile(tmp_path / "new" / "network.pt") as file:
        about = json.loads(file.read("network/extra/hmseg.json"))
    assert about["hmseg.image_size"] == "[64, 64]"
    assert about["hmseg.masking"].startswith("HybridMasking(")
    assert about["hmseg.aggregation"] == "mean_logits"
    assert (about["hmseg.model"], about["hmseg.backbone"]) == ("HSNetHead", "mobilenet_v2")
    assert (about["hmseg.hmseg"], about["hmseg.checkpoint"]) == (hmseg.__version__, "best.ckpt")


def test_nothing_is_left_of_a_file_that_is_off(
    call: Any, ckpt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "TOLERANCE", 0.0)
    (tmp_path / "network.pt").write_text("before")
    outcome = call(f"ckpt={ckpt}", "format=torchscript", "out=network.pt", "overwrite=true")
    assert outcome.code == 1
    assert outcome.err.startswith("error: the exported file's logits differ from the network's by ")
    assert len(outcome.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["network.pt"]
    assert (tmp_path / "network.pt").read_text() == "before"


REFUSALS = {
    "format=onyx": "error: unknown format 'onyx': did you mean 'onnx'?",
    "part=half": "error: unknown part 'half'. (known: split, whole)",
    "opset=9": "error: opset: expected 18 to 23, got 9",
    "image_size=32": "error: image_size: expected at least 64, got 32",
    "any_size=true format=torch_export": "error: any_size=true: torch.export settles sizes of images",
    "frmat=onnx": "error: unknown key 'frmat': did you mean 'format'?",
    "aggregation=vte": "error: unknown aggregation 'vte': did you mean 'vote'?",
}


@pytest.mark.parametrize("words", REFUSALS)
def test_refusals_are_one_line(call: Any, ckpt: Path, tmp_path: Path, words: str) -> None:
    outcome = call(f"ckpt={ckpt}", "out=x", *words.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(REFUSALS[words])
    assert len(outcome.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_refusals_before_the_checkpoint_is_read(call: Any, tmp_path: Path) -> None:
    (tmp_path / "x-segmenter.onnx").write_text("before")
    taken = "error: out: x-segmenter.onnx is there already; give another, or overwrite=true\n"
    assert call("ckpt=none", "out=x", "part=split") == Outcome(2, "", taken)
    (tmp_path / "y.onnx").mkdir()
    folder = "error: out: y.onnx is a folder; give the name of a file\n"
    assert call("ckpt=none", "out=y", "overwrite=true") == Outcome(2, "", folder)
    missing = "error: ckpt=none: there is no such file or folder\n"
    assert call("ckpt=none", "out=z") == Outcome(2, "", missing)
    assert call("out=z").err.startswith("error: ckpt: a value is required")


def test_vat_has_no_wide_support(call: Any, ckpt: Path) -> None:
    outcome = call(f"ckpt={ckpt}", "out=x", "model=vat", "aggregation=concat")
    assert outcome.code == 2
    assert outcome.err.startswith("error: aggregation=concat: VAT has a fixed grid for a support")


def test_onnx_says_what_to_install(call: Any, ckpt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_export, "find_spec", lambda name: None if name == "onnxruntime" else object())
    outcome = call(f"ckpt={ckpt}", "out=x")
    expected = "format=onnx needs onnxruntime: pip install 'hmseg[onnx]', or give another format"
    assert outcome == Outcome(2, "", f"error: {expected}\n")


def test_a_checkpoint_cannot_have_anything_built(call: Any, ckpt: Path, tmp_path: Path) -> None:
    content = torch.load(ckpt, weights_only=True)
    content["hmseg"]["config"]["masking"] = {"_target_": "os.system", "command": "touch ran"}
    torch.save(content, tmp_path / "evil.ckpt")
    outcome = call("ckpt=evil.ckpt", "out=x")
    assert outcome.code == 2
    assert "its masking builds 'os.system', which is not part of hmseg" in outcome.err
    assert not (tmp_path / "ran").exists()
