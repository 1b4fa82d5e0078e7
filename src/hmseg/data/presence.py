"""Which classes every mask of a data set shows: read once, kept in a file, used where lists have to be made.

Two answers for each image: the classes with any pixel (to leave out training images that show a held-out
class), and those with at least ``GRID_PIXELS`` pixels on a grid of stride ``STRIDE`` (the rule for lists).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm  # type: ignore[import-untyped]

from hmseg.data.source import Listing
from hmseg.errors import DataError, unknown
from hmseg.files import user_cache, writing
from hmseg.untrusted import json_or_none

log = logging.getLogger(__name__)
STRIDE, GRID_PIXELS = 32, 3
"""The rule that comes closest to the published lists: what is too small for stride 32 is not listed."""
_FORMAT = 1
_BACKGROUND, _VOID = 0, 255


NOVEL = ("keep", "drop")
"""What becomes of training images that also show a held-out class; the published code keeps them."""


def check_novel(novel: str) -> str:
    """The option ``dataset.novel``. Raises DataError unless it is one of ``NOVEL``."""
    if novel not in NOVEL:
        raise DataError(unknown("value of dataset.novel", novel, NOVEL))
    return novel


class Shown(NamedTuple):
    """Classes of one mask, 0-based and ascending.

    Attributes:
        any: those with a pixel at least.
        listed: those that the rule lists.
    """

    any: tuple[int, ...]
    listed: tuple[int, ...]


def shown(labels: NDArray[np.uint8]) -> Shown:
    """The classes in a mask of class + 1, 0 background and 255 void.

    Example:
        >>> labels = np.zeros((128, 128), np.uint8)
        >>> labels[:40, :100], labels[50, 50] = 8, 3
        >>> shown(labels)
        Shown(any=(2, 7), listed=(7,))
    """
    grid = np.bincount(labels[::STRIDE, ::STRIDE].ravel(), minlength=256)
    return Shown(
        _classes(np.bincount(labels.ravel(), minlength=256) > 0),
        _classes(grid >= GRID_PIXELS),
    )


def _classes(values: NDArray[np.bool_]) -> tuple[int, ...]:
    found: list[int] = np.flatnonzero(values).tolist()
    return tuple(value - 1 for value in found if value not in (_BACKGROUND, _VOID))


def rule_listing(presence: Mapping[str, Shown], by: str, classes: Iterable[int], **options: Any) -> Listing:
    """The list that the rule makes.

    Args:
        presence: from ``read_presence``.
        by: ``name``: sorted by image, then class, as PASCAL's validation lists; ``class``: the other way.
        classes: those to list.
        **options: of the Listing.

    Example:
        >>> presence = {"b": Shown((0, 1), (0, 1)), "a": Shown((1,), (1,))}
        >>> rule_listing(presence, "name", [0, 1]).pairs
        (('a', 1), ('b', 0), ('b', 1))
    """
    wanted = set(classes)
    pairs = [(name, each) for name, found in presence.items() for each in found.listed if each in wanted]
    pairs.sort(key=(lambda pair: pair) if by == "name" else (lambda pair: (pair[1], pair[0])))
    return Listing(tuple(pairs), **options)


def without(listing: Listing, presence: Mapping[str, Shown], held_out: Iterable[int]) -> Listing:
    """The list without images that show a held-out class, be it in one pixel, and unlabelled or not listed.

    Example:
        >>> listing = Listing((("a", 0), ("b", 0)))
        >>> without(listing, {"a": Shown((0, 5), (0,)), "b": Shown((0,), (0,))}, held_out=[5]).pairs
        (('b', 0),)
    """
    avoided = set(held_out)
    kept = tuple(pair for pair in listing.pairs if avoided.isdisjoint(presence[pair[0]].any))
    return replace(listing, pairs=kept)


def folder_state(folder: Path, suffix: str) -> str:
    """Changes with every file of a folder that is added, removed or rewritten."""
    with os.scandir(folder) as entries:
        files = [(entry.name, entry.stat()) for entry in entries if entry.name.endswith(suffix)]
    text = "".join(f"{name} {stat.st_size} {stat.st_mtime_ns}\n" for name, stat in sorted(files))
    return hashlib.sha256(text.encode()).hexdigest()


def file_state(path: Path) -> str:
    """Changes when a file is rewritten."""
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def read_presence(
    names: Sequence[str],
    label_map: Callable[[str], NDArray[np.uint8]],
    state: str,
    root: Path,
    what: str,
) -> Mapping[str, Shown]:
    """What every label map shows: as :func:`read_shown`, of what reads one, (H, W) uint8 of class + 1."""
    return read_shown(names, lambda name: shown(label_map(name)), state, root, what)


def read_shown(
    names: Sequence[str],
    look: Callable[[str], Shown],
    state: str,
    root: Path,
    what: str,
) -> Mapping[str, Shown]:
    """What every mask shows, from the cache where that is up to date, else from the masks.

    Args:
        names: the images.
        look: reads the mask of one and says what it shows; see :func:`shown`.
        state: of the masks; a cache made in another one is made again.
        root: the data set's folder; the cache goes into its folder ``.hmseg``, or, where that can't be
            written, into the user's own cache folder.
        what: names the cache file, and the masks in the progress bar.

    Raises:
        DataError: a mask cannot be read.
    """
    for cache in _places(root, what):
        if (kept := _kept(cache, state)) is not None and kept.keys() >= set(names):
            return {name: kept[name] for name in names}
    log.info("reading %d masks of %s once, to know which classes they show", len(names), what)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(look, names, chunksize=16)
        bar = tqdm(found, desc=f"masks of {what}", total=len(names), unit="mask", leave=False, disable=None)
        presence = dict(zip(names, bar, strict=True))
    _keep(_places(root, what), state, presence)
    return presence


def _places(root: Path, what: str) -> list[Path]:
    """Where the cache may be: a folder that nobody may write to is left alone, by the super-user too."""
    key = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    beside = [root / ".hmseg" / f"classes-{what}.json"] if root.stat().st_mode & 0o222 else []
    return [*beside, user_cache() / f"classes-{what}-{key}.json"]


def _kept(cache: Path, state: str) -> dict[str, Shown] | None:
    """The content of a cache file, None where it is missing, damaged or of another state."""
    content = json_or_none(cache)
    try:
        if (content["format"], content["rule"], content["state"]) != (_FORMAT, [STRIDE, GRID_PIXELS], state):
            return None
        return {name: Shown(_ids(some), _ids(most)) for name, (some, most) in content["images"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _ids(found: Any) -> tuple[int, ...]:
    if not isinstance(found, list) or not all(type(each) is int and 0 <= each < _VOID for each in found):
        raise ValueError("these are no classes")
    return tuple(found)


def _keep(places: Iterable[Path], state: str, presence: Mapping[str, Shown]) -> None:
    content = {
        "format": _FORMAT,
        "rule": [STRIDE, GRID_PIXELS],
        "state": state,
        "images": presence,
    }
    for cache in places:
        try:
            cache.parent.mkdir(parents=True, exist_ok=True)
            with writing(cache) as file:
                json.dump(content, file, separators=(",", ":"))
        except OSError:
            continue
        log.info("kept in %s", cache)
        return
    log.warning("what the masks show could not be kept: they will be read again next time")
