"""A network, episodes and a module small enough to train in a moment, built of the real parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from hmseg.backbones import Backbone, FeatureInfo
from hmseg.data.episode import Episode
from hmseg.masking import build_masking
from hmseg.module import SegmentationModule
from hmseg.networks import FewShotNetwork, Head

LIGHTNING_WARNINGS = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),  # Lightning 2.6 under PyTorch 2.11
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),  # loaders of a few ready batches
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),  # a run goes on in its own folder
    pytest.mark.filterwarnings("ignore:.*have no `val_dataloader`"),
]
"""What Lightning says about these small runs and is no concern of ours."""


class TinyBackbone(Backbone):
    """Four maps at strides 4, 8, 8 and 16; with batch norm, whose statistics must never move."""

    def __init__(self, seed: int = 0, origin: str = "file") -> None:
        super().__init__()
        self.feature_info = tuple(
            FeatureInfo(*each) for each in ((2, 4, 4), (3, 6, 8), (3, 6, 8), (4, 8, 16))
        )
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.BatchNorm2d(4))
        self.middle = nn.Conv2d(4, 6, 2, stride=2)
        self.deep = nn.Conv2d(6, 8, 2, stride=2)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        self.weights_origin = origin
        self.freeze()

    def maps(self, images: Tensor) -> Iterator[Tensor]:
        shallow = self.stem(images)
        middle = self.middle(shallow)
        yield from (shallow, middle, middle.tanh(), self.deep(middle))


class TinyHead(Head):
    """Logits from the deepest query map and the mean of the support's; enough to learn something."""

    levels = (4,)

    def __init__(self, width: int = 8, seed: int = 0) -> None:
        super().__init__()
        self.mix = nn.Conv2d(16, width, 1)
        self.last = nn.Conv2d(width, 2, 1)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)

    def forward(self, query: Any, support: Any, support_masks: Tensor) -> Tensor:
        shots = len(support_masks) // len(query[4][0])
        asked = query[4][0].repeat_interleave(shots, dim=0)
        shown = support[4][0].mean(dim=(2, 3), keepdim=True).expand_as(asked)
        logits: Tensor = self.last(self.mix(torch.cat((asked, shown), dim=1)).relu())
        return logits


def tiny_network(seed: int = 0, origin: str = "file", width: int = 8) -> FewShotNetwork:
    """A network whose backbone counts as one that can be had again (``origin`` "file")."""
    return FewShotNetwork(TinyBackbone(seed, origin), build_masking("none"), TinyHead(width)).eval()


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=1e-2)


def tiny_module(**options: Any) -> SegmentationModule:
    """A module over `tiny_network`; ``network``, ``optimizer``, ``classes`` and the rest may be given."""
    options = {"network": tiny_network(), "optimizer": adam, "classes": (3, 7), **options}
    return SegmentationModule(**options)


def tiny_batch(
    seed: int = 0,
    batch: int = 2,
    shots: int = 1,
    size: tuple[int, int] = (32, 48),
    classes: Sequence[int] = (3, 7),
) -> Episode:
    """Noise images with a bright rectangle as the object, and a void frame of two pixels."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size

    def pictures(count: int) -> tuple[Tensor, Tensor]:
        images = torch.randint(0, 90, (count, 3, height, width), generator=generator, dtype=torch.uint8)
        masks = torch.zeros(count, height, width, dtype=torch.bool)
        for image, mask in zip(images, masks, strict=True):
            top, left = (int(torch.randint(2, side // 2, (), generator=generator)) for side in size)
            mask[top : top + height // 3, left : left + width // 3] = True
            image[:, mask] += 150
        return images, masks

    query_images, query_masks = pictures(batch)
    support_images, support_masks = pictures(batch * shots)
    void = torch.ones(batch, height, width, dtype=torch.bool)
    void[:, 2:-2, 2:-2] = False
    return Episode(
        query_image=query_images,
        query_mask=query_masks & ~void,
        query_void=void,
        support_images=support_images.unflatten(0, (batch, shots)),
        support_masks=support_masks.unflatten(0, (batch, shots)),
        class_id=torch.tensor([classes[(seed + index) % len(classes)] for index in range(batch)]),
        query_size=torch.tensor([size] * batch),
        index=torch.arange(batch),
    )


def tiny_loader(batches: int = 4, seed: int = 0, **options: Any) -> DataLoader[Episode]:
    """Ready-made batches in a fixed order."""
    return ready([tiny_batch(seed=seed + index, **options) for index in range(batches)])


def ready(batches: list[Episode]) -> DataLoader[Episode]:
    """A loader of batches that are made already."""
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def tiny_trainer(folder: Path, **options: Any) -> pl.Trainer:
    """A quiet Trainer on the CPU; options as for ``pl.Trainer``."""
    quiet = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "default_root_dir": folder,
    }
    return pl.Trainer(**{**quiet, **options})
