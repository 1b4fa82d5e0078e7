"""The archives of the official hosts: where, how large, with which digest; found, fetched, checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hmseg.errors import ConfigError, DataError
from hmseg.preparation.bars import Bar, size
from hmseg.preparation.download import download

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A published file.

    Attributes:
        name: of the file.
        url: at its official host.
        size: bytes.
        digest: ``algorithm:hex``.
    """

    name: str
    url: str
    size: int
    digest: str


# Size as the host announces it; digest as torchvision's VOCDetection and SBDataset give it.
VOC = Archive(
    "VOCtrainval_11-May-2012.tar",
    "https://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    1_999_639_040,
    "md5:6cd6e144f989b92b3379bac3b3de84fd",
)
SBD = Archive(
    "benchmark.tgz",
    "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
    1_419_539_633,
    "md5:82b4d87ceb2ed10f6038a1cba92111cb",
)
# Sizes and digests as TensorFlow Datasets give them (url_checksums/coco2014.txt). This bucket is also
# images.cocodataset.org, which has no certificate of its own.
COCO_TRAIN = Archive(
    "train2014.zip",
    "https://s3.amazonaws.com/images.cocodataset.org/zips/train2014.zip",
    13_510_573_713,
    "sha256:ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
)
COCO_VAL = Archive(
    "val2014.zip",
    "https://s3.amazonaws.com/images.cocodataset.org/zips/val2014.zip",
    6_645_013_297,
    "sha256:fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
)
COCO_ANNOTATIONS = Archive(
    "annotations_trainval2014.zip",
    "https://s3.amazonaws.com/images.cocodataset.org/annotations/annotations_trainval2014.zip",
    252_872_794,
    "sha256:031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
)


@dataclass(frozen=True)
class Shelf:
    """Where archives come from: given ones first, then earlier downloads, then the network.

    Attributes:
        given: files, or folders with such files; recognised by their names.
        urls: other places to fetch from; recognised by the file name at their end.
        checksum: whether size and digest must be those published.
    """

    given: Sequence[Path] = ()
    urls: Sequence[str] = ()
    checksum: bool = True
    _used: set[Path] = field(default_factory=set, compare=False)

    def check_names(self, known: Sequence[Archive]) -> None:
        """Refuse what belongs to none of the archives.

        Args:
            known: the archives; none where the user's own may have any name, and nothing is fetched.

        Raises:
            ConfigError: a given file or URL has another name; a URL is not http or https.
            DataError: a given path does not exist.
        """
        names = [archive.name for archive in known]
        for path in self.given:
            if not path.exists():
                raise DataError(f"archive={path}: there is no such file or folder")
            if known and path.is_file() and path.name not in names:
                raise ConfigError(f"archive={path}: expected a file named {' or '.join(names)}, or a folder")
        for url in self.urls:
            if not known:
                raise ConfigError(f"url={url}: nothing can be fetched of this data set; give archive=…")
            if urlsplit(url).scheme not in ("http", "https"):
                raise ConfigError(f"url={url}: expected http:// or https://; give a local file as archive=…")
            if _last(url) not in names:
                raise ConfigError(f"url={url}: expected a URL that ends in {' or '.join(names)}")

    def get(self, archive: Archive, downloads: Path) -> Path:
        """The archive as a file, checked; fetched where it is not at hand.

        Args:
            archive: which one.
            downloads: folder of fetched archives.

        Raises:
            DataError: it can't be fetched, or is not the published file.
        """
        path = self._find(archive)
        if path is not None:
            if self.checksum and path not in self._used:
                check(path, archive, f"give another archive=…, {_REPACKED}")
            self._used.add(path)
            return path
        path = downloads / archive.name
        if not path.is_file():
            url = next((url for url in self.urls if _last(url) == archive.name), archive.url)
            part = download(url, path, archive.size if self.checksum else None)
            if self.checksum:
                try:
                    check(part, archive, "it is removed; run again, or name another place with url=…")
                except DataError:
                    part.unlink()
                    raise
            part.replace(path)
        elif self.checksum and path.stat().st_size != archive.size:  # its digest was checked when it came
            check(path, archive, f"remove it and run again, {_REPACKED}")
        return path

    def _find(self, archive: Archive) -> Path | None:
        candidates = (path / archive.name if path.is_dir() else path for path in self.given)
        return next((path for path in candidates if path.name == archive.name and path.is_file()), None)


_REPACKED = "or checksum=false for a repacked one"


def check(path: Path, archive: Archive, remedy: str) -> None:
    """Compare size and digest with those published.

    Args:
        path: the file.
        archive: what it should be.
        remedy: end of the message.

    Raises:
        DataError: they differ.
    """
    came = path.stat().st_size
    if came != archive.size:
        kind = "truncated or another file" if came < archive.size else "another file"
        raise DataError(
            f"{path} is {kind}: {came:,} bytes came, {archive.size:,} were expected ({size(archive.size)}); "
            f"{remedy}"
        )
    algorithm, _, expected = archive.digest.partition(":")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file, Bar(f"checking {path.name}", came, "bytes") as bar:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            bar.advance(len(chunk))
    if digest.hexdigest() != expected:
        raise DataError(
            f"{path} is damaged or another file: its {algorithm} is {digest.hexdigest()}, {expected} was "
            f"expected; {remedy}"
        )


def _last(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]
