"""What a run's folder says of code, machine, seeds and episodes."""

from __future__ import annotations

import json
import logging
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hmseg import environment
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.protocols import digest
from hmseg.data.shapes import ShapesSource
from hmseg.run_origin import ORIGIN_FILE, write_origin


@pytest.fixture
def data() -> EpisodeDataModule:
    source = ShapesSource(image_size=48, train_images=40, val_images=60)
    return EpisodeDataModule(source, 0, 32, shot=2, val_episodes=5, test_episodes=6, protocol_seed=[3, 4])


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that hmseg seems to run from."""
    root = tmp_path / "checkout"
    (root / "src").mkdir(parents=True)
    (root / "src/environment.py").write_text("one\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        name = ["-c", "user.name=n", "-c", "user.email=e@example.com"]
        subprocess.run(["git", *name, *words], cwd=root, check=True)
    monkeypatch.setattr(environment, "__file__", str(root / "src/environment.py"))
    environment.commit.cache_clear()
    yield root
    environment.commit.cache_clear()


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / ORIGIN_FILE).read_text())
    return found


def test_seeds_episodes_and_machine(tmp_path: Path, data: EpisodeDataModule) -> None:
    write_origin(tmp_path, 7, data, test=True, devices=2, resumed=None)
    found = read(tmp_path)
    assert found["seeds"] == {"seed": 7, "protocol_seeds": [3, 4]}
    assert found["episodes"]["val"]["digest"] == digest(data.val_specs)
    assert found["episodes"]["test"]["digest"] == digest(data.test_specs)
    assert (found["episodes"]["test"]["episodes"], found["episodes"]["test"]["shot"]) == (12, 2)
    (start,) = found["starts"]
    assert start["devices"] == 2 and set(start["versions"]) >= {"torch", "hmseg", "python"}
    assert start["hardware"]["cpu"] and start["command"] and start["resumed"] is None
    assert str(tmp_path) not in json.dumps(found)
    write_origin(tmp_path, 7, data, test=False, devices=1, resumed="/some/where/last.ckpt")
    found = read(tmp_path)
    assert [each["resumed"] for each in found["starts"]] == [None, "last.ckpt"]
    assert found["episodes"]["test"] is None


def test_changes_to_the_code_are_kept(tmp_path: Path, data: EpisodeDataModule, repository: Path) -> None:
    run = tmp_path / "run"
    write_origin(run, 0, data, test=False, devices=1, resumed=None)
    (start,) = read(run)["starts"]
    assert start["git"]["dirty"] is False and len(start["git"]["commit"]) == 40
    assert not list(run.glob("*.diff"))
    (repository / "src/environment.py").write_text("two\n")
    (repository / "new.py").write_text("three\n")
    environment.commit.cache_clear()
    write_origin(run, 0, data, test=False, devices=1, resumed="last.ckpt")
    start = read(run)["starts"][1]
    assert start["git"]["dirty"] is True and start["git"]["untracked"] == ["new.py"]
    assert start["commit"].endswith("-dirty")
    assert start["git"]["diff"] == "changes-2.diff" and start["git"]["diff_cut"] is False
    (repository / "src/environment.py").write_text("one\n")
    subprocess.run(["git", "apply", str(run / "changes-2.diff")], cwd=repository, check=True)
    assert (repository / "src/environment.py").read_text() == "two\n"


def test_a_long_diff_is_cut(repository: Path) -> None:
    (repository / "src/environment.py").write_text("line\n" * 1000)
    state = environment.checkout(limit=300)
    assert state is not None and state.cut and len(state.diff) == 300 and state.dirty


def test_an_installed_package_has_no_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    environment.commit.cache_clear()
    assert environment.checkout() is None
    environment.commit.cache_clear()


def test_other_code_is_warned_of(
    tmp_path: Path, data: EpisodeDataModule, caplog: pytest.LogCaptureFixture
) -> None:
    write_origin(tmp_path, 0, data, test=False, devices=1, resumed=None)
    found = read(tmp_path)
    found["starts"][0]["versions"]["torch"] = "1.0"
    (tmp_path / ORIGIN_FILE).write_text(json.dumps(found))
    with caplog.at_level(logging.WARNING):
        write_origin(tmp_path, 0, data, test=False, devices=1, resumed="last.ckpt")
    (message,) = [record.getMessage() for record in caplog.records]
    assert "the run goes on with other code (torch 1.0 -> " in message
    (tmp_path / ORIGIN_FILE).write_text("no JSON")  # an unreadable file is begun anew
    write_origin(tmp_path, 0, data, test=False, devices=1, resumed="last.ckpt")
    assert len(read(tmp_path)["starts"]) == 1
