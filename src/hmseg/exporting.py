"""Whether a network is exported or compiled: then it computes with public operators only, whatever the sizes.

The fast ways of this package ask for oneDNN's own operators, work piece by piece in Python loops, or look at
sizes. A graph that is to run elsewhere, for any batch, any shots and images of other sizes, can hold none of
that. Each of them has a plain way beside it, which computes the same; inside :func:`exporting` that one is
taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_EXPORTING = ContextVar("exporting", default=False)


@contextmanager
def exporting() -> Iterator[None]:
    """Let networks compute the plain way inside the block.

    Example:
        >>> with exporting():
        ...     is_exporting()
        True
        >>> is_exporting()
        False
    """
    token = _EXPORTING.set(True)
    try:
        yield
    finally:
        _EXPORTING.reset(token)


def is_exporting() -> bool:
    """Whether this is inside :func:`exporting`, or ``torch.compile`` is reading the code."""
    return torch.compiler.is_compiling() or _EXPORTING.get()


def known_equal(size: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two sizes are the same; False where an export leaves one of them open.

    Example:
        >>> known_equal((4, 6), (4, 6)), known_equal((4, 6), (6, 4))
        (True, False)
    """
    pairs = list(zip(size, other, strict=True))
    return all(type(a) is int and type(b) is int for a, b in pairs) and all(a == b for a, b in pairs)


def repeat_rows(x: Tensor, times: int) -> Tensor:
    """Each row of (N, …) ``times`` times, one after the other: (N * times, …); for 1 a view.

    Example:
        >>> import torch
        >>> repeat_rows(torch.tensor([[1], [2]]), 2).flatten()
        tensor([1, 1, 2, 2])
    """
    return x[:, None].expand(-1, times, *x.shape[1:]).flatten(0, 1)


def larger(size: int, other: int) -> int:
    """The larger of two sizes, one of which an export may leave open.

    Example:
        >>> larger(3, 17)
        17
    """
    if isinstance(size, Tensor):  # of a traced shape
        return size.clamp(min=other)
    return torch.sym_max(size, other)  # type: ignore[no-untyped-call, no-any-return]
