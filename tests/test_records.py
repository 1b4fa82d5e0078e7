"""Files of records: append-only, whole, and forgiving of lines that are not."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from hmseg.episode_table import read_table
from hmseg.errors import DataError
from hmseg.records import append_record, episodes_path, read_records, record_id

TABLE = np.arange(8).reshape(1, 8)


def record(number: int, miou: float = 1.0) -> dict[str, object]:
    return {"format": 2, "id": f"{number:016x}", "miou": miou}


def append_some(path: Path, first: int) -> None:
    for number in range(first, first + 20):
        append_record(path, record(number) | {"padding": "x" * 5000}, TABLE)


def test_records_come_back_in_order_and_the_last_of_an_id_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for number, miou in ((1, 10.0), (2, 20.0), (1, 11.0)):
        append_record(path, record(number, miou), TABLE)
    assert [(each["id"][-1], each["miou"]) for each in read_records(path)] == [("2", 20.0), ("1", 11.0)]
    assert len(path.read_text().splitlines()) == 3  # nothing is taken away
    assert (read_table(episodes_path(path, f"{2:016x}")) == TABLE).all()


def test_jobs_may_append_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    jobs = [
        multiprocessing.get_context("fork").Process(target=append_some, args=(path, 100 * n))
        for n in range(3)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert len(read_records(path)) == len(path.read_text().splitlines()) == 60


def test_a_cut_line_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append_record(path, record(1), TABLE)
    with path.open("a") as file:
        file.write('{"format": 2, "id": "00')  # the disk was full
    append_record(path, record(2), TABLE)
    with path.open("a") as file:
        file.write('\n[1]\n{"format": 1, "miou": 3}\nnull\n')
    assert [each["id"][-1] for each in read_records(path)] == ["1", "2"]


def test_an_id_says_what_was_measured() -> None:
    base = record_id("sha", {"shot": 1}, {"masking": "hybrid"})
    assert len(base) == 16 and int(base, 16) >= 0
    others = [
        record_id("other", {"shot": 1}, {"masking": "hybrid"}),
        record_id("sha", {"shot": 5}, {"masking": "hybrid"}),
        record_id("sha", {"shot": 1}, {"masking": "none"}),
    ]
    assert len({base, *others}) == 4


def test_what_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="records .*none.jsonl can't be read"):
        read_records(tmp_path / "none.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="it is not text"):
        read_records(tmp_path / "binary.jsonl")
    with pytest.raises(DataError, match="16 hex digits were expected"):
        episodes_path(tmp_path / "a.jsonl", "../../etc/passwd")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="can't be written"):
        append_record(tmp_path / "file/a.jsonl", record(1), TABLE)
