"""Training and evaluation of a few-shot network under Lightning (REFERENCE sections 7, 8 and 11)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from hmseg.data.episode import Episode
from hmseg.data.transforms import normalise
from hmseg.episode_table import COLUMNS, episode_rows
from hmseg.errors import ConfigError, HmsegError, unknown
from hmseg.functional import foreground_iou, resize_and_vote, segmentation_loss
from hmseg.metrics import SMALL_OBJECT, FewShotIoU, Scores
from hmseg.metrics_by_seed import IoUBySeed
from hmseg.networks import FewShotNetwork
from hmseg.networks.shots import find_aggregation, vote
from hmseg.run_checkpoints import fingerprint, pack, plain, unpack
from hmseg.weights import KEPT

OptimizerFactory = Callable[[Iterable[Parameter]], Optimizer]
VOID_IN_LOSS = ("background", "ignore")


class SegmentationModule(pl.LightningModule):
    """Trains the head of a network on episodes and scores it on the classes of a held-out fold.

    Logs ``train/loss`` and ``train/iou`` at each step, ``train/loss_epoch`` and ``train/iou_epoch``, and for
    validation and test ``…/miou``, ``…/fb_iou``, ``…/miou_small`` and (at the network's size) ``…/loss``.
    IoUs are in percent. Nothing in a step waits for the device.

    Args:
        network: backbone, masking and head.
        optimizer: makes the optimiser from the learnable parameters; None where nothing is trained.
        classes: class ids that validation scores, and the test too unless it has others.
        config: the run's configuration as plain data, kept in each checkpoint.
        original_size: evaluate each query at its own size, which the batch's query masks must then have.
        test_classes: class ids that the test scores; None: ``classes``.
        test_lists: how many lists of episodes, each of its own seed, the test has, and how long each is:
            they are then scored one by one, too. None for one list.
        void_in_loss: void pixels in training are ``background``, as published, or left out (``ignore``).
        aggregation: how the logits of several supports become one mask: ``vote`` (published) or another of
            ``hmseg.networks.shots``.

    Attributes:
        scores: of the last complete validation or test; None before.
        small_scores: of its episodes with a small query object (below 2 % of the image).
        scores_by_seed: of each list of the last complete test, where there were several; else empty.
        tested: rows (``hmseg.episode_table``) of episodes that a test begins with, as tested before.

    Raises:
        ConfigError: the configuration is not plain data, or an unknown ``void_in_loss``.
    """

    def __init__(
        self,
        network: FewShotNetwork,
        optimizer: OptimizerFactory | None,
        classes: Sequence[int],
        config: Mapping[str, Any] | None = None,
        original_size: bool = False,
        test_classes: Sequence[int] | None = None,
        test_lists: tuple[int, int] | None = None,
        void_in_loss: str = "background",
        aggregation: str = "vote",
    ) -> None:
        super().__init__()
        if void_in_loss not in VOID_IN_LOSS:
            raise ConfigError(unknown("void_in_loss", void_in_loss, VOID_IN_LOSS))
        self.network = network
        self.config = plain(config)
        self.original_size = original_size
        self.void_in_loss = void_in_loss
        self._aggregate = find_aggregation(aggregation)
        self.tested: Tensor | None = None
        self._rows: list[Tensor] = []  # of this device, since they were last taken
        tested = classes if test_classes is None else test_classes
        self.iou, self.small_iou = FewShotIoU(classes), FewShotIoU(classes)
        self.test_iou, self.small_test_iou = FewShotIoU(tested), FewShotIoU(tested)
        self.iou_by_seed = None if test_lists is None else IoUBySeed(tested, *test_lists)
        self.scores_by_seed: tuple[Scores, ...] = ()
        self._stage = "val"  # the evaluation going on
        self._loss, self._losses = torch.zeros(()), 0  # its sum over episodes, and how many
        self._finite = torch.ones(())  # 0 as soon as its logits were NaN or infinite on this device
        self.scores: Scores | None = None
        self.small_scores: Scores | None = None
        self._optimizer_factory = optimizer
        self._fingerprint: str | None = None

    # Training

    def configure_optimizers(self) -> Optimizer:
        """The optimiser over the parameters that take a gradient: the head's, never the backbone's."""
        if self._optimizer_factory is None:
            raise ConfigError("this module was built without an optimizer: give one to train it")
        learnable = [each for each in self.network.parameters() if each.requires_grad]
        if not learnable:
            raise ConfigError("the network has no learnable parameter: there is nothing to train")
        return self._optimizer_factory(learnable)

    def setup(self, stage: str) -> None:
        """Takes the backbone's fingerprint before a reduced precision can round its weights."""
        if stage == "fit":
            self.backbone_fingerprint()

    def on_fit_start(self) -> None:
        """Puts the head into training mode: networks are built in eval mode, and Lightning leaves it so."""
        self.train()
        # The frozen backbone is meant to be in eval mode, which Lightning takes for a mistake.
        warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")

    def training_step(self, batch: Episode, batch_idx: int) -> Tensor:
        """Loss of a batch of episodes."""
        logits = self._logits(batch)
        void = batch.query_void if self.void_in_loss == "ignore" else None
        loss = segmentation_loss(logits, batch.query_mask, void)
        values = {"loss": loss.detach(), "iou": foreground_iou(vote(logits.detach()), batch.query_mask)}
        # Apart, because Lightning would otherwise synchronise the devices at each step for the epoch's mean.
        # Not prog_bar: Lightning would wait for the device at each step. RunProgress reads them as it draws.
        step = {f"train/{name}": value for name, value in values.items()}
        epoch = {f"train/{name}_epoch": value for name, value in values.items()}
        size = len(batch.query_image)
        self.log_dict(step, on_step=True, on_epoch=False, batch_size=size)
        self.log_dict(epoch, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss

    # Evaluation

    def on_validation_epoch_start(self) -> None:
        """Starts the sums again."""
        self._start("val")
        self.iou.reset()
        self.small_iou.reset()

    def validation_step(self, batch: Episode, batch_idx: int) -> None:
        """Adds a batch to the scores."""
        self._score(batch, "val")

    def on_validation_epoch_end(self) -> None:
        """Logs the scores over all devices."""
        self._log_scores("val")

    def on_test_epoch_start(self) -> None:
        """Starts the sums again."""
        self._start("test")
        self.test_iou.reset()
        self.small_test_iou.reset()
        if self.iou_by_seed is not None:
            self.iou_by_seed.reset()
        self._rows = []
        if self.tested is not None and len(self.tested) and self.trainer.is_global_zero:
            self._count(self.tested.to(self.device), "test")

    def test_step(self, batch: Episode, batch_idx: int) -> None:
        """Adds a batch to the scores."""
        self._score(batch, "test")

    def on_test_epoch_end(self) -> None:
        """Logs the scores over all devices."""
        self._log_scores("test")

    def predict(self, batch: Episode) -> Tensor:
        """(B, H, W) masks of the queries at the network's size, from all supports together."""
        return self._aggregate(self._logits(batch))

    def running_scores(self) -> Scores | None:
        """Scores of what this device has seen of the evaluation going on; waits for the device."""
        metric, _ = self._metrics(self._stage)
        return metric.local() if metric.update_called else None

    def check_finite(self) -> None:
        """Ends an evaluation whose logits were NaN or infinite on this device; waits for the device.

        Raises:
            HmsegError: some were.
        """
        if not self._finite:
            where = f"validation (step {self.trainer.global_step})" if self._stage == "val" else "test"
            raise HmsegError(
                f"the network's logits became NaN or infinite in the {where}: its training diverged (lower "
                "optimizer.lr, set trainer.gradient_clip_val, take an earlier checkpoint), or it needs "
                "trainer.precision=32-true"
            )

    def take_rows(self) -> Tensor:
        """(N, 8) rows of the episodes tested since this was last called; on the device."""
        rows, self._rows = self._rows, []
        return torch.cat(rows) if rows else torch.empty(0, len(COLUMNS), dtype=torch.int64)

    def _score(self, batch: Episode, stage: str) -> None:
        mask, void, logits = batch.query_mask, batch.query_void, self._logits(batch)
        self._finite = self._finite * logits.isfinite().all()
        if self.original_size:
            sizes = [(height, width) for height, width in batch.query_size.tolist()]
            prediction = resize_and_vote(logits, sizes, (mask.shape[-2], mask.shape[-1]), self._aggregate)
        else:
            loss = segmentation_loss(logits, mask, void)
            self._loss = self._loss + len(batch.query_image) * loss.detach()
            self._losses += len(batch.query_image)
            prediction = self._aggregate(logits)
        rows = episode_rows(batch.index, batch.class_id, prediction, mask, void)
        self._count(rows, stage)
        if stage == "test":
            self._rows.append(rows)

    def _start(self, stage: str) -> None:
        """Of an evaluation: no loss of any episode yet."""
        self._stage = stage
        self._loss, self._losses = torch.zeros((), device=self.device), 0
        self._finite = torch.ones((), device=self.device)

    def _count(self, rows: Tensor, stage: str) -> None:
        """Adds rows of episodes to the sums."""
        index, class_id, foreground, counted = rows[:, :4].unbind(dim=1)
        intersection, union = rows[:, 4::2], rows[:, 5::2]  # (B, 2) each
        overall, few = self._metrics(stage)
        overall.add(class_id, intersection, union)
        few.add(class_id, intersection, union, include=foreground < SMALL_OBJECT * counted)
        if stage == "test" and self.iou_by_seed is not None:
            self.iou_by_seed.add_at(index, class_id, intersection, union)

    def _metrics(self, stage: str) -> tuple[FewShotIoU, FewShotIoU]:
        """Of all episodes, and of those with a small query object."""
        return (self.iou, self.small_iou) if stage == "val" else (self.test_iou, self.small_test_iou)

    def _log_scores(self, stage: str) -> None:
        self._finite = self.trainer.strategy.reduce(self._finite, reduce_op="min")
        self.check_finite()
        overall, few = self._metrics(stage)
        self.scores, self.small_scores = overall.compute(), few.compute()
        if stage == "test" and self.iou_by_seed is not None:
            self.scores_by_seed = self.iou_by_seed.compute()
        values = {
            f"{stage}/miou": self.scores.miou,
            f"{stage}/fb_iou": self.scores.fb_iou,
            f"{stage}/miou_small": self.small_scores.miou_seen,
        }
        if self._losses:
            # Not by Lightning's own mean: it cuts the mean number of episodes of a device to a whole one.
            sums = torch.stack((self._loss, self._loss.new_tensor(float(self._losses))))
            loss, count = self.trainer.strategy.reduce(sums, reduce_op="sum")
            values[f"{stage}/loss"] = loss / count
        # The values are those of all devices already; sync_dist only tells Lightning so.
        self.log_dict(values, batch_size=1, sync_dist=True)

    def _logits(self, batch: Episode) -> Tensor:
        query, supports = normalise(batch.query_image), normalise(batch.support_images)
        logits: Tensor = self.network(query, supports, batch.support_masks)
        return logits

    # Checkpoints

    def backbone_fingerprint(self) -> str:
        """Fingerprint of the backbone's weights, taken once."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.network.backbone)
        return self._fingerprint

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leaves out a backbone that can be had again; adds configuration, fingerprint and versions."""
        pack(checkpoint, self.network.backbone.weights_origin, self.backbone_fingerprint(), self.config)

    def on_load_checkpoint(self, checkpoint: MutableMapping[str, Any]) -> None:
        """Puts the backbone back; CheckpointError when the checkpoint is of another model or backbone."""
        origin = self.network.backbone.weights_origin
        unpack(checkpoint, self.state_dict(), origin, self.backbone_fingerprint)
        if origin in KEPT:  # the checkpoint brings its own
            self._fingerprint = None

    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Loads the weights of a checkpoint outside a Trainer; the mapping itself is left as it is.

        Args:
            checkpoint: as ``hmseg.run_checkpoints.read_checkpoint`` gives it.

        Raises:
            CheckpointError: it is of another model or backbone.
        """
        copy = dict(checkpoint)
        self.on_load_checkpoint(copy)
        self.load_state_dict(copy["state_dict"])
