"""Folds of a user's own classes: drawn by a seed, or given by name."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import RandomState

from hmseg.data.source import Split, check_fold
from hmseg.errors import DataError, unknown


class OwnFolds:
    """Which classes each fold holds out.

    Args:
        source: name for messages.
        class_names: all classes, by class id.
        folds: how many, at least 1.
        seed: where they are drawn: the classes shuffled and dealt to the folds in turn.
        held_out: the names of each fold's classes, instead; a class may be in no fold (always trained on).

    Raises:
        DataError: fewer than two classes a fold would leave, an unknown name, or a class in two folds.

    Example:
        >>> folds = OwnFolds("folder", ("ant", "bee", "cat", "dog"), 2, seed=0)
        >>> folds.classes("test", 0), folds.classes("train", 0)
        ((1, 2), (0, 3))
        >>> OwnFolds("folder", ("ant", "bee"), 1, 0, [["bee"]]).classes("val", 0)
        (1,)
    """

    def __init__(
        self,
        source: str,
        class_names: Sequence[str],
        folds: int,
        seed: int,
        held_out: Sequence[Sequence[str]] | None = None,
    ) -> None:
        self._source = source
        self._count = len(class_names)
        if held_out is None:
            self._held_out = _drawn(source, len(class_names), folds, seed)
        else:
            self._held_out = _given(source, class_names, folds, held_out)

    def classes(self, split: Split, fold: int | None) -> tuple[int, ...]:
        """``val`` and ``test``: the classes held out in ``fold``; ``train``: all others."""
        held_out = self._held_out[check_fold(self._source, len(self._held_out), fold)]
        if split != "train":
            return held_out
        return tuple(each for each in range(self._count) if each not in held_out)


def _drawn(source: str, count: int, folds: int, seed: int) -> list[tuple[int, ...]]:
    if folds < 2 or count < folds:
        raise DataError(
            f"{source}: {count} classes cannot be drawn into {folds} folds: at least 2 folds and a class for "
            "each were expected; set dataset.folds, or give the folds with dataset.held_out"
        )
    if seed < 0:
        raise DataError(f"{source}: seed={seed} came, at least 0 was expected")
    order = RandomState(seed).permutation(count).tolist()
    return [tuple(sorted(order[fold::folds])) for fold in range(folds)]


def _given(
    source: str, class_names: Sequence[str], folds: int, held_out: Sequence[Sequence[str]]
) -> list[tuple[int, ...]]:
    if len(held_out) != folds:
        raise DataError(
            f"{source}: held_out has {len(held_out)} lists of classes, {folds} were expected: one for each "
            "fold (dataset.folds)"
        )
    seen: set[str] = set()
    for name in (name for names in held_out for name in names):
        if name not in class_names:
            raise DataError(unknown(f"class in held_out of {source}", name, class_names))
        if name in seen:
            raise DataError(f"{source}: class '{name}' is held out twice: take it out of one fold")
        seen.add(name)
    if any(not names or len(names) >= len(class_names) for names in held_out):
        raise DataError(f"{source}: each fold in held_out needs a class, and must leave one to train on")
    return [tuple(sorted(class_names.index(name) for name in names)) for names in held_out]
