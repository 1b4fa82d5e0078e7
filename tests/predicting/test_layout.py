"""Which files are supports and queries, and what may be written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hmseg.errors import ConfigError
from hmseg.predicting.layout import Pair, Query, find_queries, find_supports
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


def names(found: dict[str, list[Pair]]) -> dict[str, list[tuple[str, str]]]:
    return {name: [(each.image.name, each.mask.name) for each in pairs] for name, pairs in found.items()}


def test_two_folders(touch: Touch, tmp_path: Path) -> None:
    touch("images/b.JPG", "images/a.png", "masks/a.png", "masks/b.png", "notes.txt", "images/.hidden.jpg")
    assert names(find_supports(tmp_path, "cat")) == {"cat": [("a.png", "a.png"), ("b.JPG", "b.png")]}


def test_pairs(touch: Touch, tmp_path: Path) -> None:
    touch("a.jpg", "a.png", "b.png", "b_mask.png", "c.webp", "c_mask.png", "d_mask.jpg", "d_mask.png")
    assert names(find_supports(tmp_path)) == {
        "object": [
            ("a.jpg", "a.png"),
            ("b.png", "b_mask.png"),
            ("c.webp", "c_mask.png"),
            ("d_mask.jpg", "d_mask.png"),
        ]
    }


def test_a_folder_for_each_class(touch: Touch, tmp_path: Path) -> None:
    touch("dog/a.jpg", "dog/a.png", "cat/images/x.jpg", "cat/masks/x.png", ".git/a.jpg", "readme.txt")
    found = find_supports(tmp_path)
    assert names(found) == {"cat": [("x.jpg", "x.png")], "dog": [("a.jpg", "a.png")]}
    assert list(found) == ["cat", "dog"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "no image in it; expected folders images/ and masks/, or pairs"),
        (("a.jpg",), "there is no mask for a;"),
        (("a.jpg", "a.png", "b_mask.png"), "there is no image for b;"),
        (("a.jpg", "a.jpeg", "a.png"), "several images are called a; leave one"),
        (("images/a.jpg", "masks/b.png"), "there is no mask for a;"),
        (("cat/a.jpg", "cat/a.png", "b.jpg"), "b.jpg lies beside folders of classes"),
        (("cat/a.txt",), "no image with a mask in it"),
        (("images/a.txt", "masks/a.png"), "no image with a mask in it"),
    ],
)
def test_other_layouts_are_refused(
    touch: Touch, tmp_path: Path, files: tuple[str, ...], message: str
) -> None:
    touch(*files)
    with pytest.raises(ConfigError, match=message):
        find_supports(tmp_path)


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder"):
        find_supports(tmp_path / "none")


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
