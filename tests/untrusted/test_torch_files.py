"""PyTorch's files: read as torch.load reads them, or refused before anything of them takes memory."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hmseg.errors import CheckpointError, HmsegError, WeightsError
from hmseg.published import read_published
from hmseg.run_checkpoints import read_checkpoint
from hmseg.untrusted.torch_files import load
from hmseg.weights import read_state_dict
from made_checkpoints import write_checkpoint

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(0), "c": torch.tensor(3)}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("mmap", [True, False])
def test_both_formats_are_read_as_torch_reads_them(tmp_path: Path, zipped: bool, mmap: bool) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": STATE, "epoch": 3}, path, _use_new_zipfile_serialization=zipped)
    content = load(path, mmap)
    assert content["epoch"] == 3
    assert all(torch.equal(content["state_dict"][name], value) for name, value in STATE.items())


def packed(path: Path) -> None:
    """Forty megabytes of zeros in some kilobytes."""
    whole = path.with_name("whole.pt")
    torch.save({"a": torch.zeros(10**7)}, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    whole.unlink()


def pickled(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")


def nested(path: Path) -> None:
    pickled(path, b"\x80\x02}" + b")" + b"\x85" * 300_000 + b"K\x01s.")


def repeated(path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(10**6, 10**6)}, path)


def piped(path: Path) -> None:
    os.mkfifo(path)


class Harmful:
    def __reduce__(self) -> Any:
        return (os.mkdir, ("harm",))


def harmful(path: Path) -> None:
    torch.save({"a": Harmful()}, path)


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "packed": (packed, r"its 0\.0\d+ MB unpack to 40 MB, and PyTorch packs nothing"),
    "nested": (nested, "nested more than 200 deep"),
    "repeated": (repeated, r"a tensor of shape \(1000000, 1000000\) is larger than the file"),
    "harmful": (harmful, r"mkdir|holds code|Weights only"),
    "empty": (Path.touch, r"\("),
    "no pickle": (lambda path: pickled(path, b"\x80\x02"), r"\("),
    "other bytes": (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(range(256)) * 9) and None, r"\("),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_every_reader_refuses_them_in_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, message = HOSTILE[kind]
    path = tmp_path / "file.pt"
    make(path)
    readers: tuple[tuple[Callable[[Path], object], type[HmsegError]], ...] = (
        (read_checkpoint, CheckpointError),
        (read_published, CheckpointError),
        (read_state_dict, WeightsError),
    )
    for read, error in readers:
        with pytest.raises(error, match=message) as caught:
            read(path)
        assert "file.pt" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "harm").exists()


def test_a_pipe_is_no_file_to_any_reader(tmp_path: Path) -> None:
    piped(tmp_path / "pipe.pt")
    for read in (read_checkpoint, read_published, read_state_dict):
        with pytest.raises(HmsegError, match=r"no (checkpoint|file|weights) at"):
            read(tmp_path / "pipe.pt")
    with pytest.raises(OSError, match="no ordinary file"):
        load(tmp_path / "pipe.pt")


def test_hashing_such_a_nest_would_have_ended_python() -> None:
    """What the scan is for: without it the process is gone, whatever is caught."""
    script = "import pickle; pickle.loads(b'\\x80\\x02}' + b')' + b'\\x85' * 10**6 + b'K\\x01s.')"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode < 0


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("hmseg", None, "not a checkpoint of hmseg"),
        ("hmseg", {"format": 1}, "holds no backbone_weights"),
        ("hmseg", {"format": ["1"]}, "has format"),
        ("state_dict", {"a": 1}, "not a checkpoint of hmseg"),
        ("state_dict", [], "not a checkpoint of hmseg"),
    ],
)
def test_odd_entries_of_a_checkpoint(tmp_path: Path, key: str, value: Any, message: str) -> None:
    path = tmp_path / "run.ckpt"
    write_checkpoint(path)
    content = torch.load(path, weights_only=True)
    torch.save({**content, key: value}, path)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)


def test_a_shared_storage_is_no_bomb(tmp_path: Path) -> None:
    path, weight = tmp_path / "tied.pt", torch.randn(100, 10)
    torch.save({"a": weight, "b": weight, "c": weight.T}, path)
    assert torch.equal(read_state_dict(path)["c"], weight.T)
