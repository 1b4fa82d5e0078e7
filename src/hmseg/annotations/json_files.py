"""JSON files and whose they are: COCO's or LabelMe's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from hmseg.errors import DataError
from hmseg.untrusted import parsing, read_bytes, reason

_LARGEST = 4 * 10**9  # bytes of a file; COCO's have half a billion
Kind = Literal["coco", "labelme"]


def read_json(path: Path) -> Any:
    """What the file holds.

    Raises:
        DataError: it can't be read, or is no JSON.
    """
    try:
        content = read_bytes(path, _LARGEST)
    except OSError as error:
        raise DataError(f"{path} can't be read ({reason(error)})") from None
    return parse_json(content, str(path))


def parse_json(content: bytes, what: str) -> Any:
    """What a file's bytes hold; ``what`` it is, for messages. Raises DataError where it is no JSON."""
    with parsing(lambda why: DataError(f"{what} is no JSON ({why}): export it again")):
        return json.loads(content)  # UTF-8 or 16, with or without the mark that some tools begin with


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
