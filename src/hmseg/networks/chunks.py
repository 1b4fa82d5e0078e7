"""How many supports go through a network at once where no gradient is wanted."""

from __future__ import annotations

from collections.abc import Iterator


def chunks(batch: int, shots: int, at_once: int) -> Iterator[tuple[slice, slice]]:
    """Rows of the queries and of the supports that belong together, at most ``at_once`` supports each time.

    Example:
        >>> [(q.start, q.stop, s.start, s.stop) for q, s in chunks(batch=3, shots=2, at_once=4)]
        [(0, 2, 0, 4), (2, 3, 4, 6)]
        >>> [(q.start, q.stop, s.start, s.stop) for q, s in chunks(batch=1, shots=5, at_once=4)]
        [(0, 1, 0, 4), (0, 1, 4, 5)]
    """
    images = max(1, at_once // shots)
    for first in range(0, batch, images):
        last = min(batch, first + images)
        for start in range(first * shots, last * shots, at_once):
            yield slice(first, last), slice(start, min(last * shots, start + at_once))
