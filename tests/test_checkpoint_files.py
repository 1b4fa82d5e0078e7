"""Checkpoints on the disk: whole or not there, and the damaged told from the whole."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from full_disk import full_disk
from hmseg.checkpoint_files import LAST, PREVIOUS, first_whole, is_whole, replace_whole, seal
from hmseg.errors import CheckpointError
from hmseg.plugins import WholeCheckpoints


def checkpoint(path: Path, value: float = 0.0, size: int = 5000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"weights": torch.full((size,), value)}, path)
    return path


def value_of(path: Path) -> float:
    return float(torch.load(path, weights_only=True)["weights"][0])


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, -1])
def test_a_truncated_checkpoint_is_not_whole(tmp_path: Path, kept: float) -> None:
    path = checkpoint(tmp_path / LAST)
    assert is_whole(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert not is_whole(path)


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / LAST, value=1.0)
    content = bytearray(path.read_bytes())
    content[content.index(bytes([0, 0, 128, 63]) * 100) + 40] ^= 1  # one bit of one weight
    path.write_bytes(content)
    assert not is_whole(path)
    assert not is_whole(tmp_path)  # a folder


def test_no_bit_of_a_sealed_checkpoint_flips_unnoticed(tmp_path: Path) -> None:
    """Of one without a seal some do: its archive's directory has no checksum."""
    path = tmp_path / "checkpoints" / LAST
    content = {"weights": torch.arange(40.0), "epoch": 3}
    WholeCheckpoints().save_checkpoint(content, path)
    sealed = path.read_bytes()
    torch.save(content, tmp_path / "bare.ckpt")
    bare = (tmp_path / "bare.ckpt").read_bytes()
    directory = bare.index(b"PK\1\2")
    flips = [*range(0, directory, 97), *range(directory, len(sealed), 3)]
    for place in flips:
        damaged = bytearray(sealed)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        if is_whole(path):  # the seal itself is damaged, so that it is taken for no seal
            assert place >= len(bare)
            assert torch.equal(torch.load(path, weights_only=True)["weights"], content["weights"])
    bare_flips = [
        place for place in flips if place < len(bare) and _passes(tmp_path / "bare.ckpt", bare, place)
    ]
    assert bare_flips  # what the seal is for
    path.write_bytes(sealed)
    assert is_whole(path)


def _passes(path: Path, content: bytes, place: int) -> bool:
    """Whether a flipped bit is noticed by PyTorch alone."""
    damaged = bytearray(content)
    damaged[place] ^= 1 << place % 8
    path.write_bytes(damaged)
    if not is_whole(path):
        return False
    try:
        torch.load(path, weights_only=True)
    except Exception:  # noqa: BLE001 - whatever it raises
        return True
    return False


def test_a_run_goes_on_from_the_one_before_a_flipped_bit(tmp_path: Path) -> None:
    plugin, path = WholeCheckpoints(), tmp_path / LAST
    for value in (1.0, 2.0):
        plugin.save_checkpoint({"weights": torch.tensor([value])}, path)
    damaged = bytearray(path.read_bytes())
    damaged[damaged.rindex(b"PK\1\2") + 44] ^= 1  # where an entry begins
    path.write_bytes(damaged)
    assert first_whole(tmp_path) == (tmp_path / PREVIOUS, [path])
    assert value_of(tmp_path / PREVIOUS) == 1.0


def test_only_an_archive_is_sealed() -> None:
    with pytest.raises(ValueError, match="no zip archive"):
        seal(io.BytesIO(bytes(40)))


def test_the_first_whole_one_is_found(tmp_path: Path) -> None:
    assert first_whole(tmp_path) == (None, [])
    best = checkpoint(tmp_path / "best.ckpt")
    (tmp_path / LAST).write_bytes(b"")
    assert first_whole(tmp_path) == (best, [tmp_path / LAST])
    previous = checkpoint(tmp_path / PREVIOUS)
    assert first_whole(tmp_path) == (previous, [tmp_path / LAST])
    checkpoint(tmp_path / LAST)
    assert first_whole(tmp_path) == (tmp_path / LAST, [])


def test_saving_keeps_the_one_before(tmp_path: Path) -> None:
    plugin, path = WholeCheckpoints(), tmp_path / "checkpoints" / LAST
    for value in (1.0, 2.0, 3.0):
        plugin.save_checkpoint({"weights": torch.tensor([value])}, str(path))
    plugin.save_checkpoint({"weights": torch.tensor([4.0])}, path.with_name("best.ckpt"))
    assert (value_of(path), value_of(path.with_name(PREVIOUS))) == (3.0, 2.0)
    assert {each.name for each in path.parent.iterdir()} == {LAST, PREVIOUS, "best.ckpt"}


def test_a_damaged_one_never_takes_the_place_of_a_whole_one(tmp_path: Path) -> None:
    """A run that goes on from the previous one saves over the damaged one."""
    checkpoint(tmp_path / PREVIOUS, value=1.0)
    (tmp_path / LAST).write_bytes(b"PK half of it")
    WholeCheckpoints().save_checkpoint({"weights": torch.tensor([2.0])}, tmp_path / LAST)
    assert (value_of(tmp_path / LAST), value_of(tmp_path / PREVIOUS)) == (2.0, 1.0)


def test_a_full_disk_is_one_error_and_leaves_what_was_there(tmp_path: Path) -> None:
    plugin, path = WholeCheckpoints(), tmp_path / "run" / "checkpoints" / LAST
    content = {"weights": torch.ones(5000)}
    with (
        full_disk(8000),
        pytest.raises(CheckpointError, match=r"can't be written \(File too large\), there was"),
    ):
        plugin.save_checkpoint(content, path)
    assert list(path.parent.iterdir()) == []
    plugin.save_checkpoint(content, path)
    before = path.read_bytes()
    with (
        full_disk(8000),
        pytest.raises(CheckpointError, match=r"before it is untouched: .*go on with resume=.*run"),
    ):
        plugin.save_checkpoint(content, path)
    assert path.read_bytes() == before and [each.name for each in path.parent.iterdir()] == [LAST]


def test_a_part_left_by_a_killed_process_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".last.ckpt.part").write_bytes(b"half")
    replace_whole(tmp_path / LAST, b"whole")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [(LAST, b"whole")]


def die_at(call: int, folder: Path) -> None:
    """Saves in this process, and ends it before the call of that number to the system."""
    calls = iter(range(10))

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        return lambda *args: os._exit(9) if next(calls) == call else real(*args)

    try:
        for name in ("fsync", "link", "replace"):
            setattr(os, name, dying(getattr(os, name)))
        replace_whole(folder / LAST, checkpoint(folder / "new", value=3.0).read_bytes(), folder / PREVIOUS)
    finally:
        os._exit(0)


@pytest.mark.parametrize(("call", "last"), [(0, 2.0), (1, 2.0), (2, 2.0), (3, 3.0)])
def test_a_process_killed_while_it_saves_leaves_both(tmp_path: Path, call: int, last: float) -> None:
    """Before: flushing, a second name for the old one, the new one in its place, the old one in its own."""
    checkpoint(tmp_path / LAST, value=2.0)
    checkpoint(tmp_path / PREVIOUS, value=1.0)
    if (child := os.fork()) == 0:
        die_at(call, tmp_path)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert (value_of(tmp_path / LAST), value_of(tmp_path / PREVIOUS)) == (last, 1.0)
    os.truncate(tmp_path / LAST, 100)
    assert first_whole(tmp_path) == (tmp_path / PREVIOUS, [tmp_path / LAST])
    WholeCheckpoints().save_checkpoint({"weights": torch.tensor([4.0])}, tmp_path / LAST)
    assert (value_of(tmp_path / LAST), value_of(tmp_path / PREVIOUS)) == (4.0, 1.0)


def test_without_links_the_one_before_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    test_saving_keeps_the_one_before(tmp_path)
