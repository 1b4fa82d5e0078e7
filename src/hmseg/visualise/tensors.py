"""From an `Episode`'s tensors to arrays that can be drawn."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from hmseg.baselines import Predictor
from hmseg.data.episode import Episode
from hmseg.data.transforms import normalise, resize_pixels
from hmseg.errors import ConfigError, DataError
from hmseg.networks import FewShotNetwork
from hmseg.visualise.pictures import Floats, Mask, Pixels


def one_of(batch: Episode, place: int = 0) -> Episode:
    """The episode at ``place`` of a batch."""
    return Episode(*(part[place] for part in batch))


def pixels(image: Tensor) -> Pixels:
    """(3, H, W) uint8 as (H, W, 3)."""
    array: Pixels = image.permute(1, 2, 0).cpu().numpy()
    return array


def check_single(episode: Episode) -> Episode:
    """The episode itself.

    Raises:
        DataError: it is a batch.
    """
    if episode.query_image.ndim != 3:
        raise DataError(
            f"the query is of shape {tuple(episode.query_image.shape)}, (3, H, W) was expected: give one "
            "episode; hmseg.visualise.one_of(batch, 0) takes it out of a batch"
        )
    return episode


def support(episode: Episode, shot: int) -> tuple[Pixels, Mask]:
    """Image (H, W, 3) and mask (H, W) of one support.

    Raises:
        DataError: the episode has fewer supports, or it is a batch.
    """
    shots = len(check_single(episode).support_images)
    if not 0 <= shot < shots:
        raise DataError(f"support {shot} was asked for, the episode has {shots}: give 0 to {shots - 1}")
    mask: Mask = episode.support_masks[shot].cpu().numpy() > 0
    return pixels(episode.support_images[shot]), mask


def query_and_truth(episode: Episode) -> tuple[Pixels, Mask, Mask]:
    """Query (H, W, 3), truth and void (H, W), all at the truth's size, without a batch's padding."""
    image = pixels(check_single(episode).query_image)
    truth, void = episode.query_mask.cpu().numpy() > 0, episode.query_void.cpu().numpy() > 0
    if truth.shape == image.shape[:2]:
        return image, truth, void
    height, width = map(int, episode.query_size)
    return resize_pixels(image, (height, width)), truth[:height, :width], void[:height, :width]


@torch.no_grad()
def predicted(network: Predictor, episode: Episode) -> Mask:
    """The network's mask (H, W) of an episode, at the network's size, on the network's device.

    Raises:
        DataError: a batch came.
    """
    check_single(episode)
    device = device_of(network)
    query, supports = (
        normalise(each[None].to(device)) for each in (episode.query_image, episode.support_images)
    )
    mask: Mask = network.predict(query, supports, episode.support_masks[None].to(device))[0].cpu().numpy() > 0
    return mask


def point_inside(mask: Mask) -> tuple[int, int]:
    """The (x, y) that lies deepest inside a mask; the image's middle for an empty one.

    Example:
        >>> mask = np.zeros((9, 9), dtype=bool)
        >>> mask[2:7, 3:8] = True
        >>> point_inside(mask)
        (5, 4)
    """
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    if not mask.any():
        return mask.shape[1] // 2, mask.shape[0] // 2
    row, column = np.unravel_index(int(depth.argmax()), mask.shape)
    return int(column), int(row)


def iou(mask: Mask, truth: Mask, void: Mask | None = None) -> float:
    """Foreground IoU in percent, void left out; 0 where there is nothing at all.

    Example:
        >>> iou(np.array([True, True, False]), np.array([True, False, False]))
        50.0
    """
    counted = np.ones_like(truth) if void is None else ~void
    both, either = (mask & truth & counted).sum(), ((mask | truth) & counted).sum()
    return float(100 * both / max(either, 1))


def device_of(network: object) -> torch.device:
    """Where a network's parameters are; the CPU for what has none."""
    parameters = network.parameters() if isinstance(network, torch.nn.Module) else iter(())
    first = next(parameters, None)
    return torch.device("cpu") if first is None else first.device


def support_tensors(network: FewShotNetwork, support: Pixels, mask: Mask) -> tuple[Tensor, Tensor]:
    """Normalised (1, 3, H, W) and float (1, H, W), on the network's device; raises DataError."""
    if support.ndim != 3 or support.shape[2] != 3 or support.dtype != np.uint8:
        raise DataError(f"the support is {support.dtype} of shape {support.shape}: expected uint8, (H, W, 3)")
    if mask.shape != support.shape[:2] or mask.dtype != np.bool_:
        raise DataError(
            f"the mask is {mask.dtype} of shape {mask.shape}: expected bool of the "
            f"support's {support.shape[:2]}"
        )
    device = device_of(network)
    image = normalise(tensor(support)).to(device)
    return image[None], torch.from_numpy(mask.copy())[None].to(device, torch.float32)


def tensor(image: Pixels) -> Tensor:
    """(H, W, 3) -> (3, H, W), a copy: the array may be read-only."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)


def support_levels(network: FewShotNetwork) -> list[int]:
    """Whose support maps the head takes, deepest first."""
    return [level for level in network.head.levels if level not in network.head.query_only]


def check_level(network: FewShotNetwork, level: int) -> None:
    """Refuse a level at which the head doesn't look at supports; raises ConfigError."""
    if level not in (levels := support_levels(network)):
        raise ConfigError(
            f"level {level} was asked for, but {type(network.head).__name__} looks at supports at the levels "
            f"{', '.join(map(str, sorted(levels)))}"
        )


def mean(planes: Sequence[Tensor]) -> Floats:
    """Of L planes (1, h, w): (h, w)."""
    mean: Floats = torch.cat(list(planes)).mean(dim=0).float().cpu().numpy()
    return mean
