"""The JSON summary of a prediction, readable as COCO annotations, and the journal that it grows from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmseg.errors import DataError
from hmseg.files import writing
from hmseg.segmenter import Segmentation

FORMAT = 1
"""Version of the summary's ``info``."""


def image_entry(segmentation: Segmentation) -> dict[str, Any]:
    """What the summary says of one image: its size, and each class with what was found of it.

    A class's ``best`` is its highest score anywhere; ``score`` is the mean over the pixels labelled with it,
    null where there are none. ``presence`` says whether it is there at all, by class; ``absent`` lists those
    that are not, whose masks are empty.
    """
    height, width = segmentation.labels.shape
    runs = segmentation.to_rle()
    found = []
    for number, name in enumerate(segmentation.names, start=1):
        mask, score = segmentation.mask_of(name), segmentation.score_of(name)
        found.append(
            {
                "category_id": number,
                "area": int(mask.sum()),
                "bbox": box(mask),
                "score": round(float(score[mask].mean()), 4) if mask.any() else None,
                "best": round(float(score.max()), 4),
                "segmentation": runs[name],
            }
        )
    known = zip(segmentation.names, segmentation.presence, strict=False)  # of none where nobody asked
    presence = {name: round(value, 4) for name, value in known}
    absent = list(segmentation.absent)
    return {"width": width, "height": height, "presence": presence, "absent": absent, "classes": found}


def box(mask: NDArray[np.bool_]) -> list[int]:
    """COCO's bounding box of (H, W), left, top, width and height; all 0 for an empty mask.

    Example:
        >>> box(np.array([[False, False, False], [False, True, True]]))
        [1, 1, 2, 1]
    """
    if not mask.any():
        return [0, 0, 0, 0]
    (top, bottom), (left, right) = (np.flatnonzero(mask.any(axis=axis))[[0, -1]].tolist() for axis in (1, 0))
    return [left, top, right - left + 1, bottom - top + 1]


def summarise(
    info: Mapping[str, Any],
    names: Sequence[str],
    entries: Sequence[Mapping[str, Any]],
    failed: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """The summary: COCO's ``images``, ``categories`` and ``annotations``, and ``failed`` beside them.

    Args:
        info: what it was made with.
        names: of the classes; category ids count from 1.
        entries: of the images, with ``file_name``, ``mask``, ``overlay`` and ``seconds``.
        failed: images that could not be used, with the reason.
    """
    images, annotations = [], []
    for number, entry in enumerate(entries, start=1):
        best = {names[each["category_id"] - 1]: each["best"] for each in entry["classes"]}
        images.append(
            {
                "id": number,
                **{k: v for k, v in entry.items() if k != "classes"},
                "best_score": best,
            }
        )
        annotations += [
            {
                "id": 0,
                "image_id": number,
                "iscrowd": 0,
                **{key: value for key, value in each.items() if key != "best"},
            }
            for each in entry["classes"]
            if each["area"]
        ]
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    return {
        "info": {"format": FORMAT, **info},
        "images": images,
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
        "annotations": annotations,
        "failed": list(failed),
    }


class Journal:
    """Entries of the images that are done, a line each, so that a run can go on.

    Args:
        path: of the journal; its folder exists.
        key: what the entries were made with; entries made otherwise are not taken over.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key

    def read(self) -> dict[str, dict[str, Any]]:
        """The entries of an earlier run by the names of their images; none where there was no such run.

        Raises:
            DataError: they were made with other settings, supports or another checkpoint.
        """
        if not self.path.is_file():
            return {}
        lines = [
            _parsed(line) for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        ]
        if not lines or lines[0].get("key") != self.key:
            raise DataError(
                f"{self.path.parent} holds results of another checkpoint, supports or settings: give another "
                "out, or overwrite=true to start anew"
            )
        return {str(each["name"]): each for each in lines[1:] if "name" in each}  # the last may be cut

    def start(self, done: Mapping[str, Mapping[str, Any]]) -> None:
        """Begins the file, with what is done already; DataError where it can't be written."""
        try:
            with writing(self.path) as file:
                for each in ({"key": self.key}, *done.values()):
                    file.write(f"{json.dumps(each)}\n")
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def add(self, entry: Mapping[str, Any]) -> None:
        """One more image is done and its files are written."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(entry)}\n")
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def remove(self) -> None:
        """Deletes the file."""
        self.path.unlink(missing_ok=True)


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Writes the whole file or nothing; DataError where it can't be written."""
    try:
        with writing(path) as file:
            json.dump(summary, file, indent=1)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} can't be written ({error.strerror}): free some space, or give another out")


def _parsed(line: str) -> dict[str, Any]:
    """The line's object; an empty one where it was cut."""
    try:
        found = json.loads(line)
    except Exception:  # noqa: BLE001 - whatever is wrong with a line, it is none
        return {}
    return found if isinstance(found, dict) else {}
