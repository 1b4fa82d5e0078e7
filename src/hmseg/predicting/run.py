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
from hmseg.errors import DataError, HmsegError
from hmseg.files import sha256
from hmseg.predicting.layout import Pair, Query, find_queries, find_supports
from hmseg.predicting.summary import Journal, image_entry, summarise, write_summary
from hmseg.predicting.targets import Targets
from hmseg.preparation.bars import Bar
from hmseg.segmenter import Segmentation, Segmenter
from hmseg.segmenter.images import Pixels, to_pixels
from hmseg.segmenter.loading import find_checkpoint
from hmseg.segmenter.segmentation import save_image


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        ckpt: checkpoint or run folder; None: the bundled one.
        support: folder, see ``hmseg.predicting.layout``.
        query: an image, a folder or a pattern.
        out: folder to write.
        name: of the class, where there is only one.
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
    name: str = "object"
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
    targets = Targets(request.out, request.overlays)
    queries = find_queries(request.query, request.out)
    pairs = find_supports(request.support, request.name)
    checkpoint = find_checkpoint(request.ckpt)
    segmenter = Segmenter.from_checkpoint(checkpoint, **request.options)
    show_supports(segmenter, pairs)
    info = describe(segmenter, checkpoint, pairs)
    journal = _started(targets, info["key"], request.overwrite)
    done = {name: entry for name, entry in journal.read().items() if targets.mask(name).is_file()}
    journal.start(done)
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
    write_summary(targets.summary, summarise(info, segmenter.classes, entries, failed))
    report(segmenter.classes, entries, failed, targets.summary)
    if failed:
        raise HmsegError(f"{len(failed)} of {len(queries)} images could not be used, see the list above")
    journal.remove()


def show_supports(segmenter: Segmenter, pairs: Mapping[str, Sequence[Pair]]) -> None:
    """Fits every class; DataError at the first support that can't be used, since all results hang on it."""
    for name, files in pairs.items():
        segmenter.fit([each.image for each in files], [each.mask for each in files], name=name)
    counts = ", ".join(f"{name} ({len(files)})" for name, files in pairs.items())
    print(f"supports: {counts}")


def describe(segmenter: Segmenter, checkpoint: Path, pairs: Mapping[str, Sequence[Pair]]) -> dict[str, Any]:
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
        "supports_sha256": digest.hexdigest(),
    }
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    listed = {
        name: [{"image": str(each.image), "mask": str(each.mask)} for each in files]
        for name, files in pairs.items()
    }
    return {"key": key, **about, "supports": listed, **environment.describe()}


def _started(targets: Targets, key: str, overwrite: bool) -> Journal:
    try:
        targets.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"out={targets.out} can't be made ({error.strerror}): give another folder") from error
    journal = Journal(targets.journal, key)
    if overwrite:
        journal.remove()
    return journal


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
                "mask": targets.mask(query.name).relative_to(targets.out).as_posix(),
                "overlay": targets.overlay(query.name).relative_to(targets.out).as_posix()
                if targets.overlays
                else None,
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
    made = {targets.mask(query.name): result.label_image}
    if targets.overlays:
        made[targets.overlay(query.name)] = result.overlay
    for path, make in made.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{path.parent} can't be made ({error.strerror}): give another out") from error
        save_image(make(), path)


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
