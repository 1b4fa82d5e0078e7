"""What an artifact from elsewhere can't do, without a server; with one: tests/test_wandb_online.py."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import wandb

from hmseg.errors import CheckpointError
from hmseg.tracking.artifacts import fetch
from hmseg.tracking.origin import Origin, read_origin

NAME = "wandb:team/hmseg/checkpoint-1:best"


@dataclass
class Entry:
    """A file of an artifact; ``sent`` is what comes for it."""

    content: bytes = b"weights"
    ref: str | None = None
    sent: bytes | None = None
    lands: str = "best.ckpt"
    downloads: int = 0

    @property
    def digest(self) -> str:
        return base64.b64encode(hashlib.md5(self.content).digest()).decode()

    def download(self, root: str, skip_cache: bool) -> str:
        assert skip_cache
        self.downloads += 1
        path = Path(root) / self.lands
        path.write_bytes(self.content if self.sent is None else self.sent)
        return str(path)


@dataclass
class Artifact:
    """As much of W&B's as is looked at; it is its own manifest."""

    entries: dict[str, Entry]
    version: str = "v3"
    metadata: Any = field(default_factory=lambda: {"run": "1", "group": "mine"})

    @property
    def manifest(self) -> Artifact:
        return self

    def get_entry(self, path: str) -> Entry:
        return self.entries[path]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WANDB_MODE", raising=False)


@pytest.fixture
def at_wandb(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what the server would give."""

    def put(entries: dict[str, Entry], **options: Any) -> None:
        class Api:
            def __init__(self, timeout: int) -> None: ...

            def artifact(self, name: str, type: str) -> Artifact:
                assert (name, type) == ("team/hmseg/checkpoint-1:best", "model")
                return Artifact(entries, **options)

        monkeypatch.setattr(wandb, "Api", Api)

    return put


def test_a_checkpoint_is_fetched_once_and_says_where_it_is_from(at_wandb: Any) -> None:
    entry = Entry()
    at_wandb({"best.ckpt": entry, "notes.txt": Entry()})
    path = fetch("ckpt", NAME)
    assert path == Path("outputs/wandb/team/hmseg/checkpoint-1/v3/best.ckpt")
    assert path.read_bytes() == b"weights"
    held = {"best.ckpt": "checkpoint-1:v3"}
    assert read_origin(path.parent) == Origin("team", "hmseg", "1", "mine", held)
    assert fetch("ckpt", NAME) == path and entry.downloads == 1
    assert sorted(each.name for each in path.parent.iterdir()) == ["best.ckpt", "wandb.json"]


def test_a_damaged_one_is_fetched_again_and_records_beside_it_stay(at_wandb: Any) -> None:
    entry = Entry()
    at_wandb({"best.ckpt": entry})
    path = fetch("ckpt", NAME)
    path.write_bytes(b"wei")
    (path.parent / "best.json").write_text("a record")
    assert fetch("ckpt", NAME).read_bytes() == b"weights" and entry.downloads == 2
    assert (path.parent / "best.json").read_text() == "a record"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "expected one .ckpt file in the artifact, it holds nothing"),
        ({"model.pt": Entry()}, "expected one .ckpt file in the artifact, it holds model.pt"),
        (
            {"a.ckpt": Entry(), "b.ckpt": Entry()},
            "expected one .ckpt file in the artifact, it holds a.ckpt",
        ),
        ({"best.ckpt": Entry(ref="file:///etc/passwd")}, "best.ckpt is a link to elsewhere"),
        ({"../../best.ckpt": Entry()}, "'../../best.ckpt' is no name for a file"),
        ({"/tmp/best.ckpt": Entry()}, "'/tmp/best.ckpt' is no name for a file"),
        ({"best\n.ckpt": Entry()}, "is no name for a file"),
        ({"best.ckpt": Entry(sent=b"other")}, "the file that came is not the one that was announced"),
        ({"best.ckpt": Entry(lands="../best.ckpt")}, "the file that came is not the one that was announced"),
    ],
)
def test_what_is_no_single_honest_checkpoint_is_refused(
    at_wandb: Any, tmp_path: Path, entries: dict[str, Entry], message: str
) -> None:
    at_wandb(entries)
    with pytest.raises(CheckpointError, match=re.escape(message)) as caught:
        fetch("ckpt", NAME)
    assert str(caught.value).startswith(f"ckpt={NAME}: ")
    assert not list(tmp_path.rglob("wandb.json"))


def test_a_version_that_is_a_path_and_metadata_that_is_none(at_wandb: Any) -> None:
    at_wandb({"best.ckpt": Entry()}, version="../../../x")
    with pytest.raises(CheckpointError, match="'../../../x' is no name for a file"):
        fetch("ckpt", NAME)
    at_wandb({"best.ckpt": Entry()}, metadata=["no", "mapping"])
    origin = read_origin(fetch("ckpt", NAME).parent)
    assert origin is not None and (origin.run, origin.group) == (None, None)


def test_offline_and_without_account_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(CheckpointError, match="WANDB_MODE=offline, so nothing can be fetched"):
        fetch("ckpt", NAME)
    monkeypatch.delenv("WANDB_MODE")

    def refuse(timeout: int) -> None:
        raise wandb.errors.UsageError("No API key configured. Use `wandb login` to log in.")

    monkeypatch.setattr(wandb, "Api", refuse)
    with pytest.raises(CheckpointError, match=r"`wandb login` to log in; WANDB_API_KEY works, too; or give"):
        fetch("ckpt", NAME)


def test_a_connection_that_breaks_and_a_folder_that_cannot_be_made(at_wandb: Any, tmp_path: Path) -> None:
    class Broken(Entry):
        def download(self, root: str, skip_cache: bool) -> str:
            raise ConnectionError("the line broke\nwith details")

    at_wandb({"best.ckpt": Broken()})
    with pytest.raises(CheckpointError, match=r"can't be fetched \(the line broke\)$"):
        fetch("ckpt", NAME)
    at_wandb({"best.ckpt": Entry()})
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="can't be fetched"):
        fetch("ckpt", NAME, tmp_path / "file")
