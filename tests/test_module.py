"""The LightningModule: loss, votes, scores, what is trained, and what is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils._python_dispatch import TorchDispatchMode

import hmseg
from hmseg.data.transforms import normalise
from hmseg.errors import ConfigError, DataError
from hmseg.functional import foreground_iou, resize_and_vote, segmentation_loss
from hmseg.metrics import FewShotIoU
from hmseg.networks import vote
from tiny import LIGHTNING_WARNINGS, ready, tiny_batch, tiny_loader, tiny_module, tiny_trainer

pytestmark = LIGHTNING_WARNINGS


# Pure functions


@pytest.mark.parametrize("with_void", [True, False])
def test_loss_is_the_mean_over_counted_pixels_and_shots(with_void: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 2, 4, 5, generator=generator)
    mask, void = (torch.rand(2, 4, 5, generator=generator) < 0.3 for _ in range(2))
    terms = []
    for b in range(2):
        for k in range(3):
            for y in range(4):
                for x in range(5):
                    if not (with_void and void[b, y, x]):
                        both = logits[b, k, :, y, x].double()
                        terms.append(both.exp().sum().log() - both[int(mask[b, y, x])])
    found = segmentation_loss(logits, mask, void if with_void else None)
    assert found.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-6)


def test_loss_without_a_counted_pixel_is_zero() -> None:
    everything = torch.ones(1, 2, 2, dtype=torch.bool)
    logits = torch.zeros(1, 1, 2, 2, 2, requires_grad=True)
    loss = segmentation_loss(logits, everything, everything)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0


def test_loss_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match=r"\(1, 3, 3\), the logits \(1, 1, 2, 2, 2\)"):
        segmentation_loss(torch.zeros(1, 1, 2, 2, 2), torch.zeros(1, 3, 3, dtype=torch.bool))


def test_foreground_iou_is_over_the_whole_batch() -> None:
    prediction = torch.tensor([[[1, 1, 1, 1]], [[1, 0, 0, 0]]])
    mask = torch.tensor([[[1, 0, 0, 0]], [[1, 0, 0, 0]]])
    assert foreground_iou(prediction, mask).item() == 40.0  # 2 of 5, not the mean of 25 and 100
    assert foreground_iou(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)).item() == 0.0


def test_original_size_votes_are_those_of_each_query_alone() -> None:
    logits = torch.randn(3, 5, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    sizes = [(11, 7), (8, 8), (5, 16)]
    found = resize_and_vote(logits, sizes, (11, 16))
    assert found.shape == (3, 11, 16)
    for index, (height, width) in enumerate(sizes):
        resized = F.interpolate(logits[index], size=(height, width), mode="bilinear", align_corners=True)
        votes = resized.argmax(dim=1).sum(dim=0).float()
        alone = votes / votes.max().clamp(min=1) >= 0.5
        assert torch.equal(found[index, :height, :width], alone)
        assert found[index].sum() == alone.sum()  # nothing in the padding


def test_query_larger_than_its_mask_is_refused() -> None:
    with pytest.raises(DataError, match="5 x 9 does not fit its mask of 8 x 8"):
        resize_and_vote(torch.zeros(1, 1, 2, 4, 4), [(5, 9)], (8, 8))


# Steps


class NoScalars(TorchDispatchMode):
    """Fails where a tensor's value goes to the host, which on a GPU would wait for it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert "_local_scalar_dense" not in str(func), "a value was read on the host"
        return func(*args, **(kwargs or {}))


def test_steps_read_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    module, batch = tiny_module(), tiny_batch()
    monkeypatch.setattr(module, "log_dict", lambda *_, **__: None)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    with NoScalars():
        module.training_step(batch, 0).backward()
        module.training_step(batch, 1)
        module.validation_step(batch, 0)
    with pytest.raises(AssertionError, match="read on the host"), NoScalars():
        torch.ones(1).item()


def test_training_counts_void_as_background_and_evaluation_leaves_it_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module, batch = tiny_module(), tiny_batch(shots=3)
    logged: dict[str, Tensor] = {}
    monkeypatch.setattr(module, "log_dict", lambda values, **_: logged.update(values))
    logits = module.network(
        normalise(batch.query_image), normalise(batch.support_images), batch.support_masks
    )
    loss = module.training_step(batch, 0)
    module.validation_step(batch, 0)
    validation_loss = module._loss / module._losses
    assert torch.equal(loss, segmentation_loss(logits, batch.query_mask))
    assert torch.equal(logged["train/loss"], loss)
    assert torch.equal(logged["train/iou"], foreground_iou(vote(logits), batch.query_mask))
    wanted = segmentation_loss(logits, batch.query_mask, batch.query_void)
    assert torch.allclose(validation_loss, wanted) and not torch.isclose(validation_loss, loss)


def test_training_moves_the_head_and_nothing_of_the_backbone(tmp_path: Path) -> None:
    module = tiny_module()
    module.network.head.eval()  # as build_network gives it
    before = copy.deepcopy(module.state_dict())
    modes: list[tuple[bool, bool]] = []

    class Modes(pl.Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            parts = pl_module.network.backbone.modules()
            modes.append((pl_module.network.head.training, any(part.training for part in parts)))

    trainer = tiny_trainer(tmp_path, max_epochs=12, callbacks=[Modes()], num_sanity_val_steps=1)
    trainer.fit(module, tiny_loader(4, shots=1), tiny_loader(2, seed=50))
    assert set(modes) == {(True, False)}  # also after validation
    after = module.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved == {name for name in after if name.startswith("network.head.")}
    first = tiny_module()
    losses = []
    for each in (first, module):
        each.eval()
        batch = tiny_batch(seed=0)
        logits = each.network(
            normalise(batch.query_image), normalise(batch.support_images), batch.support_masks
        )
        losses.append(segmentation_loss(logits, batch.query_mask).item())
    assert losses[1] < 0.8 * losses[0]


def test_optimizer_gets_the_head_only() -> None:
    module = tiny_module()
    optimizer = module.configure_optimizers()
    (group,) = optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in module.network.head.parameters()]


def test_module_without_an_optimizer_cannot_train() -> None:
    with pytest.raises(ConfigError, match="built without an optimizer"):
        tiny_module(optimizer=None).configure_optimizers()
    module = tiny_module()
    module.network.requires_grad_(False)
    with pytest.raises(ConfigError, match="no learnable parameter"):
        module.configure_optimizers()


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_scores_are_those_of_the_predictions(tmp_path: Path, stage: str) -> None:
    module, name = tiny_module(), {"validate": "val", "test": "test"}[stage]
    metric, loader = FewShotIoU((3, 7)), tiny_loader(3, shots=2)
    for batch in loader:
        mask = module.network.predict(
            normalise(batch.query_image), normalise(batch.support_images), batch.support_masks
        )
        metric.update(mask, batch.query_mask, batch.query_void, batch.class_id)
    trainer = tiny_trainer(tmp_path)
    (logged,) = getattr(trainer, stage)(module, loader, verbose=False)
    getattr(trainer, stage)(module, loader, verbose=False)  # starts from zero again
    assert module.scores == metric.compute()
    assert module.scores.miou > 0
    assert logged[f"{name}/miou"] == pytest.approx(module.scores.miou, rel=1e-6)
    assert logged[f"{name}/fb_iou"] == pytest.approx(module.scores.fb_iou, rel=1e-6)
    assert module.small_scores is not None
    assert sum(module.small_scores.episodes.values()) == 0  # every object here is large
    assert logged[f"{name}/miou_small"] == 0.0
    assert set(logged) == {f"{name}/{each}" for each in ("miou", "fb_iou", "miou_small", "loss")}


def test_small_objects_are_scored_apart(tmp_path: Path) -> None:
    batch = tiny_batch(batch=4, classes=(3, 3, 7, 7))
    mask = batch.query_mask.clone()
    mask[1:3] = False
    mask[1:3, 10, 10:14] = True  # 4 of 28 * 44 counted pixels
    module = tiny_module()
    for _ in range(2):  # the second time starts from zero
        tiny_trainer(tmp_path).validate(module, ready([batch._replace(query_mask=mask)]), verbose=False)
    assert module.small_scores is not None
    assert module.small_scores.episodes == {3: 1, 7: 1}


def test_evaluation_at_the_original_size(tmp_path: Path) -> None:
    module, batch = tiny_module(original_size=True), tiny_batch(shots=2)
    sizes = torch.tensor([(40, 30), (20, 60)])
    truth = torch.rand(2, 40, 60, generator=torch.Generator().manual_seed(3)) < 0.5
    void = torch.ones(2, 40, 60, dtype=torch.bool)
    metric = FewShotIoU((3, 7))
    logits = module.network(
        normalise(batch.query_image), normalise(batch.support_images), batch.support_masks
    )
    for index, (height, width) in enumerate(sizes.tolist()):
        void[index, :height, :width] = False
        resized = F.interpolate(logits[index], (height, width), mode="bilinear", align_corners=True)
        own_truth = truth[index : index + 1, :height, :width]
        metric.update(vote(resized[None]), own_truth, None, batch.class_id[index : index + 1])
    batch = batch._replace(query_mask=truth & ~void, query_void=void, query_size=sizes)
    (logged,) = tiny_trainer(tmp_path).test(module, ready([batch]), verbose=False)
    assert module.scores == metric.compute()
    assert "test/loss" not in logged
    with pytest.raises(DataError, match="original_size=True"):
        tiny_trainer(tmp_path).test(tiny_module(), ready([batch]), verbose=False)


def test_a_real_network_trains_and_is_scored(tmp_path: Path) -> None:
    network = hmseg.build_network("hsnet", "hybrid", "mobilenet_v2", "random")
    module = tiny_module(network=network)
    before = copy.deepcopy(network.head.state_dict())
    loaders = tiny_loader(1, size=(64, 64), batch=1), tiny_loader(1, size=(64, 64), shots=2)
    tiny_trainer(tmp_path, max_steps=1).fit(module, *loaders)
    after = network.head.state_dict()
    assert not [name for name in after if torch.equal(after[name], before[name])]
    assert module.scores is not None
    assert sum(module.scores.episodes.values()) == 2
