"""Images kept after resizing: some in memory, or all of them in files that every worker and run shares."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import cv2
import PIL

from hmseg.data import cache_file
from hmseg.data.cache_file import DamagedError, Entry, Stamps
from hmseg.data.episode import Sample
from hmseg.data.source import Source
from hmseg.data.transforms import find_resizer, resize_pixels
from hmseg.errors import ConfigError, DataError

log = logging.getLogger(__name__)

Read = Callable[[str, int], Sample]
"""(image name, class id) -> a sample; its image may be resized already, its masks have their own size."""

_REMEDY = "mend that, choose another folder with loader.cache, or set it to null"


class FileSource(Source, Protocol):
    """A source that says which files an image comes from, so that a cache can tell when they change."""

    def files(self, name: str) -> tuple[Path, ...]:
        """The image and whatever its masks are made from."""
        ...


class InMemory:
    """Keeps the first samples that it reads: evaluation goes through the same images again and again.

    Those that come when it is full are read each time. Dropping the oldest ones instead would drop all of
    a list that is a little too long, each just before it comes again.

    Args:
        read: where samples come from.
        limit: how many are kept, at most; one takes 0.5 MB at 400 pixels.
    """

    def __init__(self, read: Read, limit: int) -> None:
        self._read, self._limit = read, limit
        self._kept: dict[tuple[str, int], Entry] = {}

    def __call__(self, name: str, class_id: int) -> Sample:
        """The sample; its image is shared and refuses to be written to. Raises what reading it raises."""
        kept = self._kept.get((name, class_id))
        if kept is not None:
            return kept.sample(class_id)
        sample = self._read(name, class_id)
        if len(self._kept) < self._limit:
            image = sample.image.view()
            image.flags.writeable = False
            sample = sample._replace(image=image)
            self._kept[name, class_id] = Entry.of(class_id, sample)
        return sample

    def __getstate__(self) -> dict[str, Any]:
        """Without the samples: they are not worth sending to a worker."""
        return self.__dict__ | {"_kept": {}}


class ImageCache:
    """Resized images in files, one for each image, made when an image is first read and memory-mapped after.

    Pixels are those of reading without it. Safe for any number of workers and runs at once: files appear
    whole, and each can be made again. A file is made again when the files of the source have another size or
    time of change, or when it is damaged (its CRC-32 is looked at once per process); other versions of the
    libraries that resize have a folder of their own. It may be deleted at any time.

    Args:
        folder: the cache's folder, shared by all sources, sizes and runs. An image takes 0.5 MB at 400
            pixels: 5 GB for PASCAL-5i, 60 GB for COCO-20i.
        source: where images come from.
        size: height and width wanted, in pixels.
        resize: ``pil`` or ``opencv``.

    Raises:
        ConfigError: the source does not say which files it reads, so a change could not be noticed.
    """

    def __init__(
        self, folder: str | Path, source: Source, size: tuple[int, int], resize: str = "pil"
    ) -> None:
        if not hasattr(source, "files"):
            raise ConfigError(f"images of {source.name} are not read from files: set loader.cache=null")
        find_resizer(resize)
        self.source = cast(FileSource, source)
        self.size = size
        self.resize = resize
        library = f"pillow{PIL.__version__}" if resize == "pil" else f"opencv{cv2.__version__}"
        name = re.sub(r"[^\w.-]", "_", source.name)
        self.folder = Path(folder) / f"{name}-{size[0]}x{size[1]}-{library}"
        self._checked: set[Path] = set()

    def __call__(self, name: str, class_id: int) -> Sample:
        """The sample with its image resized and its masks at their own size.

        Raises:
            DataError: as of the source; or the cache can't be read or written.
        """
        files = self.source.files(name)
        try:
            stamps = [[status.st_size, status.st_mtime_ns] for status in map(os.stat, files)]
        except OSError:
            return self._resized(name, class_id)  # or rather the source's error for the missing file
        path = self._path(name, files)
        entry = self._load(path, stamps)
        if entry is not None and class_id in entry.packed:
            return entry.sample(class_id)
        sample = self._resized(name, class_id)
        fresh = Entry.of(class_id, sample)
        self._store(path, stamps, fresh if entry is None else entry.merged(fresh))
        return sample

    def _resized(self, name: str, class_id: int) -> Sample:
        sample = self.source.read(name, class_id)
        return sample._replace(image=resize_pixels(sample.image, self.size, self.resize))

    def _path(self, name: str, files: tuple[Path, ...]) -> Path:
        """Data under another root has other files, so one cache serves all."""
        how = getattr(self.source, "reading", "")  # of one's own data: settings change what a file means
        key = "\0".join((name, *(str(file.absolute()) for file in files), *([how] if how else [])))
        digest = hashlib.sha256(key.encode()).hexdigest()[:32]
        return self.folder / digest[:2] / digest[2:]

    def _load(self, path: Path, stamps: Stamps) -> Entry | None:
        """The entry if there is one that still holds."""
        try:
            made_from, entry = cache_file.read(path, self.size, checksum=path not in self._checked)
        except FileNotFoundError:
            return None
        except DamagedError as error:
            log.warning("image cache %s is damaged (%s): it is made again", path, error)
            return None
        except OSError as error:
            raise DataError(f"image cache {path} can't be read ({error.strerror}): {_REMEDY}") from None
        self._checked.add(path)
        return entry if made_from == stamps else None

    def _store(self, path: Path, stamps: Stamps, entry: Entry) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            cache_file.write(path, stamps, entry)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "no space is left" if full else error.strerror
            raise DataError(f"image cache {self.folder} can't be written ({reason}): {_REMEDY}") from None
