"""PASCAL-5i: VOC 2012 photos, SegmentationClassAug masks, 20 classes in 4 folds (REFERENCE section 9)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from hmseg.data.episode import Sample
from hmseg.data.reading import check_same_size, read_image, read_label_map
from hmseg.data.source import Listing, Split
from hmseg.errors import DataError

VOID = 255
_FOLDS = 4
_CLASS_NAMES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle",
    "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person",
    "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_CLASSES_PER_FOLD = len(_CLASS_NAMES) // _FOLDS
_LINE = re.compile(r"(?P<name>.+)__(?P<number>\d{2})")
# The splits' own folder names of the published lists.
_FOLDERS: dict[Split, str] = {"train": "trn", "val": "val"}


def _check_fold(fold: int) -> None:
    if fold not in range(_FOLDS):
        raise DataError(f"fold {fold} does not exist: PASCAL-5i has folds 0 to {_FOLDS - 1}")


def _held_out(fold: int) -> tuple[int, ...]:
    return tuple(range(fold * _CLASSES_PER_FOLD, (fold + 1) * _CLASSES_PER_FOLD))


def _check_folder(path: Path, what: str, remedy: str) -> None:
    if not path.is_dir():
        raise DataError(f"{what} {path} does not exist or is not a folder: {remedy}")


def _parse_line(line: str, fold: int, where: str) -> tuple[str, int]:
    """``NAME__CC`` as (NAME, 0-based class)."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise DataError(
            f"{where}: {line!r} came, NAME__CC was expected (such as 2007_000032__01): mend the line"
        )
    name, class_id = found["name"], int(found["number"]) - 1
    if name in (".", "..") or any(part in name for part in ("/", "\\", "\0")) or os.path.isabs(name):
        raise DataError(
            f"{where}: {name!r} leaves the image folder, a bare file stem was expected: mend the line"
        )
    classes = _held_out(fold)
    if class_id not in classes:
        raise DataError(
            f"{where}: class {class_id + 1:02d} came, fold {fold} has classes {classes[0] + 1:02d} to "
            f"{classes[-1] + 1:02d}: mend the line"
        )
    return name, class_id


def read_list(splits: Path, split: Split, fold: int) -> Listing:
    """Reads one published list, without looking for its images.

    Args:
        splits: folder with ``trn/fold0.txt`` to ``val/fold3.txt``.
        split: ``train`` or ``val``.
        fold: 0 to 3. Both lists of a fold hold the images of its own five classes.

    Returns:
        The pairs in the order of the file.

    Raises:
        DataError: the fold does not exist, the file is missing or empty, or a line is not ``NAME__CC`` with a
            class of the fold.
    """
    _check_fold(fold)
    path = splits / _FOLDERS[split] / f"fold{fold}.txt"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError:
        raise DataError(f"list {path} cannot be read: put the published PASCAL-5i lists there") from None
    except UnicodeDecodeError:
        raise DataError(
            f"list {path} is not UTF-8 text: replace it by the published PASCAL-5i list"
        ) from None
    pairs = tuple(
        _parse_line(line.strip(), fold, f"list {path} line {number}")
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    )
    if not pairs:
        raise DataError(f"list {path} is empty: replace it by the published PASCAL-5i list")
    return Listing(pairs)


class PascalSource:
    """Reads PASCAL-5i from a VOC2012 folder.

    A pixel of the class asked for is foreground, any other class is background, 255 is void.

    Args:
        root: folder with ``JPEGImages/NAME.jpg`` and ``SegmentationClassAug/NAME.png`` (0 background, 1 to 20
            the class plus one, 255 void).
        splits: folder with the lists ``trn/fold{0..3}.txt`` and ``val/fold{0..3}.txt``; ``root/splits`` if
            None.

    Raises:
        DataError: a folder is missing, or a list is missing, empty or malformed. Whether the images named in
            a list exist is checked by ``listing``.
    """

    name = "pascal"
    class_names: tuple[str, ...] = _CLASS_NAMES
    folds = _FOLDS

    def __init__(self, root: str | Path, splits: str | Path | None = None) -> None:
        self.root = Path(root)
        self.splits = self.root / "splits" if splits is None else Path(splits)
        self._images = self.root / "JPEGImages"
        self._masks = self.root / "SegmentationClassAug"
        _check_folder(self.root, "PASCAL root", "set dataset.root to the VOC2012 folder")
        _check_folder(self._images, "image folder", "dataset.root must be a VOC2012 folder with JPEGImages")
        _check_folder(
            self._masks,
            "mask folder",
            "dataset.root must be a VOC2012 folder with SegmentationClassAug beside it",
        )
        _check_folder(self.splits, "splits folder", "set dataset.splits to the folder of the PASCAL-5i lists")
        splits_of_lists: tuple[Split, Split] = ("train", "val")
        self._lists = {
            (split, fold): read_list(self.splits, split, fold)
            for split in splits_of_lists
            for fold in range(_FOLDS)
        }
        self._checked: set[tuple[Split, int]] = set()

    def fold_classes(self, fold: int) -> tuple[int, ...]:
        """The five classes held out in ``fold``: 5 fold to 5 fold + 4. Raises DataError out of range."""
        _check_fold(fold)
        return _held_out(fold)

    def listing(self, split: Split, fold: int) -> Listing:
        """``train``: the training lists of the other folds, in fold order; ``val``: the val list of ``fold``.

        Raises:
            DataError: the fold does not exist, or images or masks that the list names are missing.
        """
        _check_fold(fold)
        if split == "val":
            listing = self._lists[split, fold]
        else:
            others = (self._lists[split, other] for other in range(_FOLDS) if other != fold)
            listing = Listing(tuple(pair for other in others for pair in other.pairs))
        if (split, fold) not in self._checked:
            self._check_files(listing, f"{split} lists of fold {fold} in {self.splits}")
            self._checked.add((split, fold))
        return listing

    def _check_files(self, listing: Listing, lists: str) -> None:
        """One look at each folder instead of one per file: the lists name thousands."""
        images, masks = set(os.listdir(self._images)), set(os.listdir(self._masks))
        missing = [
            f"{folder.name}/{file}"
            for name in dict.fromkeys(name for name, _ in listing.pairs)
            for folder, present, file in (
                (self._images, images, f"{name}.jpg"),
                (self._masks, masks, f"{name}.png"),
            )
            if file not in present
        ]
        if missing:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise DataError(
                f"{len(missing)} files named by the {lists} are missing under {self.root}: {shown}; "
                "complete the folder or cut the lists to the images that are there"
            )

    def read(self, name: str, class_id: int) -> Sample:
        """Reads one image and the mask of one class.

        Args:
            name: file stem as in the lists.
            class_id: 0 to 19.

        Returns:
            The sample at its own size.

        Raises:
            DataError: a file is missing or damaged, the sizes differ, or the class is not in the mask.
        """
        image_path, mask_path = self._images / f"{name}.jpg", self._masks / f"{name}.png"
        image, labels = read_image(image_path), read_label_map(mask_path)
        check_same_size(image, labels, image_path, mask_path)
        mask = labels == class_id + 1
        if not mask.any():
            raise DataError(
                f"mask {mask_path} has no pixel of class {class_id} ({self.class_names[class_id]}, value "
                f"{class_id + 1}), which the list promises: mend the mask or take the line out of the list"
            )
        return Sample(image, mask, labels == VOID)
