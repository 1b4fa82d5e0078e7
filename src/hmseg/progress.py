"""Arithmetic of progress: how much of a run is done, and how long the rest takes."""

from __future__ import annotations

import math
from typing import NamedTuple


class Limits(NamedTuple):
    """Where a run stands against whatever may end it.

    Attributes:
        epochs: done (fractions count) and at most; the second is not positive without a limit.
        steps: done and at most, likewise.
        seconds: passed and left, where there is a time limit.
    """

    epochs: tuple[float, int] = (0.0, -1)
    steps: tuple[int, int] = (0, -1)
    seconds: tuple[float, float] | None = None

    @property
    def fraction(self) -> float:
        """Done of the run, 0 to 1, by the limit that is nearest; 0 for a run without an end.

        Example:
            >>> Limits(epochs=(1.5, 6), steps=(40, 100)).fraction
            0.4
            >>> Limits(epochs=(1.5, 6), seconds=(30.0, 10.0)).fraction
            0.75
        """
        done = [now / most for now, most in (self.epochs, self.steps) if most > 0]
        if self.seconds is not None:
            passed, left = self.seconds
            done.append(passed / max(passed + left, 1e-9))
        return min(1.0, max(done, default=0.0))


def remaining(limits: Limits, start: float, elapsed: float) -> float:
    """Seconds until a run ends, at its mean pace so far (validation included), or when its time is up.

    Args:
        limits: where the run stands.
        start: fraction that was done when this process took over (above 0 after a resume).
        elapsed: seconds that this process has run.

    Returns:
        Seconds; infinite when there is nothing to judge by.

    Example:
        >>> quarter = Limits(steps=(25, 100))
        >>> remaining(quarter, start=0.0, elapsed=60.0)
        180.0
        >>> remaining(quarter._replace(seconds=(10.0, 90.0)), start=0.0, elapsed=60.0)
        90.0
    """
    fraction = limits.fraction
    pace = elapsed * (1 - fraction) / (fraction - start) if fraction > start else math.inf
    return max(0.0, min(pace, limits.seconds[1] if limits.seconds is not None else math.inf))


def clock(seconds: float) -> str:
    """A duration as a person reads it; ``?`` when it is not known.

    Example:
        >>> clock(65), clock(7384), clock(200_000), clock(math.inf)
        ('1:05', '2:03:04', '2d 7:33:20', '?')
    """
    if not math.isfinite(seconds):
        return "?"
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour}:{minute:02}:{second:02}"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
