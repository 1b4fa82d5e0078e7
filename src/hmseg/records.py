"""Records of evaluations: one JSON object each, gathered in append-only JSON Lines files.

Beside ``NAME.jsonl`` the folder ``NAME.episodes`` holds the table of episodes of each record, so that scores,
intervals and comparisons can be computed again by anyone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hmseg.episode_table import Rows, write_table
from hmseg.errors import DataError
from hmseg.files import append_json
from hmseg.untrusted import parsing, read_text

Record = dict[str, Any]
_LARGEST = 10**9  # bytes
FORMAT = 2
"""Version of a record; older ones have no id, and readers leave them out."""


def record_id(checkpoint: str, test: Mapping[str, Any], network: Mapping[str, Any]) -> str:
    """16 hex digits for what was measured: a checkpoint in a network under one test setting.

    Args:
        checkpoint: SHA-256 of the checkpoint.
        test: the record's ``test`` entry.
        network: whatever of the configuration changes the numbers: a checkpoint may be tested under another
            masking than it was trained with.

    Example:
        >>> record_id("ab12", {"shot": 1, "fold": 0}, {}) == record_id("ab12", {"fold": 0, "shot": 1}, {})
        True
    """
    text = json.dumps([checkpoint, dict(test), dict(network)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def episodes_path(records: Path, identity: str) -> Path:
    """Where the table of episodes of a record is.

    Example:
        >>> str(episodes_path(Path("results/records.jsonl"), "0123456789abcdef"))
        'results/records.episodes/0123456789abcdef.csv.gz'
    """
    if not (len(identity) == 16 and all(digit in "0123456789abcdef" for digit in identity)):
        raise DataError(f"a record's id is {identity!r}, 16 hex digits were expected: it was changed by hand")
    return records.with_name(f"{records.stem}.episodes") / f"{identity}.csv.gz"


def append_record(path: Path, record: Mapping[str, Any], table: Rows) -> None:
    """Adds a record and its table of episodes; jobs of a sweep may do so at once.

    The table comes first, so that no record is without one.

    Raises:
        DataError: the file can't be written.
    """
    try:
        write_table(episodes_path(path, record["id"]), table)
        append_json(path, record)
    except OSError as error:
        raise DataError(
            f"records {path} can't be written ({error.strerror}): give paths.records=… another place, or null"
        ) from None


def read_records(path: Path) -> list[Record]:
    """The records of a file in order; of those with the same id the last one.

    Lines that are cut or of an older format are left out.

    Raises:
        DataError: the file is missing or no text.
    """
    with parsing(lambda why: DataError(f"records {path} can't be read ({why}): give an evaluation's")):
        lines = read_text(path, _LARGEST).splitlines()
    found: dict[str, Record] = {}
    for line in lines:
        record = parse_record(line)
        if record is not None:
            found.pop(record["id"], None)  # the last one counts, at its own place
            found[record["id"]] = record
    return list(found.values())


def parse_record(text: str) -> Record | None:
    """One record of today's format from its JSON text; None for anything else."""
    try:
        record = json.loads(text)
    except Exception:  # noqa: BLE001 - whatever is wrong with a line, it is none
        return None
    whole = isinstance(record, dict) and record.get("format") == FORMAT and isinstance(record.get("id"), str)
    return record if whole else None
