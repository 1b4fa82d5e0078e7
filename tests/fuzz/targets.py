"""The readers: each is given a file (or its bytes), and may refuse it in one line, and do nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hmseg.annotations.uploads import marked_in
from hmseg.callbacks.journal import _rows_in
from hmseg.claims.events import read_events
from hmseg.claims.table import read_claims
from hmseg.config.composer import Composer
from hmseg.config.runs import _check_stored, _stored_overrides
from hmseg.data import cache_file
from hmseg.data.coco_masks import JsonMasks
from hmseg.data.lists import read_lines
from hmseg.data.manifest import read_manifest
from hmseg.data.mask_files import read_object_mask
from hmseg.data.pickles import read_plain_pickle
from hmseg.data.presence import _kept
from hmseg.data.reading import read_image, read_label_map, read_photo
from hmseg.episode_table import read_table
from hmseg.errors import HmsegError
from hmseg.preparation.unpack import unpack
from hmseg.published import read_published
from hmseg.reporting.gathering import from_records
from hmseg.run_checkpoints import read_checkpoint
from hmseg.segmenter.loading import find_masking
from hmseg.timm_networks import read_file
from hmseg.tracking.origin import read_origin
from hmseg.untrusted.settings import settings_of, value_of
from hmseg.webpage.limits import Limits, decode_image, decode_mask
from hmseg.webpage.server import json_object
from hmseg.weights import read_state_dict

SEEDS = Path(__file__).parent / "seeds"
PAGE = Limits(max_mb=1, max_pixels=200_000)

Read = Callable[[Path], object]


class Broken(AssertionError):  # noqa: N818 - what is broken is a promise
    """A reader did something else than read or refuse in one line."""


def check(read: Read, path: Path) -> bool:
    """Whether the reader took the file.

    Raises:
        Broken: it raised something of a parser's, or more than one line.
    """
    try:
        read(path)
    except HmsegError as error:
        text = str(error)
        if not text or "\n" in text or len(text) > 4000:
            raise Broken(f"not one line: {text[:500]!r}") from error
        return False
    except Exception as error:
        raise Broken(f"{type(error).__name__}: {str(error)[:300]}") from error
    return True


def _every(*reads: Read) -> Read:
    """All of some readers, each of which may refuse; refused only where all refuse."""

    def read(path: Path) -> None:
        refused = []
        for each in reads:
            try:
                each(path)
            except HmsegError as error:
                refused.append(error)
        if len(refused) == len(reads):
            raise refused[0]

    return read


def _masks(path: Path) -> None:
    masks = JsonMasks(path)
    for name in masks.names[:5]:
        with suppress(HmsegError):
            masks.label_map(name)


def _settings(path: Path) -> None:
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return
    settings = settings_of({"hmseg": {"config": config}})
    value_of(settings, "aggregation", str)
    find_masking(settings, None)


def _overrides(path: Path) -> None:
    with Composer() as composer:
        for override in composer.parse(_stored_overrides(path)):
            _check_stored(path, composer, override)


def _reported(path: Path) -> None:
    gathered = from_records(path)
    for one in gathered.measurements:
        assert one.miou_by_set is None or len(one.miou_by_set) == 2


def _upload(path: Path) -> None:
    marked_in(path.read_bytes(), "a.jpg", (20, 30))


def _unpacked(path: Path) -> None:
    root = path.parent / "unpacked"
    root.mkdir(exist_ok=True)
    unpack(path, root, lambda name: name)
    outside = [each for each in path.parent.iterdir() if each not in (root, path)]
    assert not outside, outside


def _cached(path: Path) -> None:
    _, entry = cache_file.read(path, (2, 3))
    for class_id in entry.packed:
        entry.sample(class_id)


TARGETS: Mapping[str, Read] = {
    "checkpoint": _every(read_checkpoint, read_published, read_state_dict),
    "safetensors": read_file,
    "settings": _settings,
    "overrides": _overrides,
    "pickle": read_plain_pickle,
    "list": lambda path: read_lines(path, "PASCAL-5i"),
    "manifest": read_manifest,
    "episodes": read_table,
    "journal": lambda path: _rows_in(path, "key"),
    "records": _reported,
    "claims": read_claims,
    "events": read_events,
    "origin": lambda path: read_origin(path.parent),
    "presence": lambda path: _kept(path, "state"),
    "cache": _cached,
    "coco": _masks,
    "annotation": _upload,
    "image": _every(read_image, read_photo, read_label_map, read_object_mask),
    "upload": _every(
        lambda path: decode_image(path.read_bytes(), PAGE),
        lambda path: decode_mask(path.read_bytes(), (20, 30), PAGE),
    ),
    "request": lambda path: json_object(path.read_bytes()),
    "archive": _unpacked,
}
"""Each reader by name; its seeds are the files of the folder of that name."""
NAMES: Mapping[str, str] = {"safetensors": "file.safetensors", "origin": "wandb.json"}
"""What the file has to be called, where that counts."""


def seeds_of(name: str) -> list[bytes]:
    """The contents of a target's seeds, in the order of their names."""
    return [path.read_bytes() for path in sorted((SEEDS / name).iterdir())]


def run(name: str, content: bytes, folder: Path) -> bool:
    """Gives a target one input; whether it was taken. Raises Broken."""
    path = folder / NAMES.get(name, "file")
    path.write_bytes(content)
    return check(TARGETS[name], path)


def plain(value: Any) -> bytes:
    """JSON, for seeds."""
    return json.dumps(value).encode()
