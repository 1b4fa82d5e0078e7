"""Lists of episodes as files: written, read, checked; and every way in which one can be wrong."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from hmseg.data.episode import EpisodeSpec
from hmseg.data.manifest import Manifest, check_manifest, read_manifest, write_manifest
from hmseg.data.protocols import digest, seeded_episodes
from hmseg.data.source import Source
from hmseg.errors import DataError


def manifest_of(source: Source, **changes: Any) -> Manifest:
    listing = source.listing("test", 1)
    specs = seeded_episodes("hsnet", listing, 2, 6, (0, 3))
    manifest = Manifest(source.name, 1, "test", 2, "hsnet", (0, 3), source.lists, tuple(specs))
    return dataclasses.replace(manifest, **changes)


@pytest.fixture
def path(fake_source: Source, tmp_path: Path) -> Path:
    write_manifest(tmp_path / "new/episodes.jsonl", manifest_of(fake_source))
    return tmp_path / "new/episodes.jsonl"


def test_round_trip(fake_source: Source, path: Path) -> None:
    manifest = manifest_of(fake_source)
    assert read_manifest(path) == manifest
    assert list(path.parent.iterdir()) == [path]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {
        "format": "hmseg-episodes", "version": 1, "dataset": "fake", "fold": 1, "split": "test", "shot": 2,
        "protocol": "hsnet", "seeds": [0, 3], "lists": "own", "episodes": 12, "sha256": manifest.digest,
    }  # fmt: skip
    spec = manifest.episodes[4]
    assert lines[5] == {"class": spec.class_id, "query": spec.query, "supports": list(spec.supports)}
    assert manifest.digest == digest(manifest.episodes)


def test_without_folds(fake_source: Source, tmp_path: Path) -> None:
    manifest = manifest_of(fake_source, fold=None)
    write_manifest(tmp_path / "m.jsonl", manifest)
    assert read_manifest(tmp_path / "m.jsonl").fold is None


def test_it_goes_with_its_source(fake_source: Source) -> None:
    check_manifest(manifest_of(fake_source), fake_source, fold=1, shot=2)
    check_manifest(manifest_of(fake_source), fake_source, fold=1)


def episode(class_id: int = 2, query: str = "val2_0", support: str = "val2_1") -> tuple[EpisodeSpec, ...]:
    return (EpisodeSpec(class_id, query, (support, "val2_2")),) * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dataset": "pascal"},
            "the manifest is of dataset=pascal, not of dataset=fake: give dataset=pascal",
        ),
        ({"fold": None}, "of fold=null, not of fold=1: give fold=null"),
        ({"shot": 5}, "of shot=5, not of shot=2: give shot=5"),
        ({"episodes": episode(class_id=4)}, "an episode of class 4, but the test classes of fold 1 are 2, 3"),
        ({"episodes": episode(query="other")}, "names the image 'other', which fake does not have here"),
        ({"episodes": episode(support="../val")}, "names the image '../val', which fake does not have"),
        ({"episodes": episode(support="val_damaged")}, "image val_damaged is damaged"),
    ],
)
def test_what_does_not_go_with_a_source(fake_source: Source, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_manifest(manifest_of(fake_source, **changes), fake_source, fold=1, shot=2)


def test_an_image_off_the_list_that_shows_the_class_is_accepted(fake_source: Source) -> None:
    manifest = manifest_of(fake_source, episodes=episode(support="val2_7"))
    check_manifest(manifest, fake_source, fold=1)


def changed(path: Path, line: int, **values: Any) -> str:
    """The file's text with some values of a line changed (None: taken out)."""
    lines = path.read_text().splitlines()
    content = {**json.loads(lines[line - 1]), **values}
    lines[line - 1] = json.dumps({key: value for key, value in content.items() if value != "gone"})
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("line", "values", "message"),
    [
        (1, {"format": "other"}, "is no manifest of episodes"),
        (1, {"version": 2}, "has version 2, this program reads 1"),
        (1, {"shot": "gone"}, "line 1: shot is missing or of the wrong type"),
        (1, {"fold": True}, "line 1: fold is missing or of the wrong type"),
        (1, {"seeds": ["a"]}, "line 1: split or seeds are not what they can be"),
        (1, {"split": "tset"}, "line 1: split or seeds are not what they can be"),
        (1, {"seeds": []}, "line 1: the number of episodes is not a multiple of the seeds'"),
        (1, {"seeds": [0] * 5}, "line 1: the number of episodes is not a multiple of the seeds'"),
        (1, {"episodes": 14}, "has been cut or changed .12 of 14 episodes"),
        (1, {"sha256": "0" * 64}, "has been cut or changed .12 of 12 episodes, another SHA-256"),
        (3, {"query": "val2_2"}, "has been cut or changed|among its own supports"),
        (3, {"class": "2"}, "line 3: .* came, .* was expected"),
        (3, {"class": True}, "line 3: .* came, .* was expected"),
        (3, {"supports": "val2_0"}, "line 3: .* came, .* was expected"),
        (3, {"supports": [1, 2]}, "line 3: .* came, .* was expected"),
        (3, {"supports": ["val2_0"]}, "line 3: 1 supports came, the header says 2"),
        (3, {"more": 1}, "line 3: .* came, .* was expected"),
        (3, {"query": "x", "supports": ["a", "x"]}, "line 3: the query x is among its own supports"),
    ],
)
def test_changed_files(path: Path, line: int, values: dict[str, Any], message: str) -> None:
    path.write_text(changed(path, line, **values))
    with pytest.raises(DataError, match=message) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "\n", "0 a b\n", "[]\n", "{}\n", "[" * 99999, '{"format": "hmseg-episodes"}']
)
def test_other_files(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(DataError, match="is no manifest of episodes|has version None"):
        read_manifest(path)


def test_a_file_cut_in_the_middle_of_a_line(path: Path) -> None:
    path.write_text(path.read_text()[:-30])
    with pytest.raises(DataError, match="line 13: .* came, .* was expected"):
        read_manifest(path)


def test_files_that_are_not_text_or_not_there(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not text"):
        read_manifest(path)
    with pytest.raises(DataError, match="cannot be read .No such file"):
        read_manifest(path.parent / "nowhere.jsonl")


def test_a_place_that_cannot_be_written(fake_source: Source, path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be written .*: give another out="):
        write_manifest(path / "below a file.jsonl", manifest_of(fake_source))
