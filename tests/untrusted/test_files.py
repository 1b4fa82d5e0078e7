"""Files that would hang a reader or fill its memory are not opened."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from hmseg.untrusted import json_or_none, opened, read_bytes, read_text


@pytest.fixture(params=["pipe", "device", "socket", "folder"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    elif request.param == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    return path


def test_what_is_no_ordinary_file_is_refused_at_once(odd: Path) -> None:
    with pytest.raises(OSError, match=r"no ordinary file|it is a folder|No such device"):
        read_bytes(odd)
    assert json_or_none(odd) is None


def test_more_than_may_come_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(10**12)  # no disk has to hold it
    with pytest.raises(OSError, match="more than 64 MB"):
        read_bytes(path, 64 * 10**6)
    with opened(path) as content:
        assert content.read(1) == b"\0"


def test_text_and_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes('{"a":\r\n "ü"}'.encode())
    assert read_text(path) == '{"a":\n "ü"}' and json_or_none(path) == {"a": "ü"}
    for damaged in (b"{", b"\xff", b"[" * 100_000):
        path.write_bytes(damaged)
        assert json_or_none(path) is None
    with pytest.raises(UnicodeDecodeError):
        path.write_bytes(b"\xff")
        read_text(path)
