"""Whether exported files compute what the network computes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hmseg.deployment.formats import Runner
from hmseg.deployment.parts import Sizes, episode
from hmseg.errors import ExportError, first_line
from hmseg.networks import FewShotNetwork

TOLERANCE = 1e-4
"""Largest relative error ‖a - b‖ / ‖b‖ of the logits, as for the published code (REFERENCE section 13)."""


def relative_error(got: Tensor, wanted: Tensor) -> float:
    """‖got - wanted‖ / ‖wanted‖.

    Example:
        >>> relative_error(torch.tensor([3.0, 4.5]), torch.tensor([3.0, 4.0]))
        0.1
    """
    difference = torch.linalg.vector_norm(got.double() - wanted.double())
    return float(difference / torch.linalg.vector_norm(wanted.double()))


def check(network: FewShotNetwork, runners: Sequence[Runner], tried: Sequence[Sizes]) -> dict[str, float]:
    """The relative error of the logits for each of several episodes, against the network as it predicts.

    Args:
        network: in eval mode.
        runners: of the whole network, or of support encoder and query segmenter.
        tried: which episodes.

    Returns:
        By the episode in words.

    Raises:
        ExportError: a file can't be run with an episode, gives another shape, or is off by more than
            `TOLERANCE`.
    """
    return {str(sizes): _error(network, runners, sizes, seed) for seed, sizes in enumerate(tried)}


def _error(network: FewShotNetwork, runners: Sequence[Runner], sizes: Sizes, seed: int) -> float:
    query, images, masks = episode(sizes, seed)
    with torch.no_grad():
        wanted = network(query, images, masks)
    try:
        kept = (images, masks) if len(runners) == 1 else runners[0]((images, masks))
        (got,) = runners[-1]((query, *kept))
    except Exception as error:  # noqa: BLE001 - whatever the other program reports
        raise ExportError(f"the exported file can't be run with {sizes}: {first_line(error)}") from error
    if got.shape != wanted.shape:
        raise ExportError(
            f"with {sizes} the exported file gives logits of {tuple(got.shape)}, "
            f"the network of {tuple(wanted.shape)}"
        )
    off = relative_error(got, wanted)
    if not off < TOLERANCE:
        raise ExportError(
            f"the exported file's logits differ from the network's by {off:.1e} (relative; at most "
            f"{TOLERANCE:g}) with {sizes}: nothing was written"
        )
    return off
