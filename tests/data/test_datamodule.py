"""The data module: fixed evaluation, shards, and runs that go on exactly where they were left."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerState

from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.episode import Episode
from hmseg.data.fss import FssSource
from hmseg.data.manifest import Manifest
from hmseg.data.pascal import PascalSource
from hmseg.data.protocols import digest, episodes
from hmseg.data.source import Listing, Source
from hmseg.errors import CheckpointError, ConfigError, DataError
from standin import IMAGES, fss_root

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),  # inside Lightning
]


def data(source: Source, **options: Any) -> EpisodeDataModule:
    return EpisodeDataModule(source, **{"fold": 0, "size": 8, "batch_size": 4, "val_episodes": 4} | options)


def trainer_of(rank: int, world_size: int, **options: Any) -> Any:
    """As much of a Trainer as sharding looks at."""
    connector = SimpleNamespace(use_distributed_sampler=options.pop("use_distributed_sampler", False))
    return SimpleNamespace(
        global_rank=rank,
        world_size=world_size,
        state=TrainerState(),
        _accelerator_connector=connector,
        **options,
    )


def test_properties(fake_source: Source) -> None:
    module = data(fake_source, fold=1, shot=2, test_episodes=9)
    assert module.classes == module.test_classes == (2, 3) and module.size == (8, 8)
    assert module.train_listing == fake_source.listing("train", 1)
    listing = fake_source.listing("val", 1)
    assert module.val_specs == tuple(episodes("hsnet", listing, 1, 4))
    assert module.test_specs == tuple(episodes("hsnet", listing, 2, 9))


def test_of_own_data_only_classes_with_an_episode_are_scored(
    fake_source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The first two entries of the list are of class 2: of class 3 there is nothing to score."""
    published = data(fake_source, fold=1, test_episodes=2)
    assert published.test_classes == (2, 3) and not caplog.messages
    fake_source.own_data = True
    own = data(fake_source, fold=1, test_episodes=2, val_episodes=4)
    assert own.classes == (2, 3) and not caplog.messages
    assert own.test_classes == (2,) and own.test_specs == published.test_specs
    assert caplog.messages == ["fold 1: no test episode of class3; the mean is over the other 1 of 2 classes"]
    clean = data(fake_source, fold=1, test_episodes=2, val_episodes=1, selection="clean")
    assert len(clean.classes) == 1 and clean.test_classes == (2,)


def test_evaluation_does_not_depend_on_the_training_seed(fake_source: Source) -> None:
    first, second = data(fake_source, seed=0), data(fake_source, seed=1)
    assert first.val_specs == second.val_specs and first.test_specs == second.test_specs
    drawn = [[item[1] for item in module.train_dataloader().sampler] for module in (first, second)]
    assert drawn[0] != drawn[1]
    assert data(fake_source, protocol_seed=1).test_specs != first.test_specs


def test_protocol_is_used(fake_source: Source) -> None:
    specs = data(fake_source, protocol="strict", shot=2).test_specs
    assert digest(specs) == digest(episodes("strict", fake_source.listing("val", 0), 2, 1000))


def test_several_protocol_seeds(fake_source: Source) -> None:
    module = data(fake_source, protocol_seed=[2, 0], test_episodes=5, val_episodes=3, shot=2)
    listing = fake_source.listing("test", 0)
    assert module.test_specs == tuple(
        episodes("hsnet", listing, 2, 5, seed=2) + episodes("hsnet", listing, 2, 5, seed=0)
    )
    assert len(module.val_specs) == 6 and module.test_lists == (2, 5)
    assert data(fake_source, protocol_seed=2).test_lists is None
    assert data(fake_source, protocol_seed=[2]).test_specs == data(fake_source, protocol_seed=2).test_specs


def test_as_many_test_episodes_as_published(fake_source: Source) -> None:
    assert len(data(fake_source, test_episodes=None).test_specs) == 1000


def test_test_classes_and_list_of_their_own(tmp_path: Path) -> None:
    module = data(FssSource(fss_root(tmp_path)), fold=None, val_episodes=None, test_episodes=None)
    assert module.classes == (4, 5, 6) and module.test_classes == (7, 8, 9)
    assert {spec.class_id for spec in module.val_specs} == {4, 5, 6}
    assert {spec.class_id for spec in module.test_specs} == {7, 8, 9}
    assert len(module.test_specs) == len({spec.query for spec in module.test_specs}) == 3 * IMAGES
    loader = module.train_dataloader()
    assert len(loader) == 7 and loader.state_dict()["setting"]["fold"] is None


def test_supports_without_replacement(fake_source: Source) -> None:
    module = data(fake_source, train_shot=4, replacement=False)
    items = list(module.train_dataloader().sampler)
    assert all(len(set(item[1].supports)) == 4 for item in items)


def test_a_manifest_is_tested_on(fake_source: Source) -> None:
    specs = tuple(episodes("strict", fake_source.listing("test", 0), 2, 6))
    manifest = Manifest("fake", 0, "test", 2, "strict", (7,), "own", specs)
    module = data(fake_source, shot=2, manifest=manifest, test_episodes=3)
    assert module.test_specs == specs and module.protocol_seeds == (7,) and module.protocol == "strict"
    assert [index for batch in module.test_dataloader() for index in batch.index.tolist()] == list(range(6))
    with pytest.raises(DataError, match="of shot=2, not of shot=1: give shot=2"):
        data(fake_source, manifest=manifest)
    with pytest.raises(ConfigError, match="the manifest is of the split val, one of test was expected"):
        data(fake_source, shot=2, manifest=dataclasses.replace(manifest, split="val"))


def test_classes_are_drawn_alike_often_and_an_epoch_is_as_long(
    fake_source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 92 images 90 are of one class: the published draw follows the list."""
    many = Listing((*((f"train2_{number}", 2) for number in range(90)), ("train3_0", 3), ("train3_1", 3)))
    monkeypatch.setattr(fake_source, "listing", lambda split, fold: many, raising=False)
    shares = {}
    for draw in ("published", "class"):
        sampler = data(fake_source, draw=draw, train_episodes=None, batch_size=1).train_dataloader().sampler
        specs = [spec for _, spec, _ in sampler]
        assert len(specs) == 92 and all(spec.query not in spec.supports for spec in specs)
        shares[draw] = sum(spec.class_id == 3 for spec in specs) / 92
    assert shares["published"] == 2 / 92 and 0.35 < shares["class"] < 0.65  # 0.05 is one standard error
    with pytest.raises(ConfigError, match="unknown loader.draw 'balanced'"):
        data(fake_source, draw="balanced")


def test_classes_left_out_of_training_by_name(fake_source: Source) -> None:
    plain, cut = data(fake_source), data(fake_source, without=["class3", "class7"])
    assert set(plain.train_listing.by_class) == {2, 3, 4, 5, 6, 7}
    assert set(cut.train_listing.by_class) == {2, 4, 5, 6}
    assert {spec.class_id for _, spec, _ in cut.train_dataloader().sampler} == {2, 4, 5, 6}
    assert cut.test_specs == plain.test_specs and cut.val_specs == plain.val_specs
    with pytest.raises(ConfigError, match="unknown class in loader.without 'clas3': did you mean 'class3'"):
        data(fake_source, without=["clas3"])


@pytest.mark.parametrize("name", ["vat", "geometric"])
def test_augmentation_is_for_training_only(fake_source: Source, name: str) -> None:
    plain, augmented = (
        data(fake_source, augmentation=each, size=(8, 12), resize="opencv") for each in ("none", name)
    )
    first, second = (torch.stack([b.query_image for b in m.train_dataloader()]) for m in (plain, augmented))
    assert not torch.equal(first, second)
    first, second = (torch.cat([b.query_image for b in m.val_dataloader()]) for m in (plain, augmented))
    assert torch.equal(first, second)


def test_too_few_images_for_strict_do_not_stop_training(fake_source: Source) -> None:
    module = data(fake_source, protocol="strict", shot=5)
    assert len(module.train_dataloader()) == 7 and len(module.val_specs) == 4
    with pytest.raises(DataError, match="class 0 has 3 images in this list, 5-shot .* need 6"):
        module.test_dataloader()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "strikt"}, "unknown protocol 'strikt': did you mean 'strict'"),
        ({"batch_size": 0}, "batch_size=0 came, 1 or more"),
        ({"eval_batch_size": 0}, "eval_batch_size=0 came"),
        ({"shot": 0}, "shot=0 came"),
        ({"train_shot": 0}, "train_shot=0 came"),
        ({"num_workers": -1}, "num_workers=-1 came, 0 or more"),
        ({"train_episodes": 0}, "train_episodes=0 came"),
        ({"val_episodes": 0}, "val_episodes=0 came"),
        ({"test_episodes": 0}, "test_episodes=0 came"),
        ({"seed": -1}, "seed=-1 came"),
        ({"protocol_seed": -1}, "protocol_seed=-1 came, a number of 0 or more, or a list of different ones"),
        ({"protocol_seed": [1, 1]}, r"protocol_seed=\[1, 1\] came"),
        ({"protocol_seed": []}, r"protocol_seed=\[\] came"),
        ({"augmentation": "vatt"}, "unknown augmentation 'vatt': did you mean 'vat'"),
        ({"size": 0}, "size=0 came, a positive side"),
        ({"size": (4, 5, 6)}, r"size=\(4, 5, 6\) came"),
    ],
)
def test_impossible_options(fake_source: Source, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        data(fake_source, **options)


def test_unknown_fold(fake_source: Source) -> None:
    with pytest.raises(DataError, match="fold 4 does not exist"):
        data(fake_source, fold=4)


def test_train_batches(fake_source: Source) -> None:
    module = data(fake_source, size=(6, 10), train_shot=2)
    loader = module.train_dataloader()
    batches = list(loader)
    assert len(loader) == len(batches) == 7  # 30 pairs, the tail of 2 left out
    assert batches[0].query_image.shape == (4, 3, 6, 10)
    assert batches[0].support_images.shape == (4, 2, 3, 6, 10)
    assert not set(batches[0].class_id.tolist()) & set(module.classes)


def test_original_size_is_for_test_only(fake_source: Source) -> None:
    module = data(fake_source, original_size=True, test_episodes=5, eval_batch_size=3, shot=2)
    val, test = next(iter(module.val_dataloader())), list(module.test_dataloader())
    assert val.query_mask.shape == (3, 8, 8) and val.support_masks.shape[1] == 1
    assert [len(batch.index) for batch in test] == [3, 2]
    assert test[0].query_mask.shape == (3, 10, 12) and test[0].support_masks.shape[1] == 2


def test_devices_share_every_loader(fake_source: Source) -> None:
    seen: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for rank in range(2):
        module = data(fake_source, test_episodes=7)
        module.trainer = trainer_of(rank, 2)
        for kind, loader in (
            ("train", module.train_dataloader()),
            ("val", module.val_dataloader()),
            ("test", module.test_dataloader()),
        ):
            seen[kind] += [index for batch in loader for index in batch.index.tolist()]
    assert {kind: sorted(indices) for kind, indices in seen.items()} == {
        "train": list(range(24)),
        "val": list(range(4)),
        "test": list(range(7)),
    }


def test_trainer_options_that_replace_the_samplers_are_refused(fake_source: Source) -> None:
    module = data(fake_source)
    module.trainer = trainer_of(0, 2, use_distributed_sampler=True)
    with pytest.raises(ConfigError, match="shard the episodes a second time: set it to false"):
        module.val_dataloader()
    module.trainer = trainer_of(0, 1, overfit_batches=2)
    with pytest.raises(ConfigError, match="overfit_batches replaces .*limit_train_batches"):
        module.train_dataloader()


class Recorder(pl.LightningModule):
    """Trains one number and notes what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, int, list[int], list[int], list[int]]] = []

    def training_step(self, batch: Episode, batch_idx: int) -> torch.Tensor:
        queries, supports = batch.query_image[:, 0, 0, 0], batch.support_images[:, 0, 0, 0, 0]
        self.seen.append(
            (self.current_epoch, batch_idx, batch.index.tolist(), queries.tolist(), supports.tolist())
        )
        return self.weight**2

    def validation_step(self, batch: Episode, batch_idx: int) -> None:
        self.log("val/miou", 1.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(
    module: EpisodeDataModule,
    folder: Path,
    saving: dict[str, Any],
    ckpt_path: Path | None = None,
    **options: Any,
) -> list[Any]:
    """Everything that one run has seen."""
    recorder = Recorder()
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[ModelCheckpoint(folder, filename="{step}", save_top_k=-1, **saving)],
        **options,
    )
    trainer.fit(recorder, datamodule=module, ckpt_path=ckpt_path)
    return recorder.seen


def step(checkpoint: Path) -> int:
    return int(checkpoint.stem.removeprefix("step="))


EVERY_STEP = {"every_n_train_steps": 1}
EPOCH_END = {"save_on_train_epoch_end": True}


@pytest.mark.filterwarnings("error:.*not resumable.*")
@pytest.mark.filterwarnings("ignore:.*dirpath has changed.*")
@pytest.mark.parametrize(
    ("limit", "saving"),
    [
        ({"max_epochs": 3}, EVERY_STEP),
        ({"max_steps": 17}, EVERY_STEP),
        ({"max_epochs": 3}, EPOCH_END),
        ({"max_steps": 17}, EPOCH_END),
        ({"max_epochs": 2, "val_check_interval": 3}, EVERY_STEP),
        ({"max_epochs": 2, "limit_train_batches": 4}, EVERY_STEP),
    ],
)
def test_resumed_run_sees_what_is_left(
    fake_source: Source, tmp_path: Path, limit: dict[str, Any], saving: dict[str, Any]
) -> None:
    """From every checkpoint of the run: in mid-epoch, after an epoch's last step, and after its end."""
    whole = fit(data(fake_source), tmp_path / "whole", saving, **limit)
    assert len({epoch for epoch, *_ in whole}) >= 2
    checkpoints = sorted((tmp_path / "whole").glob("*.ckpt"), key=step)
    assert len(checkpoints) >= 2
    for checkpoint in checkpoints:
        rest = fit(data(fake_source), tmp_path / f"rest{step(checkpoint)}", saving, checkpoint, **limit)
        assert rest == whole[step(checkpoint) :], checkpoint.name


@pytest.mark.filterwarnings("error:.*not resumable.*")
@pytest.mark.filterwarnings("ignore:.*dirpath has changed.*")
@pytest.mark.parametrize("num_workers", [0, 1])
def test_stopped_and_resumed_run_equals_the_uninterrupted_one(
    fake_source: Source, tmp_path: Path, num_workers: int
) -> None:
    """Three epochs of seven batches; stopped in the second, with batches read ahead."""
    whole = fit(data(fake_source), tmp_path / "whole", {}, max_epochs=3)
    assert len(whole) == 21 and len({str(batch[2:]) for batch in whole}) == 21
    saving = {"every_n_train_steps": 5}
    stopped = fit(data(fake_source, num_workers=num_workers), tmp_path / "a", saving, max_steps=10)
    module = data(fake_source, num_workers=num_workers)
    resumed = fit(module, tmp_path / "b", saving, tmp_path / "a/step=10.ckpt", max_epochs=3)
    assert stopped + resumed == whole


@pytest.mark.filterwarnings("ignore:.*dirpath has changed.*")
def test_resuming_in_mid_epoch_with_another_batch_size_is_refused(
    fake_source: Source, tmp_path: Path
) -> None:
    fit(data(fake_source), tmp_path / "a", EVERY_STEP, max_steps=7)
    changed = data(fake_source, batch_size=2)
    with pytest.raises(CheckpointError, match="batch_size was 4 and is 2, train_episodes was 28 and is 30"):
        fit(changed, tmp_path / "b", EVERY_STEP, tmp_path / "a/step=3.ckpt", max_epochs=2)


def test_loader_of_a_finished_run_starts_anew(fake_source: Source, tmp_path: Path) -> None:
    module = data(fake_source)
    fit(module, tmp_path, {}, max_epochs=1)
    assert len(list(module.train_dataloader())) == 7


def test_shared_photos_of_fold_1(shared: Path) -> None:
    source = PascalSource(shared / "data/VOC2012")
    counts = {"train_episodes": 16, "val_episodes": 8, "test_episodes": 8}
    module = EpisodeDataModule(
        source, fold=1, size=(48, 64), shot=5, batch_size=8, original_size=True, **counts
    )
    assert module.classes == (5, 6, 7, 8, 9)
    train, val, test = (
        list(loader)
        for loader in (module.train_dataloader(), module.val_dataloader(), module.test_dataloader())
    )
    assert [batch.query_image.shape for batch in train] == [(8, 3, 48, 64)] * 2
    assert not set(torch.cat([batch.class_id for batch in train]).tolist()) & set(module.classes)
    assert set(val[0].class_id.tolist()) <= set(module.classes)
    assert test[0].support_images.shape == (8, 5, 3, 48, 64) and test[0].query_mask.shape[1] > 64
