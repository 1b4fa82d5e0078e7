"""The run over all images: supports first, then image by image; a bad one doesn't stop the others."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hmseg import environment
from hmseg.annotations.marked import Found
from hmseg.annotations.supports import find_supports
from hmseg.annotations.writing import write_common, write_image
from hmseg.data.pairs import not_read_note
from hmseg.errors import DataError, HmsegError
from hmseg.files import owned, sha256
from hmseg.predicting.layout import Query, find_queries, queries_not_read
from hmseg.predicting.summary import Journal, image_entry, summarise, write_summary
from hmseg.predicting.targets import Targets
from hmseg.preparation.bars import Bar
from hmseg.segmenter import Segmentation, Segmenter
from hmseg.segmenter.images import Pixels, to_pixels
from hmseg.segmenter.loading import find_checkpoint
from hmseg.segmenter.segmentation import save_image
from hmseg.visualise.mask_sheet import Shown, write_sheet


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        ckpt: checkpoint or run folder; None: the bundled one.
        support: folder or file, see :func:`hmseg.annotations.supports.find_supports`.
        query: an image, a folder or a pattern.
        out: folder to write.
        support_images: folder of the support's images, where they lie elsewhere.
        form: of the masks, one of ``hmseg.annotations.writing.FORMATS``.
        name: of the class, where there is only one.
        reading: what mask files mean, see ``hmseg.data.mask_meaning.meaning``.
        overwrite: replace what is there.
        resume: go on with an unfinished prediction.
        overlays: write them.
        batch: images that pass the backbone together; None: as the device likes it.
        options: of ``Segmenter.from_checkpoint``.
    """

    ckpt: Path | None
    support: Path
    query: str
    out: Path
    support_images: Path | None = None
    form: str = "png"
    name: str = "object"
    reading: str | int = "auto"
    overwrite: bool = False
    resume: bool = False
    overlays: bool = True
    batch: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def run(request: Request) -> None:
    """Segments all queries, writes masks, overlays and summary, and lists what could not be used.

    Raises:
        HmsegError: checkpoint or supports that can't be used, a folder that can't be written; at the end,
            when everything else is done, if an image could not be used.
    """
    environment.commit()
    targets = Targets(request.out, request.overlays, request.form)
    queries = find_queries(request.query, request.out)
    found = find_supports(request.support, request.name, request.support_images, request.reading)
    checkpoint = find_checkpoint(request.ckpt)
    segmenter = Segmenter.from_checkpoint(checkpoint, **request.options)
    supports = request.support.rglob("*") if request.support.is_dir() else ()
    for what, note in (("supports", not_read_note(supports)), ("queries", queries_not_read(request.query))):
        if note:
            print(f"{what}: {note}")
    show_supports(segmenter, found, request.reading)
    info = describe(segmenter, checkpoint, found, request.form)
    make_folder(targets.out)
    with owned(targets.out / ".lock", f"out={targets.out}"):
        _segment(request, targets, segmenter, queries, info)


def _segment(
    request: Request, targets: Targets, segmenter: Segmenter, queries: Sequence[Query], info: dict[str, Any]
) -> None:
    """Goes on with what is there, and writes the rest."""
    journal = Journal(targets.journal, info["key"])
    if request.overwrite:
        journal.remove()
    done = {
        name: entry
        for name, entry in journal.read().items()
        if all(path.is_file() for path in targets.of_image(name))
    }
    journal.start(done)
    if targets.overlays:
        write_sheet(targets.supports, supports_shown(segmenter))
    failed: list[dict[str, str]] = []
    left = [query for query in queries if query.name not in done]
    try:
        with Bar("images", len(queries)) as bar:
            bar.start_at(len(queries) - len(left))
            for entry in predicted(segmenter, left, targets, request.batch, failed, bar):
                journal.add(entry)
                done[entry["name"]] = entry
    except KeyboardInterrupt:
        print(f"{len(done)} of {len(queries)} images are done; the same command with resume=true goes on")
        raise
    entries = [done[query.name] for query in queries if query.name in done]
    if targets.common is not None:
        make_folder(targets.common.parent)
        write_common(targets.common, request.form, entries, segmenter.classes)
    write_summary(targets.summary, summarise(info, segmenter.classes, entries, failed))
    report(segmenter.classes, entries, failed, targets.summary)
    if failed:
        raise HmsegError(f"{len(failed)} of {len(queries)} images could not be used, see the list above")
    journal.remove()


def show_supports(segmenter: Segmenter, found: Found, reading: str | int = "auto") -> None:
    """Fits every class; DataError at the first support that can't be used, since all results hang on it."""
    for note in found.notes():
        print(f"supports: {note}")
    for name, marked in found.classes.items():
        segmenter.fit([each.image for each in marked], [each.mask for each in marked], name, reading)
    counts = ", ".join(f"{name} ({len(marked)})" for name, marked in found.classes.items())
    print(f"supports: {counts}")


def supports_shown(segmenter: Segmenter) -> Iterator[Shown]:
    """The supports as the network sees them."""
    for name, supports in segmenter.supports.items():
        for each in supports:
            yield Shown(name, each.image, each.mask)


def describe(segmenter: Segmenter, checkpoint: Path, found: Found, form: str) -> dict[str, Any]:
    """What the results are made with; ``key`` is a digest of all that they depend on."""
    digest = hashlib.sha256()
    for name, supports in segmenter.supports.items():
        for each in supports:
            digest.update(f"{name}\n".encode() + each.image.tobytes() + each.mask.tobytes())
    about = {
        "checkpoint": {"file": checkpoint.name, "sha256": sha256(checkpoint)},
        "masking": repr(segmenter.network.masking),
        "side": segmenter.side,
        "aggregation": segmenter.aggregation,
        "precision": str(segmenter.encoder.precision).removeprefix("torch."),
        "refine": segmenter.refine,
        "presence": segmenter.presence,
        "supports_sha256": digest.hexdigest(),
        "masks": form,
    }
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    listed = {
        name: [{"image": str(each.image), "mask": str(each.file)} for each in marked]
        for name, marked in found.classes.items()
    }
    return {"key": key, **about, "supports": listed, **environment.describe()}


def predicted(
    segmenter: Segmenter,
    queries: Sequence[Query],
    targets: Targets,
    batch: int | None,
    failed: list[dict[str, str]],
    bar: Bar,
) -> Iterator[dict[str, Any]]:
    """Segments the queries and writes their files.

    Args:
        segmenter: with supports.
        queries: in order.
        targets: where the files go.
        batch: images that pass the backbone together; None: as the device likes it.
        failed: gets the images that can't be used, with the reason.
        bar: gets ahead.

    Yields:
        The summary's entry of each image whose files are written.
    """
    size = batch or (1 if segmenter.device.type == "cpu" else 8)
    for first in range(0, len(queries), size):
        group = queries[first : first + size]
        read = list(_read(group, failed))
        started = time.perf_counter()
        results = list(segmenter.predict_many([pixels for _, pixels in read], size))
        seconds = (time.perf_counter() - started) / max(1, len(read))
        for (query, _), result in zip(read, results, strict=True):
            write(result, query, targets)
            yield {
                "name": query.name,
                "file_name": str(query.path),
                "file": query.file,
                "mask": below(targets.out, targets.mask(query.name)),
                "overlay": below(targets.out, targets.overlay(query.name) if targets.overlays else None),
                "seconds": round(seconds, 4),
                **image_entry(result),
            }
        bar.advance(len(group))


def _read(queries: Iterable[Query], failed: list[dict[str, str]]) -> Iterator[tuple[Query, Pixels]]:
    for query in queries:
        try:
            yield query, to_pixels(query.path)
        except DataError as error:
            failed.append({"file_name": str(query.path), "error": str(error)})


def write(result: Segmentation, query: Query, targets: Targets) -> None:
    """Mask and overlay of a query; DataError where they can't be written."""
    for path in targets.of_image(query.name):
        make_folder(path.parent)
        if path == targets.overlay(query.name):
            save_image(result.overlay(), path)
        elif targets.form == "png":
            save_image(result.label_image(), path)
        else:
            write_image(path, targets.form, result.labels, result.names, query.path)


def make_folder(folder: Path) -> None:
    """Makes it where it is missing; DataError where it can't be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder} can't be made ({error.strerror}): give another out") from error


def below(folder: Path, path: Path | None) -> str | None:
    """A path from a folder on, with ``/``."""
    return None if path is None else path.relative_to(folder).as_posix()


def report(
    names: Sequence[str],
    entries: Sequence[Mapping[str, Any]],
    failed: Sequence[Mapping[str, str]],
    path: Path,
) -> None:
    """Prints in how many images each class was found, the images that failed, and where the summary is."""
    for number, name in enumerate(names):
        found = sum(each["classes"][number]["area"] > 0 for each in entries)
        print(f"{name}: found in {found} of {len(entries)} images")
    if entries:
        print(
            f"{sum(each['seconds'] for each in entries) / len(entries):.3f} seconds an image, without files"
        )
    for each in failed:
        print(f"not used: {each['error']}")
    print(f"written to {path}")
