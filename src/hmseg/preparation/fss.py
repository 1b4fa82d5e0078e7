"""FSS-1000: an archive or folder that the user has, brought to ``CATEGORY/N.jpg`` with ``CATEGORY/N.png``.

Its host needs a browser. Found in the wild: the categories at the top of the archive, or below
``fewshot_data/``, ``fewshot_data/fewshot_data/`` or ``FSS-1000/``; photo and mask side by side, or in
``CATEGORY/image/`` and ``CATEGORY/label/`` as its authors' code wants them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hmseg.errors import DataError
from hmseg.preparation.bars import Bar
from hmseg.preparation.files import replacing
from hmseg.preparation.masks import Pair, size_difference
from hmseg.preparation.parallel import each
from hmseg.preparation.report import Row, State, count, look
from hmseg.preparation.unpack import Select, listing, unpack
from hmseg.preparation.work import Work, say

CATEGORIES = 1_000
IMAGES = 10
"""Of each category, numbered from 1."""
HOMEPAGE = "https://github.com/HKUSTCV/FSS-1000"
_MEMBER = re.compile(
    r"(?P<prefix>(?:[^/]+/)*?)(?P<category>[^/]+)/(?:(?:images?|labels?|masks?)/)?(?P<file>\d+\.(?:jpg|png))"
)
_FILE = re.compile(r"\d+\.(?:jpg|png)")
_IGNORED = ("__MACOSX", ".")


class Category(NamedTuple):
    """What a category's folder holds.

    Attributes:
        name: of the folder.
        images: numbers of the photos.
        masks: numbers of the masks.
        strange: files that are neither.
    """

    name: str
    images: frozenset[int]
    masks: frozenset[int]
    strange: tuple[str, ...]

    @property
    def pairs(self) -> list[int]:
        """Numbers with a photo and a mask, ascending."""
        return sorted(self.images & self.masks)


def prepare(work: Work) -> None:
    """Bring the user's archive or folder into the root; what is there already is left alone.

    Raises:
        DataError: nothing is given and the root isn't complete, or what is given can't be used.
    """
    there = survey(work.root)
    if len(there) >= CATEGORIES and all(len(category.pairs) >= IMAGES for category in there):
        return
    if not work.shelf.given:
        if there:
            return  # the table says what is missing
        raise DataError(
            f"{work.root} holds no FSS-1000: fetch its archive with a browser ({HOMEPAGE}) and give it, or "
            "the folder it was unpacked to, as archive=…"
        )
    for source in work.shelf.given:
        if source.is_dir():
            _copy(source, work.root)
        else:
            found = unpack(source, work.root, layout(listing(source), source))
            say(f"{source.name}: {found:,} files are in {work.root}")


def layout(names: Iterable[str], source: Path) -> Select:
    """Where the members of an archive, or the files below a folder, go.

    Args:
        names: with ``/`` between folders.
        source: for the message.

    Raises:
        DataError: there is nothing like ``CATEGORY/1.jpg``.

    Example:
        >>> names = ["fewshot_data/fewshot_data/abacus/1.jpg", "fewshot_data/fewshot_data/abacus/1.png"]
        >>> layout(names, Path("fss.zip"))("fewshot_data/fewshot_data/abacus/1.png")
        'abacus/1.png'
    """
    prefixes = Counter(found["prefix"] for name in names if (found := _match(name)))
    if not prefixes:
        raise DataError(f"{source}: no files like CATEGORY/1.jpg and CATEGORY/1.png are in it: not FSS-1000")
    prefix = max(prefixes, key=lambda each: prefixes[each])

    def place(name: str) -> str | None:
        found = _match(name)
        return f"{found['category']}/{found['file']}" if found and found["prefix"] == prefix else None

    return place


def survey(root: Path) -> list[Category]:
    """Every category below the root, by name; an empty list where there is no root."""
    if not root.is_dir():
        return []
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    found = (_category(folder.name, sorted(os.listdir(folder))) for folder in folders)
    return [category for category in found if category.images or category.masks]


def verify(work: Work) -> list[Row]:
    """Look at categories, numbering, sizes and masks; the class lists are looked at elsewhere.

    What the published set itself has, such as masks of another size than their photos, is a note.

    Raises:
        DataError: the categories are further down.
    """
    there = survey(work.root)
    if not there:
        for nested in ("fewshot_data/fewshot_data", "fewshot_data", "FSS-1000"):
            if survey(work.root / nested):
                raise DataError(
                    f"{work.root}: its categories are in {nested}; give root={work.root / nested}"
                )
    pairs = [
        Pair(folder / f"{number}.jpg", folder / f"{number}.png", None, work.deep)
        for category, folder in ((category, work.root / category.name) for category in there)
        for number in category.pairs
    ]
    return [
        count("categories", CATEGORIES, len(there)),
        count("photos with masks", CATEGORIES * IMAGES, len(pairs)),
        _numbering(there),
        _strange(there),
        _sizes(pairs, work.workers),
        look("masks with foreground", pairs, work.deep, work.workers),
    ]


def _category(name: str, files: list[str]) -> Category:
    plain = [file for file in files if _FILE.fullmatch(file)]
    images, masks = (
        frozenset(int(file[:-4]) for file in plain if file.endswith(suffix)) for suffix in (".jpg", ".png")
    )
    return Category(name, images, masks, tuple(file for file in files if file not in plain))


def _numbering(there: list[Category]) -> Row:
    """Photos or masks that stand alone, and categories that are not numbered 1 to 10."""
    wanted = set(range(1, IMAGES + 1))
    items, short = [], False
    for category in there:
        if category.images != wanted or category.masks != wanted:
            short |= len(category.pairs) < IMAGES
            photos, masks = (_numbers(numbers) for numbers in (category.images, category.masks))
            items.append(f"{category.name}: photos {photos}, masks {masks}")
    found = f"{len(items):,} numbered otherwise" if items else "all"
    return Row("categories numbered 1 to 10", "all", found, _state(items, short), tuple(items))


def _numbers(numbers: Iterable[int]) -> str:
    """Numbers as ranges.

    Example:
        >>> _numbers({3, 4, 5, 9}), _numbers(set())
        ('3-5 9', 'none')
    """
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in parts) or "none"


def _strange(there: list[Category]) -> Row:
    items = [f"{category.name}/{file}" for category in there for file in category.strange]
    return Row("other files", "none", f"{len(items):,}", _state(items, False), tuple(items))


def _sizes(pairs: Sequence[Pair], workers: int) -> Row:
    """Photos and masks of different sizes, from the headers alone."""
    found = each(size_difference, pairs, len(pairs), workers, "comparing sizes")
    items = tuple(item for item in found if item is not None)
    return Row("photo and mask of one size", "all", f"{len(items):,} differ", _state(items, False), items)


def _state(items: Sequence[str], failed: bool) -> State:
    return "missing" if failed else "note" if items else "ok"


def _match(name: str) -> re.Match[str] | None:
    hidden = any(part.startswith(_IGNORED) for part in name.split("/") if part != ".")
    return None if hidden else _MEMBER.fullmatch(name)


def _copy(source: Path, root: Path) -> None:
    """Copy what is needed of the user's folder; the folder is left as it is."""
    inside = [path.relative_to(source).as_posix() for path in sorted(source.rglob("*")) if path.is_file()]
    place = layout(inside, source)
    if source.resolve() == root.resolve():
        return
    places = ((name, place(name)) for name in inside)
    tasks = [(source / name, root / below) for name, below in places if below is not None]
    with Bar(f"copying {source.name}", len(tasks)) as bar:
        for path, target in tasks:
            if not target.is_file() or target.stat().st_size != path.stat().st_size:
                with replacing(target) as part:
                    shutil.copyfile(path, part)
            bar.advance()
    say(f"{source}: {len(tasks):,} files are in {root}")
