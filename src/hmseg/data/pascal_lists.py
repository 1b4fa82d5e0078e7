"""The image lists of PASCAL-5i: ``NAME__CC`` per line, CC the 1-based class (REFERENCE section 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from hmseg.data.lists import check_stem, read_lines
from hmseg.data.source import Listing, Split, check_fold
from hmseg.errors import DataError

TITLE, CLASSES, FOLDS = "PASCAL-5i", 20, 4
FOLDERS: dict[Split, str] = {"train": "trn", "val": "val", "test": "val"}
"""The folder, in the published lists, of each split's."""
_PER_FOLD = CLASSES // FOLDS
_LINE = re.compile(r"(?P<name>.+)__(?P<number>\d{2})")


def held_out(fold: int) -> tuple[int, ...]:
    """The five classes of a fold.

    Example:
        >>> held_out(1)
        (5, 6, 7, 8, 9)
    """
    return tuple(range(fold * _PER_FOLD, (fold + 1) * _PER_FOLD))


def trained(fold: int) -> tuple[int, ...]:
    """The fifteen classes of the other folds."""
    return tuple(each for each in range(CLASSES) if each not in held_out(fold))


def others(fold: int) -> tuple[int, ...]:
    """The folds whose training lists a fold is trained on.

    Example:
        >>> others(1)
        (0, 2, 3)
    """
    return tuple(each for each in range(FOLDS) if each != fold)


def joined(listings: Iterable[Listing]) -> Listing:
    """Lists one after the other."""
    return Listing(tuple(pair for listing in listings for pair in listing.pairs))


def read_list(splits: Path, split: Split, fold: int, partial: bool = False) -> Listing:
    """Reads one published list, without looking for its images.

    Args:
        splits: folder with ``trn/fold0.txt`` to ``val/fold3.txt``.
        split: ``train``, or ``val`` and ``test``, which are one.
        fold: 0 to 3. Both lists of a fold hold the images of its own five classes.
        partial: the list may be empty.

    Returns:
        The pairs in the order of the file.

    Raises:
        DataError: the fold does not exist, the file is missing or empty, or a line is not ``NAME__CC`` with a
            class of the fold.
    """
    check_fold(TITLE, FOLDS, fold)
    path = splits / FOLDERS[split] / f"fold{fold}.txt"
    empty = partial and path.is_file() and not path.read_bytes().strip()
    lines = [] if empty else read_lines(path, TITLE)
    return Listing(tuple(_parse_line(line, fold, f"list {path} line {number}") for number, line in lines))


def _parse_line(line: str, fold: int, where: str) -> tuple[str, int]:
    """``NAME__CC`` as (NAME, 0-based class)."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise DataError(
            f"{where}: {line!r} came, NAME__CC was expected (such as 2007_000032__01): mend the line"
        )
    name, class_id = check_stem(found["name"], where), int(found["number"]) - 1
    classes = held_out(fold)
    if class_id not in classes:
        raise DataError(
            f"{where}: class {class_id + 1:02d} came, fold {fold} has classes {classes[0] + 1:02d} to "
            f"{classes[-1] + 1:02d}: mend the line"
        )
    return name, class_id
