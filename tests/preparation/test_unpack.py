"""Unpacking: what is written, what is refused, what a second run does."""

from __future__ import annotations

import errno
import io
import random
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hmseg.errors import DataError
from hmseg.preparation import unpack as module
from hmseg.preparation.unpack import listing, unpack
from made_archives import tar, zipped

Maker = Callable[[Path, dict[str, bytes]], Path]
FORMATS: dict[str, Maker] = {
    "tar": lambda folder, members: tar(folder / "a.tar", members),
    "tgz": lambda folder, members: tar(folder / "a.tgz", members, "w:gz"),
    "zip": lambda folder, members: zipped(folder / "a.zip", members),
}
NOISE = random.Random(0).randbytes(40_000)
MEMBERS = {"top/keep/a.txt": b"first", "top/keep/deep/b.bin": NOISE, "top/other.txt": b"other"}


def keep(name: str) -> str | None:
    return name.removeprefix("top/keep/") if name.startswith("top/keep/") else None


@pytest.fixture(params=FORMATS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    return lambda members: FORMATS[request.param](tmp_path, members)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


WANTED = {"a.txt": b"first", "deep/b.bin": NOISE}


def test_only_what_is_needed_is_written(make: Any, root: Path) -> None:
    archive = make(MEMBERS)
    assert listing(archive) == list(MEMBERS)
    assert unpack(archive, root, keep) == 2
    assert content(root) == WANTED


def test_second_run_writes_only_what_is_missing_or_short(make: Any, root: Path) -> None:
    archive = make(MEMBERS)
    unpack(archive, root, keep)
    before = (root / "deep/b.bin").stat().st_mtime_ns
    (root / "a.txt").write_bytes(b"cut")
    assert unpack(archive, root, keep) == 2
    assert content(root) == WANTED
    assert (root / "deep/b.bin").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "name", ["/tmp/evil", "../evil", "top/keep/../../../evil", "..\\evil", "\\evil", "C:\\evil", "c:evil"]
)
def test_names_that_leave_the_root_are_refused(make: Any, root: Path, tmp_path: Path, name: str) -> None:
    archive = make({"top/keep/a.txt": b"first", name: b"evil"})
    for act in (lambda: unpack(archive, root, lambda member: member), lambda: listing(archive)):
        with pytest.raises(DataError, match="leaves the folder; don't use this archive"):
            act()
    assert [path for path in tmp_path.rglob("*") if path.name in ("evil", "c:evil")] == []


@pytest.mark.parametrize("place", ["../out", "/out"])
def test_places_that_leave_the_root_are_refused_too(make: Any, root: Path, place: str) -> None:
    with pytest.raises(DataError, match="leaves the folder"):
        unpack(make(MEMBERS), root, lambda name: place)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_of_a_tar_are_refused(tmp_path: Path, root: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("top/keep/link", "top/elsewhere"):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "../../../etc/passwd"
            archive.addfile(info)
    with pytest.raises(DataError, match="'top/keep/link' is a link or a device"):
        unpack(tmp_path / "a.tar", root, keep)
    assert not (root / "link").exists()
    assert unpack(tmp_path / "a.tar", root, lambda name: None) == 0  # what isn't needed does no harm


def test_links_of_a_zip_are_refused(tmp_path: Path, root: Path) -> None:
    info = zipfile.ZipInfo("top/keep/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="is a link or a device"):
        unpack(tmp_path / "a.zip", root, keep)


def test_nothing_is_written_through_a_link_in_the_archive(tmp_path: Path, root: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("top/keep/deep")
        info.type, info.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(info)
        info = tarfile.TarInfo("top/keep/deep/evil")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match="is a link or a device"):
        unpack(tmp_path / "a.tar", root, keep)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.8])
def test_truncated_archives_are_refused(make: Any, root: Path, share: float) -> None:
    archive = make(MEMBERS)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"a\.\w+ is (truncated, )?damaged.*fetch it again"):
        unpack(archive, root, keep)
    assert all(WANTED[name] == body for name, body in content(root).items()) if root.exists() else True


def test_tar_cut_between_two_members_is_refused(tmp_path: Path, root: Path) -> None:
    archive = tar(tmp_path / "a.tar", MEMBERS)
    archive.write_bytes(archive.read_bytes()[:1024])  # header and content of the first
    with pytest.raises(DataError, match=r"truncated, damaged or no archive \(no end mark\)"):
        unpack(archive, root, keep)


def test_damaged_content_is_refused(tmp_path: Path, root: Path) -> None:
    for archive in (zipped(tmp_path / "a.zip", MEMBERS), tar(tmp_path / "a.tgz", MEMBERS, "w:gz")):
        damaged = bytearray(archive.read_bytes())
        damaged[20_000] ^= 255
        archive.write_bytes(damaged)
        with pytest.raises(DataError, match="damaged"):
            unpack(archive, root, keep)
        assert not (root / "deep/b.bin").exists()
        assert list(root.rglob(".*")) == []


def test_no_archive_at_all(tmp_path: Path, root: Path) -> None:
    (tmp_path / "page.tar").write_text("<html>Quota exceeded</html>")
    with pytest.raises(DataError, match=r"page\.tar is truncated, damaged or no archive"):
        unpack(tmp_path / "page.tar", root, keep)


def test_encrypted_zip_is_refused(tmp_path: Path, root: Path) -> None:
    archive = zipped(tmp_path / "a.zip", MEMBERS)
    body = bytearray(archive.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        body[body.index(mark) + offset] |= 1
    archive.write_bytes(body)
    with pytest.raises(DataError, match="encrypted"):
        unpack(archive, root, keep)


def test_bomb_is_refused_before_it_goes_off(make: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SMALL", 10_000)
    monkeypatch.setattr(module, "MAX_RATIO", 2)
    archive = make({"top/keep/a.txt": b"first", "top/keep/bomb": bytes(5_000_000)})
    if archive.suffix == ".tar":
        assert unpack(archive, root, keep) == 2  # nothing grows there
        return
    with pytest.raises(DataError, match="far more than such an archive holds"):
        unpack(archive, root, keep)
    assert content(root) == {}


def test_two_members_of_one_place_are_refused(make: Any, root: Path) -> None:
    with pytest.raises(DataError, match=r"two members belong at a\.txt"):
        unpack(make({"x/a.txt": b"1", "y/a.txt": b"22"}), root, lambda name: name[2:])


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "the disk is full; free space and run again"), (errno.EACCES, "not permitted")],
)
def test_full_disk(make: Any, root: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str) -> None:
    def full(source: Any, target: Any, length: int) -> NoReturn:
        target.write(source.read(10))
        raise OSError(number, "no")

    with monkeypatch.context() as patched, pytest.raises(DataError, match=message):
        patched.setattr(shutil, "copyfileobj", full)
        unpack(make(MEMBERS), root, keep)
    assert content(root) == {}
    assert unpack(make(MEMBERS), root, keep) == 2


def test_interrupt_leaves_whole_files_only(make: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copyfileobj

    def interrupt(source: Any, target: Any, length: int) -> None:
        if "b.bin" in str(target.name):
            target.write(source.read(10))
            raise KeyboardInterrupt
        copy(source, target, length)

    archive = make(MEMBERS)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shutil, "copyfileobj", interrupt)
        unpack(archive, root, keep)
    # Nothing is in its place; what a zip's checksums can vouch for is kept for the next call.
    assert list(content(root)) == ([".a.zip.unpacking/a.txt"] if archive.suffix == ".zip" else [])
    unpack(archive, root, keep)
    assert content(root) == WANTED


@pytest.mark.parametrize("seed", range(8))
def test_nothing_of_a_damaged_archive_outlives_the_good_one(make: Any, root: Path, seed: int) -> None:
    archive, draw = make(MEMBERS), random.Random(seed)
    good = archive.read_bytes()
    for _ in range(5):
        damaged = bytearray(good)
        for _ in range(draw.randrange(1, 4)):
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        archive.write_bytes(damaged)
        try:
            unpack(archive, root, keep)
        except DataError as error:
            assert len(str(error).splitlines()) == 1
            assert not list(root.glob(".*")), error  # cleaned up
    archive.write_bytes(good)
    assert unpack(archive, root, keep) == 2
    assert content(root) | WANTED == content(root)  # besides, a name that was damaged may be there


def test_equal_size_is_not_equal_content(make: Any, root: Path) -> None:
    archive = make(MEMBERS)
    unpack(archive, root, keep)
    (root / "deep/b.bin").write_bytes(bytes(len(NOISE)))
    untouched = (root / "a.txt").stat().st_mtime_ns
    unpack(archive, root, keep)
    assert content(root) == WANTED and (root / "a.txt").stat().st_mtime_ns == untouched


def test_what_a_killed_process_had_unpacked_is_not_trusted(make: Any, root: Path) -> None:
    archive = make(MEMBERS)
    stage = root / f".{archive.name}.unpacking"
    for name in ("deep/b.bin", "of another archive"):
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        (stage / name).write_bytes(bytes(len(NOISE)))
    unpack(archive, root, keep)
    assert content(root) == WANTED and not stage.exists()
