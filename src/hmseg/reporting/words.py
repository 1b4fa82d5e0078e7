"""Numbers and settings in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from hmseg.reporting.configurations import Configuration
from hmseg.reporting.setting import MASKINGS, Setting, model_name
from hmseg.reporting.statistics import Interval

ABSENT = "–"
MINUS = "−"
_SUBJECT = ("model", "backbone", "dataset", "shot")


def number(value: float | None, digits: int = 1) -> str:
    """A number, a dash where there is none.

    Example:
        >>> number(44.26), number(None), number(-0.04), number(-1.0)
        ('44.3', '–', '0.0', '−1.0')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", MINUS)


def signed(value: float, digits: int = 1) -> str:
    """A difference with its sign.

    Example:
        >>> signed(1.24), signed(-1.24), signed(0.01)
        ('+1.2', '−1.2', '0.0')
    """
    text = number(value, digits)
    return text if text[0] in (MINUS, ABSENT) or float(text) == 0 else f"+{text}"


def spread(mean: float, deviation: float | None) -> str:
    """Mean and deviation.

    Example:
        >>> spread(44.26, 1.2), spread(44.26, None)
        ('44.3 ± 1.2', '44.3')
    """
    return number(mean) if deviation is None else f"{number(mean)} ± {number(deviation)}"


def bounds(interval: Interval | None, with_sign: bool = False) -> str:
    """The ends of an interval.

    Example:
        >>> bounds(Interval(1.0, -0.5, 2.5)), bounds(Interval(1.0, -0.5, 2.5), with_sign=True)
        ('−0.5 to 2.5', '−0.5 to +2.5')
    """
    if interval is None or not math.isfinite(interval.low):
        return ABSENT
    show = signed if with_sign else number
    return f"{show(interval.low)} to {show(interval.high)}"


def duration(seconds: float | None) -> str:
    """Seconds as hours and minutes.

    Example:
        >>> duration(42.4), duration(3725), duration(200000), duration(None)
        ('42 s', '1 h 02 min', '55 h 33 min', '–')
    """
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def fold_name(fold: int | None) -> str:
    """A fold in words.

    Example:
        >>> fold_name(2), fold_name(None)
        ('fold 2', 'all')
    """
    return "all" if fold is None else f"fold {fold}"


def parts(setting: Setting) -> dict[str, str]:
    """What a setting says, by attribute, in the order in which a reader looks for it; blanks are left out."""
    said = {
        "model": model_name(setting.model),
        "backbone": setting.backbone,
        "dataset": setting.dataset,
        "shot": f"{setting.shot}-shot" if setting.shot else "",
        "masking": setting.masking and f"{setting.masking} masking",
        "aggregation": setting.aggregation.replace("_", " "),
        "size": setting.at if setting.size or setting.original_size else "",
        "checkpoint": setting.checkpoint and f"{setting.checkpoint} checkpoint",
        "origin": setting.origin if setting.origin != "trained" else "",
        "selection": "chosen on classes set aside" if setting.selection == "clean" else "",
        "precision": setting.precision,
        "protocol": setting.episodes_of if setting.protocol else "",
        "lists": f"{setting.lists} lists" if setting.lists else "",
        "training": setting.training,
    }
    return {name: text for name, text in said.items() if text}


def subject(setting: Setting) -> str:
    """Model, backbone, data and shots: what a reader looks for first."""
    return join(*(text for name, text in parts(setting).items() if name in _SUBJECT))


def circumstances(setting: Setting, but: Sequence[str] = ()) -> str:
    """Everything else that a setting says, but for some attributes."""
    return join(*(text for name, text in parts(setting).items() if name not in (*_SUBJECT, *but)))


def shared(settings: Sequence[Setting], but: Sequence[str] = ()) -> tuple[str, list[str]]:
    """What settings have in common, and what else each one says, in words.

    Args:
        settings: at least one.
        but: attributes to leave out.
    """
    every = [parts(setting) for setting in settings]
    common = {name: text for name, text in every[0].items() if all(one.get(name) == text for one in every)}
    rest = [join(*(text for name, text in one.items() if name not in (*common, *but))) for one in every]
    return join(*(text for name, text in common.items() if name not in but)), rest


def join(*parts: str) -> str:
    """The parts that are there, with commas.

    Example:
        >>> join("HSNet", "", "1-shot")
        'HSNet, 1-shot'
    """
    return ", ".join(part for part in parts if part)


def swatch(masking: str) -> str:
    """The kind of a cell that holds a masking's name, for its colour; "" for one that has none of its own.

    Example:
        >>> swatch("hybrid"), swatch("hybrid (mix=0.25)")
        ('hybrid', '')
    """
    return masking if masking in MASKINGS else ""


def main_view(configurations: Iterable[Configuration]) -> list[Configuration]:
    """What figures show: best (or given) checkpoints at the network's size, several supports by the vote.

    Where nothing is measured so, everything.
    """
    every = list(configurations)
    kept = [
        one
        for one in every
        if one.setting.checkpoint != "last"
        and not one.setting.original_size
        and one.setting.aggregation in ("", "vote")
    ]
    return kept or every
