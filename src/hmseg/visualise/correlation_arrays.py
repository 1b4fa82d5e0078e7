"""How much a point of the query resembles the positions of a support, as arrays."""

from __future__ import annotations

import torch

from hmseg.correlation import correlate
from hmseg.data.transforms import normalise
from hmseg.errors import DataError
from hmseg.masking import Masking
from hmseg.networks import FewShotNetwork
from hmseg.networks.fewshot import Levels
from hmseg.visualise.pictures import Floats, Mask, Pixels
from hmseg.visualise.tensors import check_level, device_of, mean, support_tensors, tensor


@torch.no_grad()
def correlation_maps(
    network: FewShotNetwork,
    query: Pixels,
    support: Pixels,
    mask: Mask,
    point: tuple[int, int],
    masking: Masking | None = None,
) -> dict[int, Floats]:
    """How much one point of the query resembles each position of the masked support, level by level.

    Clamped cosine similarity (`hmseg.correlation.correlate`), mean over the maps of a level: a row of the
    hypercorrelation that the head is given.

    Args:
        network: gives backbone and head.
        query: (H, W, 3) uint8, at the size at which the network is to see it.
        support: (H', W', 3) uint8, likewise.
        mask: (H', W') bool, of the support.
        point: (x, y) in the query's pixels, from its upper left corner.
        masking: of the support; None: the network's own.

    Returns:
        By level, deepest first, (h, w) in [0, 1].

    Raises:
        DataError: the point is outside the query, or image and mask don't fit.
    """
    x, y = point
    height, width = query.shape[:2]
    if not (0 <= x < width and 0 <= y < height):
        raise DataError(
            f"the point ({x}, {y}) is outside the query: expected x from 0 to {width - 1} and y from 0 to "
            f"{height - 1}"
        )
    images, masks = support_tensors(network, support, mask)
    asked = normalise(tensor(query)).to(device_of(network))[None]
    if masking is not None:  # the same parts, another masking between them
        network = FewShotNetwork(network.backbone, masking, network.head, network.pass_pixels)
    query_maps, support_maps = network.encode(asked, images, masks)
    return point_maps(query_maps, support_maps, point, (height, width))


@torch.no_grad()
def point_maps(
    query: Levels, support: Levels, point: tuple[int, int], size: tuple[int, int]
) -> dict[int, Floats]:
    """As `correlation_maps`, of maps that are known already: many points for one pass of the backbone.

    Args:
        query: maps (1, C, hq, wq) by level.
        support: masked maps (1, C, hs, ws) by level; a level without any is left out.
        point: (x, y) in the query's pixels.
        size: height and width of the query.

    Returns:
        By level, in the order of ``support``, (hs, ws) in [0, 1].
    """
    found: dict[int, Floats] = {}
    for level, maps in support.items():
        rows = []
        masked = maps[: len(query[level])]  # unmasked ones may follow
        for q, s in zip(query[level], masked, strict=bool(maps)):
            row, column = position_of(point, size, (q.shape[2], q.shape[3]))
            rows.append(correlate(q[:, :, row, column, None, None], s)[:, 0, 0])  # (1, h, w)
        if rows:
            found[level] = mean(rows)
    return found


def correlation_map(
    network: FewShotNetwork,
    query: Pixels,
    support: Pixels,
    mask: Mask,
    point: tuple[int, int],
    level: int,
    masking: Masking | None = None,
) -> Floats:
    """One level of `correlation_maps`, (h, w) in [0, 1].

    Raises:
        ConfigError: the head does not look at supports at this level.
        DataError: the point is outside the query, or image and mask don't fit.
    """
    check_level(network, level)
    return correlation_maps(network, query, support, mask, point, masking)[level]


def position_of(point: tuple[int, int], image: tuple[int, int], plane: tuple[int, int]) -> tuple[int, int]:
    """The (row, column) of a feature plane that is nearest to a pixel (x, y); corners lie on corners.

    Example:
        >>> position_of((99, 0), image=(100, 100), plane=(7, 13)), position_of((50, 50), (100, 100), (7, 13))
        ((0, 12), (3, 6))
    """
    row, column = (
        round(place * (positions - 1) / max(1, length - 1))
        for place, length, positions in zip(point[::-1], image, plane, strict=True)
    )
    return row, column
