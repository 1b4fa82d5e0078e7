"""Errors that a user can mend: one line that says what came, what was expected and what to do.

Entry points print these without a traceback; anything else is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HmsegError(ValueError):
    """Base of every error that is the user's to mend."""


class ConfigError(HmsegError):
    """A configuration that cannot be run: unknown key, wrong type, impossible combination."""


class DataError(HmsegError):
    """Data that cannot be used: missing, truncated, of the wrong size or kind."""


class WeightsError(HmsegError):
    """Backbone weights that cannot be found, fetched or loaded."""


class CheckpointError(HmsegError):
    """A checkpoint that is missing, damaged or belongs to another network."""


class ExportError(HmsegError):
    """A network that can't be exported, or an exported file that doesn't compute what the network does."""


class TrackingError(HmsegError):
    """W&B can't be used as configured: no account, no connection."""


def unknown(kind: str, name: object, options: Iterable[object]) -> str:
    """Message for a name that is not one of the known ones, with the nearest of them.

    Example:
        >>> unknown("masking", "hybird", ["none", "feature", "input", "hybrid"])
        "unknown masking 'hybird': did you mean 'hybrid'? (known: feature, hybrid, input, none)"
    """
    known = sorted(str(option) for option in options)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f": did you mean '{close[0]}'?" if close else "."
    return f"unknown {kind} '{name}'{hint} (known: {', '.join(known)})"


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, its type where it has none.

    Example:
        >>> first_line(EOFError()), first_line(ValueError("bad header\\nat byte 3"))
        ('EOFError', 'bad header')
    """
    return str(error).splitlines()[0] if str(error) else type(error).__name__
