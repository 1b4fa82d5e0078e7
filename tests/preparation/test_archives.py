"""Archives: given, fetched before, or fetched now; and every way in which one can be the wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hmseg.errors import ConfigError, DataError
from hmseg.preparation import archives
from hmseg.preparation.archives import Archive, Shelf, check
from made_archives import published, tar
from website import Site


@pytest.fixture
def archive(tmp_path: Path, site: Site) -> Archive:
    """One that the server has."""
    path = tar(tmp_path / "made.tar", {"a.txt": bytes(range(256)) * 30})
    site.files["data/made.tar"] = path.read_bytes()
    made = published(path, site.url("data/made.tar"), "md5")
    path.unlink()
    return made


def test_fetched_checked_and_kept(archive: Archive, site: Site, tmp_path: Path) -> None:
    path = Shelf().get(archive, tmp_path / "downloads")
    assert path == tmp_path / "downloads/made.tar"
    assert path.read_bytes() == site.files["data/made.tar"]
    assert Shelf().get(archive, tmp_path / "downloads") == path
    assert len(site.requests) == 1
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["made.tar"]


@pytest.mark.parametrize("folder", [True, False])
def test_given_archive_is_used_where_it_is(
    archive: Archive, site: Site, tmp_path: Path, folder: bool
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "made.tar").write_bytes(site.files["data/made.tar"])
    shelf = Shelf((given if folder else given / "made.tar",))
    shelf.check_names([archive])
    assert shelf.get(archive, tmp_path / "downloads") == given / "made.tar"
    assert site.requests == [] and not (tmp_path / "downloads").exists()


def test_truncated_given_archive_is_refused_and_left(archive: Archive, site: Site, tmp_path: Path) -> None:
    (tmp_path / "made.tar").write_bytes(site.files["data/made.tar"][:5000])
    message = (
        r"made\.tar is truncated or another file: 5,000 bytes came, 10,240 were expected .*checksum=false"
    )
    with pytest.raises(DataError, match=message):
        Shelf((tmp_path,)).get(archive, tmp_path)
    assert (tmp_path / "made.tar").stat().st_size == 5000


def test_longer_given_archive_is_refused(archive: Archive, site: Site, tmp_path: Path) -> None:
    (tmp_path / "made.tar").write_bytes(site.files["data/made.tar"] + b"x")
    with pytest.raises(DataError, match=r"made\.tar is another file: 10,241 bytes came"):
        Shelf((tmp_path,)).get(archive, tmp_path)


def test_given_archive_with_another_digest_is_refused(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "made.tar").write_bytes(bytes(archive.size))
    with pytest.raises(DataError, match=r"damaged or another file: its md5 is \w{32}, \w{32} was expected"):
        Shelf((tmp_path,)).get(archive, tmp_path)
    assert Shelf((tmp_path,), checksum=False).get(archive, tmp_path) == tmp_path / "made.tar"


def test_fetched_file_with_another_digest_is_removed(archive: Archive, site: Site, tmp_path: Path) -> None:
    site.files["data/made.tar"] = bytes(archive.size)
    with pytest.raises(DataError, match="it is removed; run again, or name another place with url="):
        Shelf().get(archive, tmp_path / "downloads")
    assert list((tmp_path / "downloads").iterdir()) == []


def test_repacked_archive_is_fetched_without_check(archive: Archive, site: Site, tmp_path: Path) -> None:
    site.files["data/made.tar"] = b"repacked"
    with pytest.raises(DataError, match="the server offers 8 bytes, 10,240 were expected"):
        Shelf().get(archive, tmp_path)
    assert Shelf(checksum=False).get(archive, tmp_path).read_bytes() == b"repacked"


def test_earlier_download_of_another_size_is_refused(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "made.tar").write_bytes(b"short")
    with pytest.raises(DataError, match=r"5 bytes came.*remove it and run again"):
        Shelf().get(archive, tmp_path)


def test_another_place_is_asked_by_the_name_at_its_end(archive: Archive, site: Site, tmp_path: Path) -> None:
    site.files["mirror/made.tar?x=1"] = site.files.pop("data/made.tar")
    shelf = Shelf(urls=(site.url("mirror/other.tar"), site.url("mirror/made.tar?x=1")))
    assert shelf.get(archive, tmp_path).stat().st_size == archive.size


@pytest.mark.parametrize(
    ("shelf", "message"),
    [
        (Shelf((Path("nowhere.tar"),)), r"archive=nowhere\.tar: there is no such file or folder"),
        (Shelf((Path(__file__),)), r"archive=.*: expected a file named made\.tar, or a folder"),
        (Shelf(urls=("file:///made.tar",)), r"url=file:///made\.tar: expected http:// or https://"),
        (Shelf(urls=("http://x/y.tar",)), r"url=http://x/y\.tar: expected a URL that ends in made\.tar"),
    ],
)
def test_what_belongs_to_no_archive_is_refused(archive: Archive, shelf: Shelf, message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        shelf.check_names([archive])


def test_archives_of_any_name_where_none_is_published() -> None:
    Shelf((Path(__file__),)).check_names([])
    with pytest.raises(ConfigError, match="nothing can be fetched of this data set; give archive="):
        Shelf(urls=("http://x/y.tar",)).check_names([])


def test_known_archives_are_complete() -> None:
    known = [value for value in vars(archives).values() if isinstance(value, Archive)]
    assert len(known) == 5
    for archive in known:
        algorithm, _, digest = archive.digest.partition(":")
        assert len(digest) == {"md5": 32, "sha256": 64}[algorithm]
        assert archive.url.endswith(f"/{archive.name}")
        assert archive.size > 100_000_000


def test_digest_is_of_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_CHUNK", 100)
    (tmp_path / "x").write_bytes(bytes(250))
    archive = published(tmp_path / "x")
    check(tmp_path / "x", archive, "")
    (tmp_path / "x").write_bytes(bytes(249) + b"x")
    with pytest.raises(DataError, match="its sha256 is"):
        check(tmp_path / "x", archive, "")
