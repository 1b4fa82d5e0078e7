"""Which mask belongs to which image, by the names of the files; for data sets and supports alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from hmseg.data.opening import ENDINGS, OTHER_ENDINGS

MASK_MARK = "_mask"
"""At the end of a mask's stem, where it is not the image's."""
_RANKS = {".png": 4, ".tif": 3, ".tiff": 3, ".gif": 2, ".bmp": 1}
"""Of two files of one name the one with the higher rank is the mask: photos are JPEGs more often."""


class Pairing(NamedTuple):
    """What belongs together.

    Attributes:
        pairs: image and mask by the image's stem (in Unicode's form NFC), in the order of the stems.
        lone_images: those without a mask.
        lone_masks: those without an image.
        alike: two files that could both be the image, or both the mask, of one stem.
    """

    pairs: dict[str, tuple[Path, Path]]
    lone_images: list[Path]
    lone_masks: list[Path]
    alike: list[tuple[Path, Path]]


def pair_beside(folder: Path) -> Pairing:
    """Images and masks in one folder: ``N.jpg`` with ``N.png``, or ``N.png`` with ``N_mask.png``.

    Endings may be any of an image's, the mask's too.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("a.jpg", "a.png", "b.jpg", "b_mask.jpg", "c.png"):
        ...         (Path(folder) / name).touch()
        ...     found = pair_beside(Path(folder))
        ...     {stem: mask.name for stem, (_, mask) in found.pairs.items()}, found.lone_images[0].name
        ({'a': 'a.png', 'b': 'b_mask.jpg'}, 'c.png')
    """
    by_stem = _by_stem(images_in(visible(folder)))
    single = {stem: files[0] for stem, files in by_stem.items() if len(files) == 1}
    marked = {
        stem.removesuffix(MASK_MARK): file
        for stem, file in single.items()
        if stem.endswith(MASK_MARK) and stem.removesuffix(MASK_MARK) in by_stem
    }
    found = Pairing({}, [], [], [])
    for stem, files in by_stem.items():
        if files[0] in marked.values():
            continue
        ranked = sorted(files, key=lambda file: _rank(file))
        if len(files) == 1 and stem in marked:
            found.pairs[stem] = (files[0], marked[stem])
        elif len(files) == 1:
            lone = found.lone_masks if stem.endswith(MASK_MARK) else found.lone_images
            lone.append(files[0])
        elif len(files) == 2 and stem not in marked and _rank(ranked[0]) < _rank(ranked[1]):
            found.pairs[stem] = (ranked[0], ranked[1])
        else:
            found.alike.append((files[0], files[1]))
    return found


def pair_apart(images: Path, masks: Path) -> Pairing:
    """Images in one folder, masks of the same names in another; ``_mask`` may stand at the masks' end."""
    pictures, drawn = _by_stem(images_in(visible(images))), _by_stem(images_in(visible(masks)))
    belonging = {
        stem if stem in pictures else stem.removesuffix(MASK_MARK): files for stem, files in drawn.items()
    }
    alike = [(files[0], files[1]) for each in (pictures, drawn) for files in each.values() if len(files) > 1]
    return Pairing(
        {stem: (files[0], belonging[stem][0]) for stem, files in pictures.items() if stem in belonging},
        [files[0] for stem, files in pictures.items() if stem not in belonging],
        [files[0] for stem, files in belonging.items() if stem not in pictures],
        alike,
    )


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, in order, but for hidden files and what macOS adds to archives."""
    return sorted(each for each in folder.iterdir() if not each.name.startswith((".", "__MACOSX")))


def images_in(files: Iterable[Path]) -> list[Path]:
    """The images among the files, by their endings, in order."""
    return sorted(each for each in files if each.suffix.lower() in ENDINGS and not each.is_dir())


def not_read_note(files: Iterable[Path]) -> str | None:
    """A line for images in formats that are not read here; None where there is none.

    Example:
        >>> not_read_note([Path("a.jpg"), Path("b.HEIC"), Path("c.avif")])
        'left out 2 images in formats that are not read here (b.HEIC, c.avif): convert them to JPEG or PNG'
    """
    names = sorted(each.name for each in files if each.suffix.lower() in OTHER_ENDINGS)
    if not names:
        return None
    shown = ", ".join(names[:5]) + ", …" * (len(names) > 5)
    many = "1 image in a format that is" if len(names) == 1 else f"{len(names)} images in formats that are"
    return f"left out {many} not read here ({shown}): convert them to JPEG or PNG"


def _rank(file: Path) -> int:
    return _RANKS.get(file.suffix.lower(), 0)


def _by_stem(files: Iterable[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        found[normalize("NFC", file.stem)].append(file)
    return dict(sorted(found.items()))
