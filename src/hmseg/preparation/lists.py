"""The published image lists: fetched from HSNet's repository; looked over with the files they name."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from hmseg.data import coco_lists, pascal_lists
from hmseg.data.fss import category_listing, read_categories
from hmseg.data.lists import all_published
from hmseg.data.source import SPLITS, Listing, Source, Split
from hmseg.errors import DataError
from hmseg.preparation.bars import Bar
from hmseg.preparation.download import download
from hmseg.preparation.files import trouble
from hmseg.preparation.report import Row
from hmseg.preparation.work import say

COMMIT = "0cc481c9c6392a81112c2e1b41773daa6837d66b"
"""Of juhongm999/hsnet; what comes is compared with the known digests all the same."""
SITE = f"https://raw.githubusercontent.com/juhongm999/hsnet/{COMMIT}/data/splits"
_MOST = 64 << 20
"""Bytes of a list: COCO-20i's pickles have a few million."""
_FOLDS = [f"{split}/fold{fold}" for split in ("trn", "val") for fold in range(4)]
FILES = {
    "pascal": [f"{name}.txt" for name in _FOLDS],
    "coco": [f"{name}.pkl" for name in _FOLDS],
    "fss": ["trn.txt", "val.txt", "test.txt"],
}


def folder_of(benchmark: str, root: Path, splits: Path | None) -> Path:
    """Where a benchmark's lists are, or will be.

    Args:
        benchmark: ``pascal``, ``coco`` or ``fss``.
        root: its folder; the lists are in ``splits`` there unless said otherwise.
        splits: the folder given: of this benchmark's lists, or with a folder for each benchmark.
    """
    given = root / "splits" if splits is None else splits
    return given / benchmark if (given / benchmark).is_dir() else given


def fetch(benchmark: str, folder: Path, site: str | None = None) -> None:
    """Fetch a benchmark's published lists; nothing is done where they are there.

    Args:
        benchmark: ``pascal``, ``coco`` or ``fss``.
        folder: gets them.
        site: where the folders of the benchmarks are; :data:`SITE` by default.

    Raises:
        DataError: other lists are in the folder, a file can't be fetched, or it isn't the published one.
    """
    if published(benchmark, folder):
        say(f"{folder}: the published lists are there")
        return
    there = [name for name in FILES[benchmark] if (folder / name).exists()]
    if there:
        raise DataError(f"{folder} has other lists ({there[0]}, …): remove them, or leave out splits=fetch")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".lists.") as place:
            by_hand = f"put data/splits/{benchmark} of juhongm999/hsnet into {folder} by hand"
            _fetch(benchmark, Path(place), site or SITE, by_hand)
            if not published(benchmark, Path(place)):
                raise DataError(
                    f"{site or SITE}/{benchmark}: what came are not the published lists; none is kept"
                )
            for name in FILES[benchmark]:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.move(Path(place) / name, folder / name)
    except OSError as error:
        raise trouble(error, folder) from error
    say(f"{folder}: the published lists are there")


def published(benchmark: str, folder: Path) -> bool:
    """Whether a folder's lists are the published ones, to the letter."""
    return all_published(_READERS[benchmark](folder))


def verify(source: Callable[[], Source]) -> list[Row]:
    """Read every list as training and tests do, and look for the files that they name.

    Args:
        source: makes the benchmark's source.
    """
    try:
        made = source()
        kind = made.lists
    except DataError as error:
        return [Row("image lists", "readable", str(error), "missing")]
    images: set[str] = set()
    faults: dict[str, str] = {}  # validation and test often have one list: it is told once
    for fold in range(made.folds) if made.folds else [None]:
        for split in SPLITS:
            try:
                images.update(made.listing(split, fold).images)
            except DataError as error:
                reason = str(error).partition("; ")[0]
                faults.setdefault(reason.replace(" val list", " test list"), reason)
    found = f"{len(faults)} of the lists name missing files" if faults else f"all of {len(images):,} images"
    return [
        Row("image lists", "published", kind, "ok" if kind == "published" else "note"),
        Row("files named by the lists", "all", found, "missing" if faults else "ok", tuple(faults.values())),
    ]


def _fetch(benchmark: str, place: Path, site: str, by_hand: str) -> None:
    with Bar(f"fetching lists of {benchmark}", len(FILES[benchmark])) as bar:
        for name in FILES[benchmark]:
            part = download(f"{site}/{benchmark}/{name}", place / name, by_hand=by_hand, limit=_MOST)
            part.replace(place / name)
            bar.advance()


def _pascal(folder: Path) -> Iterator[tuple[str, Listing]]:
    splits: tuple[Split, ...] = ("train", "val")
    for split in splits:
        for fold in range(pascal_lists.FOLDS):
            yield f"pascal/{split}/{fold}", pascal_lists.read_list(folder, split, fold)


def _coco(folder: Path) -> Iterator[tuple[str, Listing]]:
    classes_of: dict[Split, Callable[[int], tuple[int, ...]]]
    classes_of = {"train": coco_lists.trained, "val": coco_lists.held_out}
    for fold in range(coco_lists.FOLDS):
        for split, classes in classes_of.items():
            by_class = coco_lists.read_coco_lists(folder, split, fold)
            yield f"coco/{split}/{fold}", coco_lists.listing_of(by_class, classes(fold))


def _fss(folder: Path) -> Iterator[tuple[str, Listing]]:
    for split, categories in read_categories(folder).items():
        yield f"fss/{split}", category_listing(categories, 0)


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, Listing]]]] = {
    "pascal": _pascal,
    "coco": _coco,
    "fss": _fss,
}
