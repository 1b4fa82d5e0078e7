"""Checks of the numbers that a data module is built with; each raises ConfigError."""

from __future__ import annotations

from collections.abc import Sequence

from hmseg.errors import ConfigError


def at_least(name: str, value: int, least: int) -> int:
    """The value, where it is large enough.

    Example:
        >>> at_least("shot", 5, 1)
        5
    """
    if value < least:
        raise ConfigError(f"{name}={value} came, {least} or more was expected")
    return value


def or_none(name: str, value: int | None) -> int | None:
    """A number of at least 1, or None."""
    return None if value is None else at_least(name, value, 1)


def seeds_of(given: int | Sequence[int]) -> tuple[int, ...]:
    """One protocol seed or several different ones, as a tuple.

    Example:
        >>> seeds_of(3), seeds_of([0, 1])
        ((3,), (0, 1))
    """
    seeds = (given,) if isinstance(given, int) else tuple(given)
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise ConfigError(
            f"protocol_seed={given} came, a number of 0 or more, or a list of different ones was expected"
        )
    return seeds


def height_width(size: int | Sequence[int]) -> tuple[int, int]:
    """A side or (height, width) as the latter.

    Example:
        >>> height_width(400), height_width([300, 400])
        ((400, 400), (300, 400))
    """
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or min(sides) < 1:
        raise ConfigError(f"size={size} came, a positive side or a (height, width) of two was expected")
    return sides[0], sides[1]
