"""FSS-1000 from archives and folders in the layouts found in the wild."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hmseg.errors import DataError
from hmseg.preparation import fss
from hmseg.preparation.archives import Shelf
from hmseg.preparation.report import Row
from hmseg.preparation.work import Work
from made_archives import encoded, fss_members, labels, photo, tar, zipped

Maker = Callable[..., Work]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    monkeypatch.setattr(fss, "CATEGORIES", 2)
    root = tmp_path / "FSS-1000"

    def make(*given: Path, **options: Any) -> Work:
        return Work(root, root / "splits", Shelf(given), root / "downloads", **options)

    return make


def rows(work: Work) -> dict[str, Row]:
    return {row.what: row for row in fss.verify(work)}


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


WANTED = {f"thing_{c}/{n}.{kind}" for c in range(2) for n in range(1, 11) for kind in ("jpg", "png")}
TOPS = ("", "./", "fewshot_data/", "fewshot_data/fewshot_data/", "FSS-1000/")


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("top", TOPS)
@pytest.mark.parametrize("kind", ["zip", "tgz", "folder"])
def test_every_layout_comes_to_the_same(
    work: Maker, tmp_path: Path, kind: str, top: str, apart: bool
) -> None:
    members = fss_members(top, apart=apart)
    if kind == "zip":
        source = zipped(tmp_path / "x.zip", members)
    elif kind == "tgz":
        source = tar(tmp_path / "x.tgz", members, "w:gz")
    else:
        source = tmp_path / "unpacked"
        for name, content in members.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    fss.prepare(work(source))
    assert files(work().root) == WANTED
    assert {row.state for row in fss.verify(work(deep=True))} == {"ok"}
    assert source.exists()


def test_second_run_needs_no_archive(work: Maker, tmp_path: Path) -> None:
    source = zipped(tmp_path / "x.zip", fss_members())
    fss.prepare(work(source))
    source.unlink()
    fss.prepare(work(source))
    assert files(work().root) == WANTED


def test_nothing_given_and_nothing_there(work: Maker) -> None:
    with pytest.raises(
        DataError, match=r"holds no FSS-1000: fetch its archive with a browser \(https://.*archive="
    ):
        fss.prepare(work())


def test_archive_of_something_else(work: Maker, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.zip: no files like CATEGORY/1\.jpg"):
        fss.prepare(work(zipped(tmp_path / "x.zip", {"a/b.txt": b""})))


def test_root_above_the_categories(work: Maker, tmp_path: Path) -> None:
    for name, content in fss_members("FSS-1000/fewshot_data/fewshot_data/").items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"its categories are in fewshot_data/fewshot_data; give root="):
        fss.verify(work())


def test_oddities_are_reported(work: Maker, tmp_path: Path) -> None:
    """The published set has some of them: other sizes, a ``.jpeg`` beside the numbered files."""
    members = fss_members("")
    members["thing_0/3.png"] = encoded(Image.fromarray(labels(255)[:10]), "PNG")
    members["thing_1/11.jpg"] = members.pop("thing_1/10.jpg")
    members["thing_1/11.png"] = members.pop("thing_1/10.png")
    fss.prepare(work(zipped(tmp_path / "x.zip", members)))
    (work().root / "thing_0/10.jpeg").write_bytes(photo())
    found = rows(work())
    assert found["photo and mask of one size"].state == "note"
    (item,) = found["photo and mask of one size"].items
    assert "thing_0/3.jpg is 16x12 pixels, its mask 3.png 16x10" in item
    assert found["categories numbered 1 to 10"].items == ("thing_1: photos 1-9 11, masks 1-9 11",)
    assert found["other files"].items == ("thing_0/10.jpeg",)
    assert not any(row.failed for row in found.values())


def test_what_is_missing_or_wrong_fails(work: Maker, tmp_path: Path) -> None:
    fss.prepare(work(zipped(tmp_path / "x.zip", fss_members(""))))
    (work().root / "thing_0/3.png").unlink()
    Image.fromarray(np.full((12, 16), 127, dtype=np.uint8)).save(work().root / "thing_1/1.png")
    (work().root / "thing_1/2.png").write_bytes(b"no image")
    found = rows(work())
    assert (found["photos with masks"].state, found["photos with masks"].found) == ("missing", "19")
    assert found["categories numbered 1 to 10"].items == ("thing_0: photos 1-10, masks 1-2 4-10",)
    empty, broken = found["masks with foreground"].items
    assert "thing_1/1.png has no foreground" in empty and "thing_1/2.png is not an image" in broken


def test_shared_folder(shared: Path, tmp_path: Path) -> None:
    root = shared / "data/FSS-1000_mini"
    found = rows(Work(root, root / "splits", Shelf(), tmp_path, deep=True))
    assert (found["categories"].found, found["photos with masks"].found) == ("2", "10")
    assert set(found["categories numbered 1 to 10"].items) == {
        "african_elephant: photos 3-7, masks 3-7",
        "eiffel_tower: photos 1-5, masks 1-5",
    }
    assert found["masks with foreground"].state == "ok"
