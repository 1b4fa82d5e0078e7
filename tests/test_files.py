"""Files are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from hmseg.files import chosen_folder, sha256, writing, writing_bytes


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
