"""From a checkpoint to a segmenter: the same network, few bits, other settings, files that can't be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hmseg import Box, Segmenter
from hmseg.assembly import untrained_checkpoint
from hmseg.checkpoint_files import PRETRAINED
from hmseg.config import compose
from hmseg.errors import CheckpointError, ConfigError, HmsegError, WeightsError
from hmseg.masking import HybridMasking, InputMasking
from hmseg.networks import PrototypeHead, build_network
from hmseg.run_checkpoints import read_checkpoint
from hmseg.segmenter.loading import find_checkpoint
from made_checkpoints import SIDE, config, write_checkpoint


def weights_of(segmenter: Segmenter) -> dict[str, torch.Tensor]:
    return dict(segmenter.network.state_dict())


def test_a_runs_checkpoint(tmp_path: Path) -> None:
    trained = write_checkpoint(tmp_path / "run/checkpoints/last.ckpt")
    for path in (tmp_path / "run", str(tmp_path / "run/checkpoints/last.ckpt")):
        segmenter = Segmenter.from_checkpoint(path, device="cpu")
        assert (segmenter.side, segmenter.aggregation) == (SIDE, "vote")
        assert segmenter.network.masking == HybridMasking()
        assert not segmenter.network.training
        for name, value in trained.state_dict().items():
            assert torch.equal(value, weights_of(segmenter)[name]), name


def test_the_best_of_a_run_comes_first(tmp_path: Path) -> None:
    for name in ("last", "best"):
        write_checkpoint(tmp_path / f"checkpoints/{name}.ckpt")
    assert find_checkpoint(tmp_path).name == "best.ckpt"


def test_a_slim_one_in_float16_without_its_known_backbone(tmp_path: Path) -> None:
    trained = write_checkpoint(tmp_path / "a.ckpt", dtype=torch.float16)
    stored = torch.load(tmp_path / "a.ckpt", weights_only=True)["state_dict"]
    assert not any("backbone" in name for name in stored)
    found = weights_of(Segmenter.from_checkpoint(tmp_path / "a.ckpt"))
    for name, value in trained.head.state_dict().items():
        assert found[f"head.{name}"].dtype == torch.float32
        torch.testing.assert_close(found[f"head.{name}"], value, rtol=1e-3, atol=1e-6)


def test_one_that_holds_its_backbone(tmp_path: Path) -> None:
    network = build_network("hsnet", "hybrid", "mobilenet_v2", weights="random")
    backbone = {**config()["backbone"], "weights": "random"}
    write_checkpoint(tmp_path / "a.ckpt", network, backbone=backbone)
    found = weights_of(Segmenter.from_checkpoint(tmp_path / "a.ckpt", weights="elsewhere.pth"))
    for name, value in network.state_dict().items():
        assert torch.equal(value, found[name]), name


def test_other_settings_than_in_training(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a.ckpt", aggregation="mean_logits", loader={"resize": "opencv"})
    plain = Segmenter.from_checkpoint(tmp_path / "a.ckpt")
    assert (plain.aggregation, plain.encoder.resize) == ("mean_logits", "opencv")
    other = Segmenter.from_checkpoint(
        tmp_path / "a.ckpt", masking="input", side=96, aggregation="concat", precision="bfloat16"
    )
    assert other.network.masking == InputMasking() and other.network.join_shots
    assert (other.side, other.encoder.precision) == (96, torch.bfloat16)
    black = Segmenter.from_checkpoint(tmp_path / "a.ckpt", masking=InputMasking(fill="black"))
    assert black.network.masking == InputMasking(fill="black")


def test_what_the_package_carries_has_a_name_and_is_the_default(tmp_path: Path) -> None:
    named, default = Segmenter.from_pretrained("prototype", device="cpu"), Segmenter.from_checkpoint()
    assert Segmenter.from_checkpoint("prototype").side == named.side == default.side == 560
    assert isinstance(named.network.head, PrototypeHead) and named.network.join_shots
    assert named.network.backbone.weights_origin == "bundled"
    with pytest.raises(ConfigError, match="unknown pretrained network 'prototyp': did you mean 'prototype'"):
        Segmenter.from_pretrained("prototyp")


def test_a_file_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path / "prototype")
    monkeypatch.chdir(tmp_path)
    assert Segmenter.from_checkpoint("prototype").side == SIDE


def test_what_the_package_carries_is_what_its_settings_make() -> None:
    cfg = compose("model=prototype", config_name="evaluate")
    made, shipped = untrained_checkpoint(cfg), read_checkpoint(PRETRAINED["prototype"])
    assert shipped["hmseg"]["config"] == made["hmseg"]["config"]
    assert shipped["hmseg"]["backbone_fingerprint"] == made["hmseg"]["backbone_fingerprint"]


FOREIGN = {"_target_": "os.system", "command": "true"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": FOREIGN}, "its model builds 'os.system', which is not part of hmseg"),
        ({"masking": FOREIGN}, "its masking builds 'os.system'"),
        ({"backbone": FOREIGN}, "its backbone builds 'os.system'"),
        ({"model": None}, "its configuration has no model"),
        ({"dataset": {}}, "doesn't say the side of its training images"),
        ({"masking": {"_target_": "hmseg.masking.HybridMasking", "colour": 3}}, "its masking can't be built"),
        ({"model": {"_target_": "hmseg.networks.asnet.ASNetHead"}}, "the checkpoint is of another model"),
        ({"aggregation": "votes"}, "unknown aggregation 'votes'"),
    ],
)
def test_only_our_own_parts_are_built(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_checkpoint(tmp_path / "a.ckpt", **changes)
    with pytest.raises(HmsegError, match=message):
        Segmenter.from_checkpoint(tmp_path / "a.ckpt")


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a.ckpt")
    whole = (tmp_path / "a.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    for name, message in {
        "cut.ckpt": "cut.ckpt' cannot be read as a checkpoint",
        "other.ckpt": "not a checkpoint of hmseg",
        "none.ckpt": "no checkpoint at",
        ".": "holds no checkpoints/best.ckpt or last.ckpt",
    }.items():
        with pytest.raises(CheckpointError, match=message):
            Segmenter.from_checkpoint(tmp_path / name)
    with pytest.raises(ConfigError, match="unknown masking 'hybird'"):
        Segmenter.from_checkpoint(tmp_path / "a.ckpt", masking="hybird")


def test_one_that_diverged(tmp_path: Path) -> None:
    network = build_network("hsnet", "hybrid", "mobilenet_v2", weights="bundled")
    with torch.no_grad():
        next(network.head.parameters()).fill_(float("nan"))
    write_checkpoint(tmp_path / "a.ckpt", network)
    with pytest.raises(CheckpointError, match="holds NaN or infinity"):
        Segmenter.from_checkpoint(tmp_path / "a.ckpt")


def test_the_backbones_file_may_have_moved(tmp_path: Path) -> None:
    network = build_network("hsnet", "hybrid", "mobilenet_v2", weights="random")
    torch.save(network.backbone.state_dict(), tmp_path / "moved.pth")
    network.backbone.weights_origin = "file"  # so that the checkpoint leaves it out
    backbone = {**config()["backbone"], "weights": "gone.pth"}
    write_checkpoint(tmp_path / "a.ckpt", network, backbone=backbone)
    with pytest.raises(WeightsError, match="no weights at 'gone.pth'"):
        Segmenter.from_checkpoint(tmp_path / "a.ckpt")
    segmenter = Segmenter.from_checkpoint(tmp_path / "a.ckpt", weights=tmp_path / "moved.pth")
    segmenter.fit(torch.rand(3, 70, 80), Box(0, 0, 40, 40))
    assert segmenter.predict(torch.rand(3, 65, 66)).labels.shape == (65, 66)
    other = build_network("hsnet", "hybrid", "mobilenet_v2", weights="random")
    torch.save(other.backbone.state_dict(), tmp_path / "wrong.pth")
    with pytest.raises(CheckpointError, match="was trained on another backbone"):
        Segmenter.from_checkpoint(tmp_path / "a.ckpt", weights=tmp_path / "wrong.pth")
