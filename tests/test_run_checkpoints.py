"""Checkpoints of a run: what they hold, resuming from them, and what is refused."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from hmseg.callbacks import GradientNorm, RunHistory, RunProgress
from hmseg.errors import CheckpointError, ConfigError
from hmseg.evaluation_record import about_training
from hmseg.plugins import restoring
from hmseg.run_checkpoints import HISTORY, fingerprint, has_optimizer, read_checkpoint
from hmseg.training import check_resumed
from tiny import LIGHTNING_WARNINGS, tiny_loader, tiny_module, tiny_network, tiny_trainer

pytestmark = LIGHTNING_WARNINGS


def head_state(module: pl.LightningModule) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items() if k.startswith("network.head.")}


def assert_equal_states(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert not [name for name in found if not torch.equal(found[name], expected[name])]


def trained(tmp_path: Path, epochs: int = 2, **options: Any) -> tuple[pl.LightningModule, Path]:
    """A module after a short run with all our callbacks, and its last checkpoint."""
    module = tiny_module(**options)
    best = ModelCheckpoint(dirpath=tmp_path, monitor="val/miou", mode="max", filename="best")
    last = ModelCheckpoint(dirpath=tmp_path, filename="last", enable_version_counter=False)
    callbacks = [best, last, GradientNorm(), RunProgress(), LearningRateMonitor()]
    logger = CSVLogger(tmp_path, name="log")
    trainer = tiny_trainer(
        tmp_path,
        max_epochs=epochs,
        max_time="00:01:00:00",
        logger=logger,
        enable_checkpointing=True,
        enable_progress_bar=True,
        callbacks=callbacks,
    )
    trainer.fit(module, tiny_loader(3), tiny_loader(2, seed=50))
    return module, tmp_path / "last.ckpt"


def test_checkpoint_holds_the_head_and_plain_data_only(tmp_path: Path) -> None:
    config = {"fold": 1, "model": {"name": "tiny"}, "size": (32, 48)}
    module, path = trained(tmp_path, config=config)
    checkpoint = torch.load(path, weights_only=True)  # a file that held code would be refused here
    assert set(checkpoint["state_dict"]) == set(head_state(module))
    about = checkpoint["hmseg"]
    assert about["config"] == {"fold": 1, "model": {"name": "tiny"}, "size": [32, 48]}
    assert about["backbone_weights"] == "file"
    assert about["backbone_fingerprint"] == fingerprint(module.network.backbone)
    assert set(about["versions"]) == {"hmseg", "torch", "pytorch_lightning", "python"}
    assert (tmp_path / "best.ckpt").is_file()


@pytest.mark.parametrize("origin", ["file", "random"])
def test_checkpoint_restores_the_same_predictions(tmp_path: Path, origin: str) -> None:
    module, path = trained(tmp_path, network=tiny_network(origin=origin))
    # A random backbone is stored, so even one made of another seed takes the checkpoint's weights.
    other = tiny_module(network=tiny_network(seed=0 if origin == "file" else 5, origin=origin))
    checkpoint = read_checkpoint(path)
    names = set(checkpoint["state_dict"])
    other.restore(checkpoint)
    assert set(checkpoint["state_dict"]) == names  # the caller's mapping is left alone
    assert any(name.startswith("network.backbone.") for name in names) == (origin == "random")
    assert_equal_states(other.state_dict(), module.state_dict())
    assert other.backbone_fingerprint() == module.backbone_fingerprint()


def test_evaluation_from_a_checkpoint_repeats_the_last_validation(tmp_path: Path) -> None:
    module, path = trained(tmp_path)
    other = tiny_module(optimizer=None)
    other.restore(read_checkpoint(path))
    tiny_trainer(tmp_path).validate(other, tiny_loader(2, seed=50), verbose=False)
    assert other.scores == module.scores
    assert other.scores.fb_iou > 0


def test_resumed_run_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    """Weights and Adam's moments, bit by bit."""

    def run(folder: str, epochs: int, resume: bool = False) -> tuple[dict[str, Tensor], Path]:
        module, path = tiny_module(), tmp_path / folder / "last.ckpt"
        saver = ModelCheckpoint(dirpath=path.parent, filename="last", enable_version_counter=False)
        trainer = tiny_trainer(tmp_path, max_epochs=epochs, callbacks=[saver], enable_checkpointing=True)
        loaders = tiny_loader(4), tiny_loader(1, seed=50)
        trainer.fit(module, *loaders, ckpt_path=path if resume else None, weights_only=True)
        return head_state(module), path

    whole, whole_path = run("whole", epochs=4)
    half, _ = run("parts", epochs=2)
    resumed, resumed_path = run("parts", epochs=4, resume=True)
    assert not all(torch.equal(half[name], whole[name]) for name in whole)
    assert_equal_states(resumed, whole)
    mine, expected = (read_checkpoint(each) for each in (resumed_path, whole_path))
    assert mine["global_step"] == expected["global_step"] == 16
    states = [each["optimizer_states"][0]["state"] for each in (mine, expected)]
    assert len(states[0]) == len(list(tiny_network().head.parameters()))
    for found, wanted in zip(*(each.values() for each in states), strict=True):
        assert_equal_states(found, wanted)


def saved(folder: Path) -> Path:
    """The checkpoint of a short run without the callbacks that others would have to have, too."""
    trainer = tiny_trainer(folder, max_epochs=1, callbacks=[RunHistory()])
    trainer.fit(tiny_module(), tiny_loader(2), tiny_loader(1, seed=50))
    trainer.save_checkpoint(folder / "last.ckpt")
    return folder / "last.ckpt"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer_states", [{"state": {}, "param_groups": "none"}]),
        ("lr_schedulers", 3),
        ("loops", {"fit_loop": 3}),
        ("callbacks", {HISTORY: {"run": 3}}),
    ],
)
def test_a_state_that_cannot_be_taken_up_is_one_line(tmp_path: Path, key: str, value: Any) -> None:
    path = saved(tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    torch.save({**checkpoint, key: value}, path)
    trainer = tiny_trainer(tmp_path, max_epochs=3, callbacks=[RunHistory()])
    with (
        pytest.raises(
            CheckpointError, match=r"last\.ckpt can't be gone on from \(.+\): its state is"
        ) as caught,
        restoring(trainer, str(path)),
    ):
        trainer.fit(tiny_module(), tiny_loader(2), tiny_loader(1), ckpt_path=str(path), weights_only=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("optimizer_states", [], "holds no state of an optimiser"),
        ("optimizer_states", 3, "holds no state of an optimiser"),
        ("epoch", None, "doesn't say its epoch"),
        ("epoch", -1, "doesn't say its epoch"),
    ],
)
def test_a_checkpoint_without_what_resuming_needs(tmp_path: Path, key: str, value: Any, message: str) -> None:
    _, path = trained(tmp_path)
    torch.save({**torch.load(path, weights_only=True), key: value}, path)
    cfg = OmegaConf.create({"resume": str(path), "trainer": {"max_epochs": 9}})
    with pytest.raises(CheckpointError, match=message):
        check_resumed(cfg)


def test_an_error_of_the_training_itself_keeps_its_kind(tmp_path: Path) -> None:
    class Failing(Callback):
        def on_train_batch_end(self, *args: object) -> None:
            raise ZeroDivisionError("ours")

    path = saved(tmp_path)
    trainer = tiny_trainer(tmp_path, max_epochs=9, callbacks=[Failing(), RunHistory()])
    with pytest.raises(ZeroDivisionError), restoring(trainer, str(path)):
        trainer.fit(tiny_module(), tiny_loader(2), tiny_loader(1), ckpt_path=str(path), weights_only=True)


@pytest.mark.parametrize(
    "history",
    [3, {"validations": 3}, {"validations": [3]}, {"validations": [{"epoch": "1", "miou": 2}]},
     {"validations": [{"miou": 2}]}, {"seconds": torch.zeros(1)}, {"run": [{3: 4}, torch.ones(1)]},
     {"validations": [{"epoch": 1, "miou": float("nan")}]}],
)  # fmt: skip
def test_an_odd_history_is_found_before_it_is_needed(tmp_path: Path, history: Any) -> None:
    _, path = trained(tmp_path)
    checkpoint = {**read_checkpoint(path), "callbacks": {HISTORY: history}}
    with pytest.raises(CheckpointError, match=r"\.ckpt: its history of the training can't be used \(.+\)"):
        about_training(path, checkpoint)


def test_checkpoint_of_another_backbone_is_refused(tmp_path: Path) -> None:
    _, path = trained(tmp_path)
    with pytest.raises(CheckpointError, match="trained on another backbone .* fingerprint"):
        tiny_module(network=tiny_network(seed=1)).restore(read_checkpoint(path))
    with pytest.raises(CheckpointError, match="does not hold its backbone, but this network's are 'random'"):
        tiny_module(network=tiny_network(origin="random")).restore(read_checkpoint(path))
    with pytest.raises(CheckpointError, match="another backbone"):  # also through Lightning
        loader = tiny_loader(1)
        other = tiny_module(network=tiny_network(seed=1))
        tiny_trainer(tmp_path, max_epochs=3).fit(
            other, loader, loader, ckpt_path=str(path), weights_only=True
        )


def test_checkpoint_with_a_random_backbone_does_not_fit_a_known_one(tmp_path: Path) -> None:
    _, path = trained(tmp_path, network=tiny_network(origin="random"))
    with pytest.raises(CheckpointError, match="holds its own backbone, but this network's are 'file'"):
        tiny_module().restore(read_checkpoint(path))


def test_checkpoint_of_another_head_names_what_differs(tmp_path: Path) -> None:
    _, path = trained(tmp_path)
    wider = tiny_module(network=tiny_network(width=12))
    with pytest.raises(
        CheckpointError, match=r"head\.mix\.weight is \(8, 16, 1, 1\) instead of \(12, 16, 1, 1\)"
    ):
        wider.restore(read_checkpoint(path))
    checkpoint = read_checkpoint(path)
    state = checkpoint["state_dict"]
    state["network.head.extra"] = state.pop("network.head.last.bias")
    message = re.escape("network.head.last.bias is missing; network.head.extra is unexpected")
    with pytest.raises(CheckpointError, match=message):
        tiny_module().restore(checkpoint)


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    _, path = trained(tmp_path, epochs=1)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "missing.ckpt")
    whole = path.read_bytes()
    (tmp_path / "short.ckpt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"short\.ckpt' cannot be read"):
        read_checkpoint(tmp_path / "short.ckpt")
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "text.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=r"other\.ckpt': this is not a checkpoint of hmseg"):
        read_checkpoint(tmp_path / "other.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(CheckpointError, match="not a checkpoint of hmseg"):
        read_checkpoint(tmp_path / "list.ckpt")
    later = torch.load(path, weights_only=True)
    later["hmseg"]["format"] = 99
    torch.save(later, tmp_path / "later.ckpt")
    with pytest.raises(CheckpointError, match="has format 99"):
        read_checkpoint(tmp_path / "later.ckpt")


def test_a_file_cannot_run_code(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"hmseg": Harmful(), "state_dict": {}}, tmp_path / "harmful.ckpt")
    with pytest.raises(CheckpointError, match="hold more than"):
        read_checkpoint(tmp_path / "harmful.ckpt")
    assert not (tmp_path / "ran").exists()


def test_configuration_must_be_plain_data() -> None:
    config = {"sizes": [1, 2]}
    module = tiny_module(config=config)
    module.config["sizes"].append(3)
    assert config == {"sizes": [1, 2]}
    with pytest.raises(ConfigError, match="cannot be stored in a checkpoint"):
        tiny_module(config={"path": Path("runs")})


def test_fingerprint_sees_values_names_and_shapes_but_not_counters() -> None:
    first, second = tiny_network().backbone, tiny_network().backbone
    assert fingerprint(first) == fingerprint(second)
    second.stem[1].num_batches_tracked += 5
    assert fingerprint(first) == fingerprint(second)
    assert fingerprint(first) == fingerprint(copy.deepcopy(first).double())
    second.stem[1].running_mean[0] += 1
    assert fingerprint(first) != fingerprint(second)
    renamed, reshaped = torch.nn.Module(), torch.nn.Module()
    plain = torch.nn.Module()
    plain.register_buffer("a", torch.zeros(2, 3))
    renamed.register_buffer("b", torch.zeros(2, 3))
    reshaped.register_buffer("a", torch.zeros(3, 2))
    assert len({fingerprint(each) for each in (plain, renamed, reshaped)}) == 3


GROUP = {"lr": 0.1, "params": [0]}


@pytest.mark.parametrize(
    ("states", "good"),
    [
        ([{"state": {0: {"step": 1}}, "param_groups": [GROUP | {"betas": (0.9, 0.99)}]}], True),
        ([{"state": {}, "param_groups": [GROUP | {"nesterov": False, "momentum": 0}]}], True),  # SGD has none
        ([{"state": {}, "param_groups": [GROUP | {"nesterov": False, "momentum": 0.9}]}], False),
        ([{"state": {}, "param_groups": [GROUP | {"betas": (0.9, 0.99)}]}], False),
        ([{"state": {}, "param_groups": []}], False),
        ([], False),
        (None, False),
        ("Adam", False),
    ],
)
def test_an_optimiser_that_would_begin_anew_is_found(states: Any, good: bool) -> None:
    assert has_optimizer({"global_step": 7, "optimizer_states": states}) == good
