"""JSON files and whose they are: COCO's or LabelMe's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from hmseg.errors import DataError

Kind = Literal["coco", "labelme"]


def read_json(path: Path) -> Any:
    """What the file holds.

    Raises:
        DataError: it can't be read, or is no JSON.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror})") from None
    return parse_json(content, str(path))


def parse_json(content: bytes, what: str) -> Any:
    """What a file's bytes hold; ``what`` it is, for messages. Raises DataError where it is no JSON."""
    try:
        return json.loads(content)  # finds the encoding; tools on Windows write a mark before it
    except (ValueError, RecursionError) as error:  # JSON's and Unicode's errors are ValueErrors
        raise DataError(f"{what} is no JSON ({error}): export it again") from None


def kind_of(content: object) -> Kind | None:
    """Whose form it has; None for another one.

    Example:
        >>> kind_of({"shapes": []}), kind_of({"images": [], "annotations": []}), kind_of([])
        ('labelme', 'coco', None)
    """
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("shapes"), list):
        return "labelme"
    listed = all(isinstance(content.get(key), list) for key in ("images", "annotations"))
    return "coco" if listed else None
