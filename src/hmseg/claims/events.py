"""What ``hmseg.reproduce`` did, one JSON object a line, only ever appended to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hmseg.errors import DataError
from hmseg.files import append_json
from hmseg.untrusted import parsing, read_text

Event = Mapping[str, Any]
STARTED, FINISHED, FAILED, STOPPED = "started", "finished", "failed", "stopped"


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a file in order; a line cut by a crash is left out, a file not yet there is empty.

    Raises:
        DataError: it is there and can't be read.
    """
    if not path.exists():
        return []
    with parsing(lambda why: DataError(f"{path} can't be read ({why}): move it away to begin anew")):
        lines = read_text(path).splitlines()
    events = []
    for line in lines:
        try:
            event = json.loads(line)
        except Exception:  # noqa: BLE001 - whatever is wrong with a line, it is none
            continue
        if isinstance(event, dict) and isinstance(event.get("claim"), str) and event.get("event"):
            events.append(event)
    return events


def append_event(path: Path, **event: Any) -> dict[str, Any]:
    """Adds one event, dated now.

    Args:
        path: of the file; it and its folder are made where they are missing.
        event: ``claim``, ``event``, ``step``, ``fold`` and what else there is to say.

    Raises:
        DataError: the file can't be written.
    """
    whole = {**event, "date": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        append_json(path, whole)
    except OSError as error:
        raise DataError(f"{path} can't be written ({error.strerror}): give results=FOLDER") from None
    return whole


def latest(events: Iterable[Event], claim: str) -> dict[tuple[Any, Any], Event]:
    """The last event of each (step, fold) of a claim.

    Example:
        >>> one = {"claim": "c", "step": "train", "fold": 0}
        >>> latest([{**one, "event": "started"}, {**one, "event": "finished"}], "c")[("train", 0)]["event"]
        'finished'
    """
    return {(each.get("step"), each.get("fold")): each for each in events if each["claim"] == claim}
