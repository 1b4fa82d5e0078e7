"""One preparation from beginning to end: lists, archives, masks, verification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hmseg.data.source import Source
from hmseg.errors import DataError
from hmseg.preparation import archives, coco, fss, lists, pascal
from hmseg.preparation.archives import Archive, Shelf
from hmseg.preparation.bars import size
from hmseg.preparation.files import locked
from hmseg.preparation.report import Row, show
from hmseg.preparation.work import Work, say


class _Benchmark(Protocol):
    """The modules ``pascal``, ``coco`` and ``fss``."""

    def prepare(self, work: Work) -> None: ...

    def verify(self, work: Work) -> list[Row]: ...


BENCHMARKS: dict[str, _Benchmark] = {"pascal": pascal, "coco": coco, "fss": fss}
ARCHIVES: dict[str, tuple[Archive, ...]] = {
    "pascal": (archives.VOC, archives.SBD),
    "coco": (archives.COCO_TRAIN, archives.COCO_VAL, archives.COCO_ANNOTATIONS),
    "fss": (),
}


@dataclass(frozen=True)
class Place:
    """A benchmark's folder.

    Attributes:
        benchmark: ``pascal``, ``coco`` or ``fss``.
        root: the folder.
        splits: folder of its lists; None: ``splits`` below the root.
        masks: COCO's, as in ``CocoSource``.
    """

    benchmark: str
    root: Path
    splits: Path | None = None
    masks: str | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        dataset: name for the table.
        places: the folders that it consists of.
        source: makes the source that reads it, to see its lists as a run sees them.
        shelf: where archives come from.
        downloads: folder of fetched archives; None: ``downloads`` below each root.
        check: False prepares and verifies; True verifies; ``deep`` verifies every file.
        fetch_lists: get the published lists.
        workers: processes.
    """

    dataset: str
    places: tuple[Place, ...]
    source: Callable[[], Source]
    shelf: Shelf
    downloads: Path | None
    check: bool | str
    fetch_lists: bool
    workers: int


def run(plan: Plan) -> None:
    """Do it, print the table.

    Raises:
        DataError: a step failed, or something is missing or wrong at the end.
    """
    works = [(place, _work(plan, place)) for place in plan.places]
    if not plan.check:
        known = [archive for place in plan.places for archive in ARCHIVES[place.benchmark]]
        plan.shelf.check_names(known)
        for place, work in works:
            with locked(place.root):
                if plan.fetch_lists:
                    lists.fetch(place.benchmark, work.splits)
                BENCHMARKS[place.benchmark].prepare(work)
    rows = [
        row for place, work in works for row in _named(place, BENCHMARKS[place.benchmark].verify(work), plan)
    ]
    rows += _verify_lists(plan, works)
    show(f"{plan.dataset}: {', '.join(str(place.root) for place in plan.places)}", rows)
    if failed := [row for row in rows if row.failed]:
        remedy = "run without check to prepare it" if plan.check else "see the table"
        raise DataError(
            f"{plan.dataset} is not complete: {len(failed)} of {len(rows)} checks failed "
            f"({failed[0].what}: {failed[0].found}); {remedy}"
        )
    for _, work in works:
        _mention(work.downloads)


def _work(plan: Plan, place: Place) -> Work:
    splits = place.splits
    if splits is not None and len(plan.places) > 1:
        splits = splits / place.benchmark
    return Work(
        root=place.root,
        splits=lists.folder_of(place.benchmark, place.root, splits),
        shelf=plan.shelf,
        downloads=plan.downloads or place.root / "downloads",
        workers=plan.workers,
        deep=plan.check == "deep",
        masks=place.masks,
    )


def _verify_lists(plan: Plan, works: list[tuple[Place, Work]]) -> list[Row]:
    absent = [
        Row(
            f"image lists of {place.benchmark}",
            "published",
            f"none in {work.splits}: a run makes its own from the masks; splits=fetch gets them",
            "note",
        )
        for place, work in works
        if not work.splits.is_dir()
    ]
    return absent or lists.verify(plan.source)


def _named(place: Place, rows: list[Row], plan: Plan) -> list[Row]:
    """Rows that say which benchmark they are of, where there are two."""
    if len(plan.places) == 1:
        return rows
    return [
        Row(f"{place.benchmark}: {row.what}", row.expected, row.found, row.state, row.items) for row in rows
    ]


def _mention(downloads: Path) -> None:
    """Fetched archives take half the disk, and are the user's to remove."""
    if downloads.is_dir():
        used = sum(path.stat().st_size for path in downloads.iterdir() if path.is_file())
        if used:
            say(f"{downloads}: the archives ({size(used)}) are not needed any more")
