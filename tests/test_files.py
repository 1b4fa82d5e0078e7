"""Files are whole or not there; what has an owner has one."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hmseg.errors import HmsegError
from hmseg.files import chosen_folder, new_folder, owned, sha256, writing, writing_bytes


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with writing(path) as file:
        file.write("né")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text(encoding="utf-8") == "né" and list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_fault_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), writing(path) as file:
        file.write("new")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(KeyboardInterrupt), writing_bytes(path) as binary:
        binary.write(b"new")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError), writing(tmp_path / "no/a.txt"):
        pass


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a").startswith("ba7816bf")


def test_folders_that_settings_mean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert chosen_folder(None, "images") is None
    assert chosen_folder(tmp_path, "images") == tmp_path
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert chosen_folder("auto", "images") == tmp_path / "hmseg" / "images"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert chosen_folder("auto", "features") == tmp_path / ".cache" / "hmseg" / "features"
    assert chosen_folder("~/images", "images") == tmp_path / "images"


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: done.append(f"flushed {os.fstat(handle).st_size}"))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("moved"), replace(*paths)))
    with writing(tmp_path / "a") as text:
        text.write("four")
    with writing_bytes(tmp_path / "b") as binary:
        binary.write(b"fives")
    with writing_bytes(tmp_path / "c", durable=False) as binary:
        binary.write(b"a cache")
    assert done == ["flushed 4", "moved", "flushed 5", "moved", "moved"]


def test_each_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_folder(tmp_path / "day" / "12-00-00"), range(32)))
    assert len(set(made)) == 32 and all(folder.is_dir() for folder in made)


HOLDING = """
import sys, time
from pathlib import Path
from hmseg.files import owned
with owned(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_owner_is_told_of_the_first_and_a_killed_one_leaves_nothing(tmp_path: Path) -> None:
    lock = tmp_path / "run" / ".lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDING, str(lock)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        held = pytest.raises(
            HmsegError, match=rf"^it is in use by process {holder.pid} on .+ since 2.+: wait"
        )
        with held, owned(lock, "it"):
            raise AssertionError
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    for _ in range(2):  # the dead one's, and one that was given back
        with owned(lock, "it"):
            assert f"process {os.getpid()}" in lock.with_name(".lock.holder").read_text()
    assert os.listdir(lock.parent) == [".lock"]


def test_the_block_s_own_error_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), owned(tmp_path / ".lock", "it"):
        raise ZeroDivisionError
    with owned(tmp_path / ".lock", "it"):
        pass


def test_a_file_system_without_locks_is_named_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with owned(tmp_path / ".lock", "it"):
        pass
    assert "has no locks (No locks available): nothing keeps another process out" in caplog.text


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = pytest.raises(HmsegError, match=r"file can't be written \(.+\): choose another folder")
    with told, owned(tmp_path / "file" / ".lock", "it"):
        raise AssertionError
