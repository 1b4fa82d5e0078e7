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
        return json.loads(path.read_text(encoding="utf-8-sig"))  # some tools on Windows begin with a mark
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # JSON's and Unicode's errors are ValueErrors
        raise DataError(f"{path} is no JSON ({error}): export it again") from None


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
