"""Episodes in pictures, for W&B with masks that can be switched on and off, for TensorBoard side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hmseg.data.episode import Episode
from hmseg.visualise.pictures import with_mask

Pixels = NDArray[np.uint8]
_MEANINGS = {0: "background", 1: "object", 2: "not counted"}
_TRUTH, _PREDICTION = "#e6c229", "#23935a"


@dataclass(frozen=True)
class Shown:
    """One episode as it is shown.

    Attributes:
        position: in the list of validation episodes.
        name: of its class.
        support: (h, w, 3), the first one.
        support_mask: (h, w), 1 on the object.
        query: (h, w, 3).
        truth: (h, w), 1 on the object, 2 where pixels don't count.
        prediction: (h, w), 1 on the object.
        iou: of the object at full size, void left out, in percent.
    """

    position: int
    name: str
    support: Pixels
    support_mask: Pixels
    query: Pixels
    truth: Pixels
    prediction: Pixels
    iou: float


def shown(episode: Episode, prediction: Tensor, names: Sequence[str], side: int) -> Shown:
    """An episode and what a network makes of it.

    Args:
        episode: a batch of one.
        prediction: (1, H, W), 1 on the object.
        names: of classes, by id.
        side: of the pictures in pixels at most.
    """
    found, truth = prediction[0].cpu().numpy() != 0, episode.query_mask[0].cpu().numpy()
    void = episode.query_void[0].cpu().numpy()
    inter, union = (found & truth & ~void).sum(), ((found | truth) & ~void).sum()
    return Shown(
        position=int(episode.index[0]),
        name=names[int(episode.class_id[0])],
        support=_image(episode.support_images[0, 0], side),
        support_mask=_mask(episode.support_masks[0, 0].cpu().numpy(), side),
        query=_image(episode.query_image[0], side),
        truth=_mask(np.where(void, 2, truth), side),
        prediction=_mask(found, side),
        iou=float(100 * inter / max(1, union)),
    )


def wandb_table(rows: Sequence[Shown], epoch: int) -> Any:
    """A W&B table: epoch, episode, class, support and query with their masks, IoU."""
    import wandb

    classes = [{"id": value, "name": name} for value, name in _MEANINGS.items()]

    def picture(image: Pixels, **masks: Pixels) -> Any:
        drawn = {name: {"mask_data": mask, "class_labels": _MEANINGS} for name, mask in masks.items()}
        return wandb.Image(image, masks=drawn, classes=classes, file_type="jpg")

    data = [
        [
            epoch,
            one.position,
            one.name,
            picture(one.support, mask=one.support_mask),
            picture(one.query, truth=one.truth, prediction=one.prediction),
            one.iou,
        ]
        for one in rows
    ]
    return wandb.Table(columns=["epoch", "episode", "class", "support", "query", "IoU"], data=data)


def strip(one: Shown) -> Pixels:
    """(h, 4 w, 3): support, query, truth, prediction side by side."""
    void = one.truth == 2
    return np.concatenate(
        (
            with_mask(one.support, one.support_mask == 1, _TRUTH),
            one.query,
            with_mask(one.query, one.truth == 1, _TRUTH, void),
            with_mask(one.query, one.prediction == 1, _PREDICTION, void),
        ),
        axis=1,
    )


def _image(image: Tensor, side: int) -> Pixels:
    picture = Image.fromarray(image.permute(1, 2, 0).cpu().numpy())
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _mask(mask: NDArray[Any], side: int) -> Pixels:
    """The same size as the picture of an image of this size."""
    picture = Image.fromarray(mask.astype(np.uint8))
    picture.thumbnail((side, side), Image.Resampling.NEAREST)
    return np.asarray(picture)
