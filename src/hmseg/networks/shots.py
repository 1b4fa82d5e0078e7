"""From the logits of K supports to one mask, and the other way: K supports as one (REFERENCE section 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from hmseg.errors import ConfigError, unknown

JOINED = "concat"
"""Not an aggregation of logits: the network joins the supports before its head, see ``join_shots``."""


def vote(logits: Tensor) -> Tensor:
    """The K-shot mask as published: each support votes with its own argmax. REFERENCE section 7.

    The votes are divided by the largest count in the image (at least 1); foreground is where the quotient
    reaches one half.

    Args:
        logits: (B, K, 2, H, W).

    Returns:
        (B, H, W) bool.

    Example:
        >>> background, foreground = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        >>> shots = torch.stack([background, foreground, foreground]).view(1, 3, 2, 1, 1)
        >>> vote(shots)
        tensor([[[True]]])
    """
    votes = (logits[:, :, 1] > logits[:, :, 0]).sum(dim=1)  # argmax, forty times as fast on a CPU
    most = votes.amax(dim=(1, 2), keepdim=True).clamp(min=1)
    return votes / most >= 0.5


def mean_logits(logits: Tensor) -> Tensor:
    """Foreground where the mean foreground logit is above the mean background logit.

    A confident support outweighs several doubtful ones, and nothing depends on the rest of the image, as the
    published vote does. For K = 1 it is the argmax.

    Args:
        logits: (B, K, 2, H, W).

    Returns:
        (B, H, W) bool.

    Example:
        >>> doubt, sure = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 9.0])
        >>> mean_logits(torch.stack([doubt, doubt, sure]).view(1, 3, 2, 1, 1))
        tensor([[[True]]])
    """
    mean = logits.mean(dim=1)
    return mean[:, 1] > mean[:, 0]


def mean_probability(logits: Tensor) -> Tensor:
    """Foreground where the mean of the supports' foreground probabilities is above one half.

    Like ``mean_logits``, but no support counts for more than 1. For K = 1 it is the argmax.

    Args:
        logits: (B, K, 2, H, W).

    Returns:
        (B, H, W) bool.

    Example:
        >>> doubt, sure = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 9.0])
        >>> mean_probability(torch.stack([doubt, doubt, sure]).view(1, 3, 2, 1, 1))
        tensor([[[True]]])
    """
    if logits.shape[1] == 1:  # as a sigmoid rounds, a tiny margin would be a tie
        return mean_logits(logits)
    # The two probabilities add up to one, so a sigmoid of the margin is the softmax's second entry.
    return (logits[:, :, 1] - logits[:, :, 0]).sigmoid().mean(dim=1) > 0.5


AGGREGATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "vote": vote,
    "mean_logits": mean_logits,
    "mean_probability": mean_probability,
    JOINED: vote,  # the network gives one set of logits for all supports
}


def find_aggregation(name: str) -> Callable[[Tensor], Tensor]:
    """From logits (B, K, 2, H, W) to a mask (B, H, W), by name.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in AGGREGATIONS:
        raise ConfigError(unknown("aggregation", name, AGGREGATIONS))
    return AGGREGATIONS[name]


def join(maps: Tensor, shots: int) -> Tensor:
    """The K maps of an image side by side, as one wide support.

    Args:
        maps: (B * K, …, h, w), the shots of an image next to each other.
        shots: K.

    Returns:
        (B, …, h, K * w); ``maps`` itself for one shot.

    Example:
        >>> join(torch.tensor([[[1.0]], [[2.0]]]), shots=2)
        tensor([[[1., 2.]]])
    """
    if shots == 1:
        return maps
    per_image = maps.reshape(-1, shots, *maps.shape[1:])
    return torch.movedim(per_image, 1, -2).flatten(-2)  # (B, …, h, K, w) -> (B, …, h, K * w)


def join_levels(levels: Mapping[int, Sequence[Tensor]], shots: int) -> dict[int, list[Tensor]]:
    """``join`` for every map of a pyramid."""
    return {level: [join(each, shots) for each in maps] for level, maps in levels.items()}
