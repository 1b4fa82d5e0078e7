"""Hypercorrelation: 4-D cosine similarities between every query and every support position.

REFERENCE section 3; Min et al., "Hypercorrelation Squeeze for Few-Shot Segmentation", ICCV 2021, section 4.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from hmseg.exporting import is_exporting, repeat_rows
from hmseg.products import StackedProducts, clamped_product

Pieces = Iterator[tuple[slice, Tensor]]
"""Of one query and one support: which query positions, and their similarities (positions, L, hs * ws)."""

EPS = 1e-5
"""Added to the norm of each feature vector, as published (not the maximum of the two)."""

PIECE = 2_500_000
"""Similarities that a CPU makes at once: 10 MB, which its cache holds until they have been used."""

LEAST_ROWS = 250
"""Query positions that a piece has at least: supports may have to be put in order anew for each."""

STACKED_FROM = 400
"""Query positions from which on it pays to put a support's rows in order, to make all maps in one product."""

EVEN = 16
"""What a kernel's size should be a multiple of for oneDNN."""


def unit_features(features: Tensor) -> Tensor:
    """Divide each feature vector by (its L2 norm + ``EPS``). ``features``: (N, C, h, w); a new tensor."""
    norm: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / (norm + EPS)


def unit_rows(features: Tensor, out: Tensor | None = None) -> Tensor:
    """:func:`unit_features` of one map (C, h, w) as rows (h * w, C), written to ``out`` where given."""
    rows = features.permute(1, 2, 0).flatten(0, 1)
    norm: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return torch.div(rows, norm + EPS, out=out)


def similarity_pieces(query: Sequence[Tensor], support: Sequence[Tensor]) -> Iterator[Pieces]:
    """For each support the correlations of a level's maps, some query positions at a time.

    No gradient, on a CPU. Pieces have one size, so the last may begin within the one before it.

    Args:
        query: L maps (B, C_l, hq, wq), all of one plane.
        support: L maps (B * K, C_l, hs, ws).

    Yields:
        The pieces of a support.
    """
    shots = [shots_of(q, s) for q, s in zip(query, support, strict=True)][0]
    positions, targets = (maps[0].shape[-2] * maps[0].shape[-1] for maps in (query, support))
    pieces = -(-positions // max(LEAST_ROWS, PIECE // (len(support) * targets)))
    rows = -(-positions // pieces)
    stacks = positions >= STACKED_FROM and len({each.shape[1] for each in query}) == 1
    for n in range(len(support[0])):
        if n % shots == 0:
            of_query = [each[n // shots] for each in query]
            asked = rows_beside(of_query, dim=1) if stacks else [unit_rows(each) for each in of_query]
        shown = [each[n] for each in support]
        multiply = _stacked(asked, shown, rows) if isinstance(asked, Tensor) else _one_by_one(asked, shown)
        yield _pieces(multiply, positions, rows)


def _pieces(multiply: Callable[[slice], Tensor], positions: int, rows: int) -> Pieces:
    for start in range(0, positions, rows):
        part = slice(min(start, positions - rows), min(start + rows, positions))
        yield part, multiply(part)


def _stacked(asked: Tensor, support: Sequence[Tensor], rows: int) -> Callable[[slice], Tensor]:
    """All maps in one product."""
    positions = support[0][0].numel()
    # In one piece: a kernel of an even size is put in order faster, and so little of the result is cut off.
    beyond = -positions % EVEN if rows == len(asked) else 0
    products = StackedProducts(rows_beside(support, dim=0, beyond=beyond), rows)
    return lambda part: products(asked[part])[..., :positions]


def _one_by_one(asked: Sequence[Tensor], support: Sequence[Tensor]) -> Callable[[slice], Tensor]:
    pairs = [(each, unit_rows(other)) for each, other in zip(asked, support, strict=True)]
    return lambda part: torch.stack([clamped_product(each[part], other) for each, other in pairs], dim=1)


def rows_beside(maps: Sequence[Tensor], dim: int, beyond: int = 0) -> Tensor:
    """:func:`unit_rows` of L maps (C, h, w) side by side.

    Args:
        maps: of as many channels each.
        dim: 1 for (h * w, L, C), 0 for (L, h * w, C).
        beyond: rows of zeros behind those of each map.
    """
    channels, positions = len(maps[0]), maps[0][0].numel()
    shape = [positions + beyond, channels]
    shape.insert(dim, len(maps))
    result = maps[0].new_empty(shape)
    for each, rows in zip(maps, result.unbind(dim), strict=True):
        unit_rows(each, out=rows[:positions])
        rows[positions:] = 0
    return result


def correlate(query: Tensor, support: Tensor) -> Tensor:
    """Clamped cosine similarity of all pairs of positions, for one backbone map.

    Args:
        query: (B, C, hq, wq).
        support: (B * K, C, hs, ws), the K shots of an image next to each other.

    Returns:
        (B * K, hq, wq, hs, ws) in [0, 1].

    Raises:
        ValueError: channels differ, or the support batch is no multiple of the query batch.

    Example:
        >>> correlate(torch.ones(1, 4, 2, 2), torch.ones(3, 4, 1, 1)).shape
        torch.Size([3, 2, 2, 1, 1])
    """
    shots = shots_of(query, support)
    query_size, support_size = query.shape[2:], support.shape[2:]
    if on_plain_cpu(query, support):
        asked = [unit_rows(each) for each in query]
        pairs = [clamped_product(asked[n // shots], unit_rows(each)) for n, each in enumerate(support)]
        similarity = pairs[0][None] if len(pairs) == 1 else torch.stack(pairs)
    else:
        q = repeat_rows(unit_features(query).flatten(2).transpose(1, 2), shots)  # (B*K, hq*wq, C)
        s = unit_features(support).flatten(2)  # (B*K, C, hs*ws)
        similarity = torch.bmm(q, s).clamp_(min=0)  # fresh from bmm, so in place is safe
    return similarity.view(-1, *query_size, *support_size)


def hypercorrelation(query: Sequence[Tensor], support: Sequence[Tensor]) -> Tensor:
    """The correlations of all maps of one level, stacked as channels in forward (shallow to deep) order.

    Args:
        query: L maps (B, C_l, hq, wq), all of one plane.
        support: L maps (B * K, C_l, hs, ws).

    Returns:
        (B * K, L, hq, wq, hs, ws).
    """
    if not on_plain_cpu(*query, *support):
        return torch.stack([correlate(q, s) for q, s in zip(query, support, strict=True)], dim=1)
    planes = (*query[0].shape[2:], *support[0].shape[2:])
    result = query[0].new_empty(len(support[0]), len(support), *planes)
    flat = result.view(*result.shape[:2], planes[0] * planes[1], -1)
    for n, pieces in enumerate(similarity_pieces(query, support)):
        for part, similarities in pieces:
            flat[n, :, part] = similarities.transpose(0, 1)
    return result


def on_plain_cpu(*maps: Tensor) -> bool:
    """Whether these can be correlated by the CPU's fast way: no gradient, no reduced precision, no export."""
    return (
        not is_exporting()
        and all(each.device.type == "cpu" for each in maps)
        and not torch.is_autocast_enabled("cpu")
        and not (torch.is_grad_enabled() and any(each.requires_grad for each in maps))
    )


def shots_of(query: Tensor, support: Tensor) -> int:
    """How many supports (B * K, C, …) each of the queries (B, C, …) has.

    Raises:
        ValueError: channels differ, or the support batch is no multiple of the query batch.
    """
    shots = support.shape[0] // query.shape[0]
    if support.shape[1] != query.shape[1] or support.shape[0] % query.shape[0]:
        raise ValueError(
            f"query (B, C, h, w) and support (B * K, C, h, w) do not fit: "
            f"{tuple(query.shape)} and {tuple(support.shape)}"
        )
    return shots
