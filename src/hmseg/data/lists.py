"""Image lists on disk: reading them with clear errors, and telling the published ones from others by digest.

A folder of lists is HSNet's ``data/splits`` (with a folder for each benchmark) or one benchmark's part of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from hmseg.data.source import Listing, Lists
from hmseg.errors import DataError
from hmseg.untrusted import read_text, reason

PUBLISHED = {
    "pascal/train/0": "641cf9765624da8353b43445a75962514a208ac3b6e4ac18b40518df845b247f",
    "pascal/train/1": "5e67d904e5b5499ec260ebb76cc1fb9a629e4f16c57eca4205170b4ee6d3d9d9",
    "pascal/train/2": "364eadfc283f69acfce01c99b05d6e6244fbf9d728f78ce94c9eed17bff02499",
    "pascal/train/3": "0f5bc61e5ab77797eb25b3b44a7a6938d197561400310782b4fb12905ee82ae0",
    "pascal/val/0": "842a95dc854e9e69b1050feccc7e1a737e37d38a8f1c39371eaf3373a4f9ea63",
    "pascal/val/1": "675a8b9deb0db7f117a834b75cd2c686e18532d86ad8181912229e99dd17d043",
    "pascal/val/2": "677c43def899ab7a232d08d441034aca65a0b3da2cb2b1dd60038502e995c7db",
    "pascal/val/3": "aebb14c712a4bf03d661c54ad367c09b2feeb10a7ca2554a8c855d870fd073f1",
    "coco/train/0": "be06e577e955c4e711025f98935aeb1b7649bee973fc5176760a0ee9a56cc4ae",
    "coco/train/1": "aff12161f83ea6083f66225de4accf1c2ea864bd50b1c6afa3c0d496cce121e2",
    "coco/train/2": "74a04eca7b63d6d55ce21426f71711e143afd805f4a9a854229fdb7dff66c3b8",
    "coco/train/3": "7c0ae8636c5c26543943a3c24af48e3a81519437ea16b644f4dbf3ff6618e559",
    "coco/val/0": "e7c1a53ab9c3b785aa582a2d6ae4cc21e0775e6af7167f7c3b02cf3ae50849af",
    "coco/val/1": "bbbacc3b5525d89c40bae23457e35d3cb2dcf89c1396dc94da92940c286d930c",
    "coco/val/2": "6cb978822d3b621e630394db898646de5f0c6fd5b3615c9b00aa7d70a2eae82d",
    "coco/val/3": "c452db1ba0403e3ac9cb503e45710746a59e2c78b0c2c4cc255b862219e801ff",
    "fss/train": "a1d72d12a8814e01db51fa7d12751ac5793537bf05c10e4bbac6576a7781adf1",
    "fss/val": "9852abe221c558525b5c28b72e6bbffbf060765461e6cca09f44d1c458b36ff2",
    "fss/test": "13ab94872a352135e78b2b35bcf2a1899766362f223bc3b6fda1fdc11832f8a4",
}
"""``digest_of`` every published list, by benchmark, split and fold. PASCAL's: each file, of the fold's own
classes; COCO's: each pickle, or what the text form says of its classes; FSS-1000's: classes from 0 on."""


def digest_of(listing: Listing) -> str:
    """SHA-256 over the lines ``IMAGE CLASS`` (0-based class) of a list in its order.

    Example:
        >>> digest_of(Listing((("a", 0), ("b", 1))))[:8]
        '04d28984'
    """
    lines = (f"{name} {class_id}\n" for name, class_id in listing.pairs)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def all_published(listings: Iterable[tuple[str, Listing]]) -> bool:
    """Is every list, by its key in ``PUBLISHED``, the published one? One that can't be read is not."""
    return judge((key, digest_of(listing)) for key, listing in listings) == "published"


def judge(digests: Iterable[tuple[str, str]]) -> Lists:
    """``published`` where every digest is that of its key in ``PUBLISHED``, else ``own``; stops at the first.

    Reading a list may fail on the way: what can't be read is not published.
    """
    try:
        return "published" if all(digest == PUBLISHED[key] for key, digest in digests) else "own"
    except DataError:
        return "own"


def check_folder(path: Path, what: str, remedy: str) -> None:
    """Raises DataError unless the path is a folder."""
    if not path.is_dir():
        raise DataError(f"{what} {path} does not exist or is not a folder: {remedy}")


def find_lists(splits: str | Path | None, root: Path, benchmark: str, wanted: Sequence[str]) -> Path | None:
    """The folder that holds a benchmark's lists; None where there are none and none were asked for.

    Args:
        splits: folder given by the user: the lists themselves, or the folder of all benchmarks' lists. None:
            ``root/splits`` where it exists.
        root: the benchmark's own folder.
        benchmark: name of its folder among those of all benchmarks.
        wanted: files or folders, any one of which shows that a folder holds its lists.

    Raises:
        DataError: the folder given does not exist or holds no such lists.
    """
    given = root / "splits" if splits is None else Path(splits).expanduser()
    if splits is None and not given.is_dir():
        return None
    check_folder(
        given,
        "splits folder",
        f"set dataset.splits to the folder of the {benchmark} lists, or to null to have lists made",
    )
    for folder in (given / benchmark, given):
        if any((folder / name).exists() for name in wanted):
            return folder
    raise DataError(
        f"splits folder {given} holds no {benchmark} lists ({' or '.join(wanted)} was expected, there or in "
        f"{benchmark}/): put the published lists there, or set dataset.splits to another folder"
    )


def read_lines(path: Path, what: str) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, stripped, with their numbers.

    Args:
        path: the file.
        what: whose lists they are, such as ``PASCAL-5i``.

    Raises:
        DataError: it is missing, is not text, or has no such line.
    """
    try:
        text = read_text(path, encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"list {path} cannot be read ({reason(error)}): put the published {what} lists there"
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"list {path} is not UTF-8 text: replace it by the published {what} list") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise DataError(f"list {path} is empty: replace it by the published {what} list")
    return lines


def check_stem(name: str, where: str) -> str:
    """A name that lies directly in its folder, whatever a list or manifest says.

    Raises:
        DataError: it would lead elsewhere.

    Example:
        >>> check_stem("2007_000032", "list x line 1")
        '2007_000032'
    """
    if name in ("", ".", "..") or any(part in name for part in ("/", "\\", "\0")) or os.path.isabs(name):
        raise DataError(
            f"{where}: {name!r} leaves the image folder, a bare file stem was expected: mend the line"
        )
    return name


def names_in(folder: Path, suffix: str) -> frozenset[str]:
    """The stems of a folder's files of one suffix, by one look at the folder; none where it is missing."""
    try:
        return frozenset(file.removesuffix(suffix) for file in os.listdir(folder) if file.endswith(suffix))
    except OSError:
        return frozenset()


def refuse_missing(missing: Sequence[str], lists: str, root: Path, listed: bool = True) -> None:
    """Raises DataError where files that lists name are missing: how many, the first five, what to do.

    Args:
        missing: the missing files.
        lists: which lists name them, such as ``val lists of fold 1 in …``.
        root: where they were expected.
        listed: are there lists in files?
    """
    if missing:
        remedy = (
            ", cut the lists to the images that are there, or set dataset.splits to another folder of lists"
        )
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise DataError(
            f"{len(missing)} file{'s' * (len(missing) > 1)} named by the {lists} "
            f"{'are' if len(missing) > 1 else 'is'} missing under {root}: {shown}; complete the "
            f"folder{remedy if listed else ' or take the category away'}"
        )
