"""What the options of the masking strategies may be; without PyTorch, to judge settings before it loads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hmseg.errors import ConfigError, unknown

CHOICES: Mapping[str, tuple[str, ...]] = {"fill": ("mean", "black"), "relu": ("before", "after")}
LEVELS = (1, 2, 3, 4)
"""Of a feature pyramid, shallow to deep."""


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that a masking can't take; their meaning is told at the strategies.

    Args:
        options: by name; names unknown here are not looked at.

    Raises:
        ConfigError: one line: the option, what came, what was expected.

    Example:
        >>> check_options({"fill": "black", "dilate": 8, "levels": [4, 3]})
        >>> check_options({"dilate": -1})
        Traceback (most recent call last):
        hmseg.errors.ConfigError: masking.dilate: expected whole pixels, at least 0, got -1
    """
    for name, choices in CHOICES.items():
        if name in options and options[name] not in choices:
            raise ConfigError(unknown(f"masking.{name}", options[name], choices))
    for name, (rule, expected) in _RULES.items():
        if name in options and not rule(options[name]):
            raise ConfigError(f"masking.{name}: expected {expected}, got {_show(options[name])}")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _levels(value: Any) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    return all(_whole(level) and level in LEVELS for level in value) and 0 < len(value) == len(set(value))


def _show(value: Any) -> str:
    return str(list(value)) if isinstance(value, Sequence) and not isinstance(value, str) else repr(value)


_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "dilate": (lambda value: _whole(value) and value >= 0, "whole pixels, at least 0"),
    "threshold": (_finite, "a number"),
    "mix": (lambda value: value is None or (_finite(value) and value > 0), "a number above 0, or null"),
    "remask": (lambda value: isinstance(value, bool), "true or false"),
    "levels": (
        lambda value: value is None or _levels(value),
        "different pyramid levels out of 1 to 4, such as [4,3], or null for all",
    ),
}
