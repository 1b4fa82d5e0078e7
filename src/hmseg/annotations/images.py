"""The images that annotation files name: where they are now."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from unicodedata import normalize
from urllib.parse import unquote

from hmseg.data.opening import ENDINGS
from hmseg.errors import DataError

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded file."""


class Images:
    """Finds images by the names that annotation files give them.

    Tools name images by paths of the machine or server where they were annotated, with folders that may not
    be here. So of the images below the folder that have the file's own name, the one counts whose folders
    agree furthest with the name's.

    Args:
        root: folder; hidden folders are not looked into.
        without: files in it that are no images to be found, masks say.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "images").mkdir()
        ...     (Path(folder) / "images/cat 1.jpg").touch()
        ...     images = Images(Path(folder))
        ...     names = ("cat 1.jpg", r"..\\media\\upload\\1\\0a1b2c3d-cat%201.jpg", "images/dog.jpg")
        ...     [found and found.name for found in map(images.find, names)]
        ['cat 1.jpg', 'cat 1.jpg', None]
    """

    def __init__(self, root: Path, without: Collection[Path] = ()) -> None:
        self.root = root
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for folder, below, names in os.walk(root):
            below[:] = sorted(each for each in below if not each.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                if path.suffix.lower() in ENDINGS and not name.startswith(".") and path not in without:
                    self._by_name[normalize("NFC", name)].append(path)
                    self._by_stem[normalize("NFC", path.stem)].append(path)

    def find(self, name: str) -> Path | None:
        """The image of a name, folders and all, or None.

        Raises:
            DataError: several fit equally well.
        """
        return self._named(self._by_name, name)

    def find_stem(self, name: str) -> Path | None:
        """The same for a name without its ending, which it may have all the same."""
        return self._named(self._by_stem, name) or self._named(self._by_name, name)

    def _named(self, files: Mapping[str, Sequence[Path]], name: str) -> Path | None:
        for last in plain_names(name):
            if found := files.get(normalize("NFC", last)):
                return self._nearest(found, _parts(name)[:-1], name)
        return None

    def _nearest(self, paths: Sequence[Path], folders: Sequence[str], name: str) -> Path:
        agreeing = [_common(path.relative_to(self.root).parts[:-1], folders) for path in paths]
        best = [path for path, count in zip(paths, agreeing, strict=True) if count == max(agreeing)]
        if len(best) > 1:
            raise DataError(
                f"{name}: {best[0]} and {best[1]} could both be meant: leave one of them, or give the folder "
                "with the right one as support_images"
            )
        return best[0]


def plain_names(name: str) -> tuple[str, ...]:
    """What the file that is meant may be called: as it is named, or without what an upload has made of it.

    Example:
        >>> plain_names("upload/1/0a1b2c3d-my%20cat.jpg")
        ('0a1b2c3d-my%20cat.jpg', '0a1b2c3d-my cat.jpg', 'my cat.jpg')
    """
    last = (_parts(name) or ("",))[-1]
    return last, unquote(last), _UPLOADED.sub("", unquote(last))


def _parts(name: str) -> tuple[str, ...]:
    return tuple(
        each for each in PurePosixPath(name.replace("\\", "/")).parts if each not in ("/", "..", ".")
    )


def _common(found: Sequence[str], named: Sequence[str]) -> int:
    """How many folders agree, from the last one up."""
    count = 0
    for one, other in zip(reversed(found), reversed(named), strict=False):
        if normalize("NFC", one) != normalize("NFC", other):
            break
        count += 1
    return count
