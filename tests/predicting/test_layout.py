"""Which files are queries, and what may be written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hmseg.errors import ConfigError
from hmseg.predicting.layout import Query, find_queries, queries_not_read
from hmseg.predicting.targets import Targets

Touch = Callable[..., None]


@pytest.fixture
def touch(tmp_path: Path) -> Touch:
    def make(*names: str) -> None:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")

    return make


def test_queries_of_a_folder_a_file_and_a_pattern(touch: Touch, tmp_path: Path) -> None:
    touch("q/b.jpg", "q/a.PNG", "q/x/c.jpg", "q/notes.txt", "q/.d.jpg", "q/x/out/e.jpg", "q/x/photo.raw")
    out = tmp_path / "q/x/out"

    def found(given: str) -> list[str]:
        return [each.name for each in find_queries(str(tmp_path / given), out)]

    assert found("q") == ["a", "b"]
    assert found("q/x/c.jpg") == ["c"]
    assert found("q/x/photo.raw") == ["photo"]  # named itself, so it is tried
    assert found("q/**/*.jpg") == ["b", "x/c"]
    assert found("q/*/*") == ["x/c"]
    assert found("q/*.jpg") == ["b"]


def test_results_of_like_names_are_kept_apart(touch: Touch, tmp_path: Path) -> None:
    touch("a.jpg", "A.png", "b.jpg")
    found = find_queries(str(tmp_path), tmp_path / "out")
    assert found == [
        Query(tmp_path / "A.png", "A.png"),
        Query(tmp_path / "a.jpg", "a.jpg"),
        Query(tmp_path / "b.jpg", "b"),
    ]


@pytest.mark.parametrize("given", ["none.jpg", "empty", "*.bmp"])
def test_no_queries_are_refused(tmp_path: Path, given: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"no image .*; give an image, a folder of images"):
        find_queries(str(tmp_path / given), tmp_path / "out")


def test_what_may_be_written(touch: Touch, tmp_path: Path) -> None:
    targets, queries = Targets(tmp_path / "out"), [Query(tmp_path / "a.jpg", "a")]
    targets.check(queries, [], overwrite=False, resume=False)
    touch("out/overlays/a.jpg")
    with pytest.raises(ConfigError, match="a.jpg is there already; give another folder, or overwrite=true"):
        targets.check(queries, [], overwrite=False, resume=False)
    with pytest.raises(ConfigError, match="is there already"):  # not of an earlier run: nothing to resume
        targets.check(queries, [], overwrite=False, resume=True)
    Targets(tmp_path / "out", overlays=False).check(queries, [], overwrite=False, resume=False)
    targets.check(queries, [], overwrite=True, resume=False)
    touch("out/summary.unfinished")
    with pytest.raises(ConfigError, match="not finished; resume=true goes on"):
        targets.check(queries, [], overwrite=False, resume=False)
    targets.check(queries, [], overwrite=False, resume=True)
    with pytest.raises(ConfigError, match="a.png is one of the inputs"):
        targets.check(queries, [tmp_path / "out/masks/a.png"], overwrite=True, resume=False)
    with pytest.raises(ConfigError, match="this is a file"):
        Targets(tmp_path / "out/overlays/a.jpg").check(queries, [], overwrite=True, resume=False)


def test_brackets_in_the_name_of_a_folder_are_no_pattern(touch: Touch, tmp_path: Path) -> None:
    touch("run[1]/a.jpg", "run1/b.jpg", "run2/c.jpg")

    def found(given: str) -> list[str]:
        return [
            str(each.path.relative_to(tmp_path))
            for each in find_queries(str(tmp_path / given), tmp_path / "o")
        ]

    assert found("run[1]/*.jpg") == ["run[1]/a.jpg"]
    assert found("run[1]/**/*.jpg") == ["run[1]/a.jpg"]
    assert found("run[12]/*.jpg") == ["run1/b.jpg", "run2/c.jpg"]


def test_images_in_formats_that_are_not_read_are_counted(touch: Touch, tmp_path: Path) -> None:
    touch("a.jpg", "b.heic", "c.AVIF", "d.txt", "e.gif", "f.jfif", "only/a.heic")
    assert [each.name for each in find_queries(str(tmp_path), tmp_path / "out")] == ["a", "e", "f"]
    for given in (tmp_path, tmp_path / "*"):
        assert "left out 2 images in formats that are not read here (b.heic, c.AVIF)" in str(
            queries_not_read(str(given))
        )
    assert queries_not_read(str(tmp_path / "a.jpg")) is queries_not_read(str(tmp_path / "*.jpg")) is None
    with pytest.raises(ConfigError, match=r"in this folder \(left out 1 image in a format that is not"):
        find_queries(str(tmp_path / "only"), tmp_path / "out")
