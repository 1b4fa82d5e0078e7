"""What all steps share: whole files, the lock, the disk's troubles, processes, progress, the table."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hmseg.errors import DataError, HmsegError
from hmseg.preparation import bars, parallel
from hmseg.preparation.bars import Bar
from hmseg.preparation.files import locked, names, replacing, trouble
from hmseg.preparation.masks import voc_palette, write_mask
from hmseg.preparation.report import Row, show


def double(number: int) -> int:
    if number == 13:
        raise DataError("thirteen came")
    return 2 * number


def die(number: int) -> None:
    os._exit(1)


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_order_from_any_number_of_processes(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "_FEW", 10)
    monkeypatch.setattr(parallel, "_CHUNK", 7)
    tasks = [number for number in range(60) if number != 13]
    assert parallel.each(double, iter(tasks), 59, workers, "x") == [2 * number for number in tasks]


@pytest.mark.parametrize("workers", [0, 2])
def test_first_error_stops_the_work(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_FEW", 10)
    with pytest.raises(DataError, match="^thirteen came$"):
        parallel.each(double, range(60), 60, workers, "x")


def test_killed_process_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_FEW", 1)
    with pytest.raises(DataError, match="a process was killed.*fewer workers"):
        parallel.each(die, range(9), 9, 2, "x")


def test_tasks_are_drawn_as_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_FEW", 1)
    monkeypatch.setattr(parallel, "_CHUNK", 1)
    drawn: list[int] = []
    results = parallel._over_processes(double, (drawn.append(n) or n for n in range(100, 200)), 2)  # type: ignore[func-returns-value]
    assert list(next(results)) == [200]
    assert len(drawn) <= 10
    results.close()  # type: ignore[attr-defined]


def test_there_is_at_least_one_core() -> None:
    assert 1 <= parallel.default_workers() <= (os.cpu_count() or 1)


def test_replacing_is_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "new/a.txt"
    with replacing(target) as part:
        part.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    with pytest.raises(KeyboardInterrupt), replacing(target) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    with pytest.raises(DataError, match=r"a\.txt: the disk is full"), replacing(target) as part:
        raise OSError(errno.ENOSPC, "No space left on device")
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_troubles_of_the_disk_say_what_to_do(tmp_path: Path) -> None:
    assert "read-only; choose another root" in str(trouble(OSError(errno.EROFS, "x"), tmp_path))
    assert str(trouble(OSError(errno.EIO, "Input/output error"), Path("x"))) == "x: Input/output error"


def test_one_preparation_of_a_folder_at_a_time(tmp_path: Path) -> None:
    root = tmp_path / "new"
    script = (
        "import sys; from pathlib import Path; from hmseg.preparation.files import locked\n"
        "try:\n with locked(Path(sys.argv[1])): print('in')\nexcept ValueError as error: print(error)"
    )
    command = [sys.executable, "-c", script, str(root)]
    with locked(root):
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "is in use by process" in out
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "in\n"


def test_root_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = pytest.raises(HmsegError, match=r"file/root can't be written \(Not a directory\): choose another")
    with told, locked(tmp_path / "file/root"):
        pass


def test_names_of_files(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg", "c.PNG", ".d.png", ".e.png.part"):
        (tmp_path / name).touch()
    assert names(tmp_path, ".png") == {"a"}
    assert names(tmp_path / "a.png", ".png") == set()


def test_mask_files_hold_numbers_in_vocs_colours(tmp_path: Path) -> None:
    labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    write_mask(labels, tmp_path / "x.png")
    image = Image.open(tmp_path / "x.png")
    assert image.mode == "P"
    assert np.array_equal(np.array(image), labels)
    palette = np.frombuffer(voc_palette(), dtype=np.uint8).reshape(256, 3).tolist()
    assert (palette[15], palette[20], palette[255]) == ([192, 128, 128], [0, 64, 128], [224, 224, 192])


def test_palette_is_that_of_the_shared_masks(shared: Path) -> None:
    path = next((shared / "data/VOC2012/SegmentationClassAug").iterdir())
    assert bytes(Image.open(path).getpalette() or ()) == voc_palette()


def test_bar_in_a_terminal_shows_amount_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "_REFRESH", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    console = Console(file=io.StringIO(), force_terminal=True, width=110)
    with Bar("fetching x", 4_000_000, "bytes", console) as bar:
        bar.start_at(1_000_000)
        bar.advance(500_000)
        bar.at(3_000_000)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "fetching x" in shown and "3.0/4.0 MB" in shown and "-:--:--" in shown


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    with Bar("masks", 100, console=console) as bar:
        bar.advance(10)
        monkeypatch.setattr(bars, "_LINE", 0.0)
        bar.advance(15)
    line = console.file.getvalue()  # type: ignore[attr-defined]
    assert line.startswith("masks: 25 of 100 (25 %), ") and line.count("\n") == 1


def test_pace_is_that_of_this_run() -> None:
    bar = Bar("x", 100)
    bar.start_at(50)
    bar.at(60)
    assert bar.line(10.0) == "x: 60 of 100 (60 %), 0:40 left"
    assert Bar("x", None, "bytes").line(1.0) == "x: 0 bytes"
    assert Bar("x", 10).line(1.0) == "x: 0 of 10 (0 %), ? left"


def test_table_shows_states_and_files() -> None:
    console = Console(file=io.StringIO(), width=100)
    items = tuple(f"[{number}].png is cut" for number in range(25))
    show("x: [root]", [Row("photos", "3", "3", "ok"), Row("masks", "3", "1", "wrong", items)], console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "photos" in text and "wrong" in text
    assert "[19].png is cut" in text and "[20].png" not in text and "… and 5 more" in text
