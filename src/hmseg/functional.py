"""What training and evaluation compute from logits: loss, batch IoU, votes at the query's own size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hmseg.errors import DataError
from hmseg.metrics import intersections_and_unions
from hmseg.networks import vote

IGNORED = -100  # cross_entropy's own default for pixels that do not count


def segmentation_loss(logits: Tensor, mask: Tensor, void: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of background and foreground over all pixels that count and all shots.

    In training every pixel counts and void ones are background, as published (REFERENCE section 8): leave
    ``void`` out then.

    Args:
        logits: (B, K, 2, H, W).
        mask: (B, H, W) bool, true on the foreground.
        void: (B, H, W) bool, pixels to leave out; None for none.

    Returns:
        () float; 0 where no pixel counts.

    Raises:
        DataError: the mask is not of the logits' size.

    Example:
        >>> mask = torch.tensor([[[True, False]]])
        >>> round(segmentation_loss(torch.zeros(1, 3, 2, 1, 2), mask).item(), 4)  # log 2: no idea
        0.6931
    """
    batch, shots, _, *size = logits.shape
    if mask.shape != (batch, *size):
        raise DataError(
            f"query masks have the shape {tuple(mask.shape)}, the logits {tuple(logits.shape)}: the same "
            "height and width were expected; original-size masks are for evaluation with original_size=True"
        )
    target = mask.long() if void is None else mask.long().masked_fill(void, IGNORED)
    per_shot = target[:, None].expand(batch, shots, *size).flatten(0, 1)  # (B*K, H, W)
    total = F.cross_entropy(logits.flatten(0, 1), per_shot, ignore_index=IGNORED, reduction="sum")
    return total / (per_shot != IGNORED).sum().clamp(min=1)


def foreground_iou(prediction: Tensor, mask: Tensor) -> Tensor:
    """Foreground IoU in percent over all images of a batch together; () float, 0 where there is none.

    Example:
        >>> foreground_iou(torch.tensor([[[1, 1, 0]]]), torch.tensor([[[0, 1, 0]]]))
        tensor(50.)
    """
    intersection, union = (counts[:, 1].sum() for counts in intersections_and_unions(prediction, mask))
    return 100 * intersection / union.clamp(min=1)


def resize_and_vote(
    logits: Tensor,
    sizes: Sequence[tuple[int, int]],
    padded: tuple[int, int],
    aggregate: Callable[[Tensor], Tensor] = vote,
) -> Tensor:
    """The K-shot mask of each query at its own size (REFERENCE section 7, original-size evaluation).

    Args:
        logits: (B, K, 2, H, W).
        sizes: height and width of each of the B queries before any resizing.
        padded: height and width of the result, at least the largest of ``sizes``.
        aggregate: from logits (B, K, 2, H, W) to masks (B, H, W); published: the vote.

    Returns:
        (B, *padded) bool; each mask in the upper left corner, false beyond it.

    Raises:
        DataError: a query is larger than ``padded``.

    Example:
        >>> logits = torch.tensor([0.0, 1.0]).view(1, 1, 2, 1, 1).expand(1, 1, 2, 4, 4)
        >>> resize_and_vote(logits, [(1, 2)], (2, 3)).int().tolist()
        [[[1, 1, 0], [0, 0, 0]]]
    """
    result = torch.zeros(len(logits), *padded, dtype=torch.bool, device=logits.device)
    for each, (height, width), mask in zip(logits, sizes, result, strict=True):
        if height > padded[0] or width > padded[1]:
            raise DataError(
                f"a query of {height} x {width} does not fit its mask of {padded[0]} x {padded[1]}: "
                "original-size evaluation needs original-size masks, EpisodeDataset(original_size=True)"
            )
        own_size = F.interpolate(each, size=(height, width), mode="bilinear", align_corners=True)
        mask[:height, :width] = aggregate(own_size[None])[0]
    return result
