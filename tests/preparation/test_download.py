"""Downloads from a server that breaks off, ignores ranges, offers another file, or is not there."""

from __future__ import annotations

import errno
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hmseg.errors import DataError
from hmseg.preparation import download as module
from hmseg.preparation.bars import Bar
from hmseg.preparation.download import ATTEMPTS, download
from website import Site

BODY = bytes(range(256)) * 40
SIZE = len(BODY)


def fetch(site: Site, folder: Path, expected: int | None = SIZE) -> bytes:
    part = download(site.url("file.tar"), folder / "file.tar", expected)
    assert part == folder / "file.tar.part"
    return part.read_bytes()


@pytest.fixture(autouse=True)
def _file(site: Site) -> None:
    site.files["file.tar"] = BODY


def test_whole_file_at_once(site: Site, tmp_path: Path) -> None:
    assert fetch(site, tmp_path / "new" / "folder") == BODY
    assert site.requests == [""]


@pytest.mark.parametrize("expected", [SIZE, None])
def test_goes_on_where_the_connection_broke_off(site: Site, tmp_path: Path, expected: int | None) -> None:
    site.stop_after = [1000, 2000]
    assert fetch(site, tmp_path, expected) == BODY
    assert site.requests == ["", "bytes=1000-", "bytes=3000-"]


def test_goes_on_with_what_an_earlier_run_left(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.tar.part").write_bytes(BODY[:5000])
    assert fetch(site, tmp_path) == BODY
    assert site.requests == ["bytes=5000-"]


def test_server_without_ranges_begins_again(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    site.stop_after = [1000]
    assert fetch(site, tmp_path) == BODY
    assert site.requests == ["", "bytes=1000-"]


def test_server_that_announces_no_size(site: Site, tmp_path: Path) -> None:
    site.lengths = False
    assert fetch(site, tmp_path, None) == BODY


@pytest.mark.parametrize("expected", [SIZE, None])
def test_an_answer_without_end_is_left(site: Site, tmp_path: Path, expected: int | None) -> None:
    site.endless = True
    with pytest.raises(
        DataError, match=f"sends more than the {SIZE if expected else 50_000:,} bytes that were"
    ):
        download(site.url("file.tar"), tmp_path / "file.tar", expected, limit=50_000)
    assert list(tmp_path.iterdir()) == [] and len(site.requests) == 1


def test_a_file_of_unknown_size_has_a_bound(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"offers 10,240 bytes, more than such a file has \(10,239\)"):
        download(site.url("file.tar"), tmp_path / "file.tar", limit=SIZE - 1)
    assert download(site.url("file.tar"), tmp_path / "file.tar", limit=SIZE).read_bytes() == BODY


def test_what_is_complete_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.tar.part").write_bytes(BODY)
    assert fetch(site, tmp_path) == BODY
    assert site.requests == []


def test_complete_by_the_servers_word(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.tar.part").write_bytes(BODY)
    assert fetch(site, tmp_path, None) == BODY
    assert site.requests == [f"bytes={SIZE}-"]


@pytest.mark.parametrize("expected", [SIZE, None])
def test_longer_than_the_file_begins_again(site: Site, tmp_path: Path, expected: int | None) -> None:
    (tmp_path / "file.tar.part").write_bytes(bytes(SIZE + 5))
    assert fetch(site, tmp_path, expected) == BODY


def test_gives_up_after_some_attempts_and_keeps_what_came(site: Site, tmp_path: Path) -> None:
    site.stop_after = [1000] * ATTEMPTS
    with pytest.raises(DataError, match=r"broke off after 5,000 of 10,240 bytes, 5 kB are kept; run again"):
        fetch(site, tmp_path)
    assert (tmp_path / "file.tar.part").read_bytes() == BODY[:5000]
    assert len(site.requests) == ATTEMPTS
    assert fetch(site, tmp_path) == BODY


def test_busy_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.status = [503, 429]
    assert fetch(site, tmp_path) == BODY
    site.status = [500] * ATTEMPTS
    with pytest.raises(DataError, match=r"the server answers 500 .*, 0 bytes are kept"):
        download(site.url("file.tar"), tmp_path / "other.tar")


@pytest.mark.parametrize("status", [403, 404])
def test_refusal_is_final(site: Site, tmp_path: Path, status: int) -> None:
    site.status = [status]
    with pytest.raises(DataError, match=rf"the server answers {status} .*archive=…, or .*url=…"):
        fetch(site, tmp_path)
    assert len(site.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_file_of_another_size_is_refused_before_it_is_fetched(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="offers 10,240 bytes, 10,241 were expected"):
        fetch(site, tmp_path, SIZE + 1)
    assert list(tmp_path.iterdir()) == []


def test_server_that_is_not_there(nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    with pytest.raises(DataError, match=r"can't be reached \(.*refused.*\), 0 bytes are kept"):
        download(nowhere, tmp_path / "file.tar")


def test_pauses_grow(nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(module, "PAUSE", 2.0)
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    with pytest.raises(DataError):
        download(nowhere, tmp_path / "file.tar")
    assert pauses == [2.0, 4.0, 8.0, 16.0]


def test_disk_that_is_too_small_is_said_beforehand(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(20_000, 15_000, 5_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match="too full: 10 kB are to come, 5 kB are free"):
        fetch(site, tmp_path)


def test_full_disk_keeps_what_came(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(response: Any, file: Any, bar: Bar, most: int) -> NoReturn:
        file.write(response.read(3000))
        file.flush()
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        monkeypatch.context() as patched,
        pytest.raises(DataError, match=r"file\.tar\.part: the disk is full"),
    ):
        patched.setattr(module, "_copy", full)
        fetch(site, tmp_path)
    assert fetch(site, tmp_path) == BODY
    assert site.requests == ["", "bytes=3000-"]


def test_interrupt_keeps_what_came(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(bar: Bar, amount: int) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "_CHUNK", 4000)
        patched.setattr(Bar, "advance", interrupt)
        fetch(site, tmp_path)
    assert (tmp_path / "file.tar.part").read_bytes() == BODY[:4000]
    assert fetch(site, tmp_path) == BODY
    assert site.requests == ["", "bytes=4000-"]
