"""Episodes as a file: what anyone needs to evaluate on exactly the same ones, forever.

JSON Lines: a header, then one episode per line,
``{"class": 0, "query": "2007_000033", "supports": ["2010_001174"]}``, with classes from 0 on and the image
names of the source.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hmseg.data.episode import EpisodeSpec
from hmseg.data.protocols import digest
from hmseg.data.source import SPLITS, Source
from hmseg.errors import DataError
from hmseg.files import writing
from hmseg.untrusted import parsing, read_bytes, reason

FORMAT, VERSION = "hmseg-episodes", 1
_LARGEST = 10**9  # bytes


@dataclass(frozen=True)
class Manifest:
    """A list of episodes and where it comes from.

    Attributes:
        dataset: name of the source.
        fold: None for a benchmark without folds.
        split: ``test`` or ``val``.
        shot: supports of each episode.
        protocol: how they were drawn.
        seeds: of the protocol; the episodes of each come one after the other, equally many.
        lists: ``published`` or ``own``, as of the source they were drawn from.
        episodes: the list.
    """

    dataset: str
    fold: int | None
    split: str
    shot: int
    protocol: str
    seeds: tuple[int, ...]
    lists: str
    episodes: tuple[EpisodeSpec, ...]

    @property
    def digest(self) -> str:
        """As of ``hmseg.data.protocols.digest``."""
        return digest(self.episodes)

    def header(self) -> dict[str, Any]:
        """The first line of the file."""
        fields = asdict(self)
        del fields["episodes"]
        count = {"episodes": len(self.episodes), "sha256": self.digest}
        return {"format": FORMAT, "version": VERSION, **fields, "seeds": list(self.seeds), **count}


_HEADER: dict[str, tuple[type, ...]] = {
    "dataset": (str,), "fold": (int, type(None)), "split": (str,), "shot": (int,), "protocol": (str,),
    "seeds": (list,), "lists": (str,), "episodes": (int,), "sha256": (str,),
}  # fmt: skip


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Writes the file, whole or not at all.

    Raises:
        DataError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing(path) as file:
            file.write(json.dumps(manifest.header()) + "\n")
            for spec in manifest.episodes:
                line = {"class": spec.class_id, "query": spec.query, "supports": list(spec.supports)}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        raise DataError(f"manifest {path} cannot be written ({error.strerror}): give another out=…") from None


def read_manifest(path: Path) -> Manifest:
    """Reads a file and checks it in itself; ``check_manifest`` says whether it goes with a source.

    Raises:
        DataError: it is missing, is no manifest, or its lines are not what its header says.
    """
    try:
        raw = read_bytes(path, _LARGEST)
    except OSError as error:
        raise DataError(f"manifest {path} cannot be read ({reason(error)}): check the path") from None
    with parsing(
        lambda why: DataError(
            f"manifest {path} is not text ({why}): a file of python -m hmseg.episodes was expected"
        )
    ):
        lines = raw.decode().split("\n")  # as it was written: names may hold other separators of lines
    header = _header(path, lines[0] if lines else "")
    specs = tuple(
        _episode(f"manifest {path} line {number}", line, header["shot"])
        for number, line in enumerate(lines[1:], start=2)
        if line.strip()
    )
    if len(specs) != header["episodes"] or digest(specs) != header["sha256"]:
        raise DataError(
            f"manifest {path} has been cut or changed ({len(specs)} of {header['episodes']} episodes"
            f"{'' if len(specs) != header['episodes'] else ', another SHA-256'}): fetch or write it again"
        )
    kept = {key: header[key] for key in ("dataset", "fold", "split", "shot", "protocol", "lists")}
    return Manifest(**kept, seeds=tuple(header["seeds"]), episodes=specs)


def _header(path: Path, line: str) -> dict[str, Any]:
    content = _parsed(line)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{path} is no manifest of episodes: a file of python -m hmseg.episodes was expected")
    if content.get("version") != VERSION:
        raise DataError(
            f"manifest {path} has version {content.get('version')}, this program reads {VERSION}: use the "
            "program that wrote it, or draw the episodes again"
        )
    for key, kinds in _HEADER.items():
        if type(content.get(key)) not in kinds:
            raise DataError(f"manifest {path} line 1: {key} is missing or of the wrong type")
    if content["split"] not in SPLITS or not all(type(seed) is int for seed in content["seeds"]):
        raise DataError(f"manifest {path} line 1: split or seeds are not what they can be")
    if not content["seeds"] or content["episodes"] % len(content["seeds"]):
        raise DataError(f"manifest {path} line 1: the number of episodes is not a multiple of the seeds'")
    return content


def _episode(where: str, line: str, shot: int) -> EpisodeSpec:
    content = _parsed(line)
    if isinstance(content, dict) and content.keys() == {"class", "query", "supports"}:
        class_id, query, supports = content["class"], content["query"], content["supports"]
        names = isinstance(query, str) and isinstance(supports, list)
        if type(class_id) is int and names and all(isinstance(name, str) for name in supports):
            if len(supports) != shot:
                raise DataError(f"{where}: {len(supports)} supports came, the header says {shot}")
            if query in supports:
                raise DataError(f"{where}: the query {query} is among its own supports")
            return EpisodeSpec(class_id, query, tuple(supports))
    raise DataError(
        f'{where}: {line[:60]!r} came, {{"class": 0, "query": "…", "supports": ["…"]}} was expected'
    )


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except Exception:  # noqa: BLE001 - whatever is wrong with a line, it is none
        return None


def check_manifest(manifest: Manifest, source: Source, fold: int | None, shot: int | None = None) -> None:
    """Can the episodes be read from a source? Looks at files only for pairs that its list does not have.

    Args:
        manifest: as read.
        source: where the images are to come from.
        fold: that the manifest must be of.
        shot: likewise; None for any.

    Raises:
        DataError: it is of another data set, fold or shot, names a class that the fold does not test, or an
            image that the source does not have or that does not show the class.
    """
    for key, came, expected in (
        ("dataset", manifest.dataset, source.name),
        ("fold", manifest.fold, fold),
        ("shot", manifest.shot, shot if shot is not None else manifest.shot),
    ):
        if came != expected:
            raise DataError(
                f"the manifest is of {key}={_shown(came)}, not of {key}={_shown(expected)}: give "
                f"{key}={_shown(came)}"
            )
    split = next(each for each in SPLITS if each == manifest.split)
    classes = source.classes(split, fold)
    listed = frozenset(source.listing(split, fold).pairs)
    for name, class_id in _pairs(manifest.episodes):
        if class_id not in classes:
            raise DataError(
                f"the manifest has an episode of class {class_id}, but the {split} classes of fold "
                f"{_shown(fold)} are {', '.join(map(str, classes[:20]))}{', …' * (len(classes) > 20)}: it is "
                "of other data"
            )
        if (name, class_id) not in listed:
            if not source.has(name):
                raise DataError(
                    f"the manifest names the image {name!r}, which {source.name} does not have here: "
                    "complete the data, or check dataset.root"
                )
            source.read(name, class_id)  # says so if the class is not in it


def _shown(value: object) -> object:
    return "null" if value is None else value


def _pairs(specs: Iterable[EpisodeSpec]) -> list[tuple[str, int]]:
    """The different (image, class) pairs of episodes, in order."""
    every = ((name, spec.class_id) for spec in specs for name in (spec.query, *spec.supports))
    return list(dict.fromkeys(every))
