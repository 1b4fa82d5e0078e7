"""Options of the LightningModule: classes of the test alone, several lists of episodes, void in the loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hmseg.errors import ConfigError
from hmseg.functional import segmentation_loss
from tiny import LIGHTNING_WARNINGS, ready, tiny_batch, tiny_loader, tiny_module, tiny_trainer

pytestmark = LIGHTNING_WARNINGS


def test_void_may_be_left_out_of_the_loss() -> None:
    batch = tiny_batch(shots=2)
    losses = {}
    for option in ("background", "ignore"):
        module = tiny_module(void_in_loss=option)
        module.log_dict = lambda *args, **options: None  # type: ignore[method-assign]
        logits = module._logits(batch)
        void = batch.query_void if option == "ignore" else None
        losses[option] = module.training_step(batch, 0).item()
        assert losses[option] == pytest.approx(segmentation_loss(logits, batch.query_mask, void).item())
    assert losses["background"] != losses["ignore"]
    with pytest.raises(ConfigError, match="unknown void_in_loss 'ignored': did you mean 'ignore'"):
        tiny_module(void_in_loss="ignored")


def test_validation_and_test_have_classes_of_their_own(tmp_path: Path) -> None:
    module = tiny_module(test_classes=(5, 11, 2))
    trainer = tiny_trainer(tmp_path)
    trainer.validate(module, tiny_loader(3), verbose=False)
    assert module.scores is not None and set(module.scores.per_class) == {3, 7}
    assert sum(module.running_scores().episodes.values()) == 6  # type: ignore[union-attr]
    trainer.test(module, tiny_loader(2, classes=(5, 11)), verbose=False)
    assert set(module.scores.per_class) == {5, 11, 2} and module.scores.episodes[2] == 0
    assert sum(module.running_scores().episodes.values()) == 4  # type: ignore[union-attr]
    assert module.scores_by_seed == ()


def test_each_list_of_the_test_is_scored(tmp_path: Path) -> None:
    batches = [
        tiny_batch(seed=seed)._replace(index=torch.tensor([2 * seed, 2 * seed + 1])) for seed in range(3)
    ]
    module = tiny_module(test_lists=(2, 3))  # six episodes, three of each seed
    tiny_trainer(tmp_path).test(module, ready(batches), verbose=False)
    assert [sum(scores.episodes.values()) for scores in module.scores_by_seed] == [3, 3]
    alone = tiny_module()
    first = [batches[0], batches[1]._make(tensor[:1] for tensor in batches[1])]
    tiny_trainer(tmp_path).test(alone, ready(first), verbose=False)
    assert module.scores_by_seed[0] == alone.scores
    assert set(module.state_dict()) == set(alone.state_dict())  # nothing of it is kept in checkpoints
