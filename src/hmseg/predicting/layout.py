"""Which files are supports, which are queries, and what their results are called; without PyTorch."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hmseg.errors import ConfigError

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
"""Of images, lower case."""
MASK_ENDING = ".png"
MASK_MARK = "_mask"
"""At the end of a mask's stem, where the image is a PNG too."""
LAYOUT = (
    "expected folders images/ and masks/, or pairs NAME.jpg + NAME.png (or NAME.png + NAME_mask.png), or one "
    "such folder for each class"
)


class Pair(NamedTuple):
    """A support's files."""

    image: Path
    mask: Path


class Query(NamedTuple):
    """An image to segment.

    Attributes:
        path: of the image.
        name: of its results below the output folder, with ``/`` and without an ending.
    """

    path: Path
    name: str


def find_supports(folder: Path, name: str = "object") -> dict[str, list[Pair]]:
    """The support pairs of each class, in the order of their names.

    Args:
        folder: see ``LAYOUT``; hidden files are not looked at.
        name: of the class, where there is only one and so no folder of its name.

    Raises:
        ConfigError: no folder, nothing in it, an image without a mask or the other way round, or files of a
            class beside folders of classes.
    """
    if not folder.is_dir():
        raise ConfigError(f"support={folder}: there is no such folder; {LAYOUT}")
    if _is_class(folder):
        return {name: _pairs(folder)}
    folders = [each for each in _visible(folder) if each.is_dir()]
    files = [each for each in _visible(folder) if each.is_file() and each.suffix.lower() in ENDINGS]
    if not folders:
        raise ConfigError(f"support={folder}: no image in it; {LAYOUT}")
    if files:
        raise ConfigError(f"support={folder}: {files[0].name} lies beside folders of classes; {LAYOUT}")
    return {each.name: _pairs(each) for each in folders}


def _is_class(folder: Path) -> bool:
    """Whether it holds pairs itself."""
    if (folder / "images").is_dir() and (folder / "masks").is_dir():
        return True
    entries = _visible(folder)
    return not any(each.is_dir() for each in entries) and bool(_images(entries))


def _pairs(folder: Path) -> list[Pair]:
    if (folder / "images").is_dir() and (folder / "masks").is_dir():
        images = _images(_visible(folder / "images"))
        masks = {each.stem: each for each in _images(_visible(folder / "masks"))}
    else:
        files = _images(_visible(folder))
        masks = _masks_among(files)
        images = [each for each in files if each not in masks.values()]
    stems = Counter(each.stem for each in images)
    if twice := [stem for stem, count in stems.items() if count > 1]:
        raise ConfigError(f"support={folder}: several images are called {twice[0]}; leave one")
    if not images:
        raise ConfigError(f"support={folder}: no image with a mask in it; {LAYOUT}")
    for found, wanted, kind in ((stems, masks, "mask"), (masks, stems, "image")):
        if lone := sorted(set(found) - set(wanted)):
            raise ConfigError(f"support={folder}: there is no {kind} for {lone[0]}; {LAYOUT}")
    return [Pair(each, masks[each.stem]) for each in images]


def _masks_among(files: Sequence[Path]) -> dict[str, Path]:
    """The masks by their images' stems, where both lie in one folder."""
    others = {each.stem for each in files if each.suffix.lower() != MASK_ENDING}
    png = [each for each in files if each.suffix.lower() == MASK_ENDING]
    marked = {
        each.stem.removesuffix(MASK_MARK): each
        for each in png
        if each.stem.endswith(MASK_MARK) and each.stem not in others
    }
    return {each.stem: each for each in png if each.stem in others and each.stem not in marked} | marked


def find_queries(given: str, out: Path) -> list[Query]:
    """The images to segment, in the order of their paths.

    Args:
        given: an image, a folder (the images in it, not below), or a pattern such as ``photos/**/*.jpg``.
        out: what lies in it is no query.

    Raises:
        ConfigError: no such file, or no image among those found.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        files, root = _images(_visible(path)), path
    elif path.is_file():  # whatever its ending: it was named
        files, root = [path], path.parent
    else:
        matches = [Path(each) for each in glob.glob(str(path), recursive=True)]
        files = _images(each for each in matches if each.is_file())
        root = _fixed_part(path)
    inside = out.resolve()
    files = [each for each in sorted(files) if not each.resolve().is_relative_to(inside)]
    if not files:
        what = "no image in this folder" if path.is_dir() else "no image there"
        raise ConfigError(
            f"query={given}: {what}; give an image, a folder of images ({', '.join(ENDINGS)}) or a pattern"
        )
    return _named(files, root)


def _named(files: Sequence[Path], root: Path) -> list[Query]:
    """Without their endings, but where that would give two results one name."""
    relative = [each.relative_to(root) for each in files]
    counts = Counter(str(each.with_suffix("")).lower() for each in relative)
    return [
        Query(
            file,
            (name.with_suffix("") if counts[str(name.with_suffix("")).lower()] == 1 else name).as_posix(),
        )
        for file, name in zip(files, relative, strict=True)
    ]


def _fixed_part(pattern: Path) -> Path:
    """The folder up to the first part with a wild card."""
    parts = []
    for part in pattern.parent.parts:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def _visible(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if not each.name.startswith("."))


def _images(files: Iterable[Path]) -> list[Path]:
    return sorted(each for each in files if each.suffix.lower() in ENDINGS and not each.is_dir())
