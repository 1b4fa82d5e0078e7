"""Every reader of untrusted bytes, on its seeds, what was found once, and some mutations."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.mutating import mutated
from fuzz.targets import SEEDS, TARGETS, Broken, check, run, seeds_of
from hmseg.errors import DataError

MUTATIONS = 60


@pytest.mark.filterwarnings("ignore")  # of decoders, on what is wrong
@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_reads_or_refuses_in_one_line(name: str, tmp_path: Path) -> None:
    seeds = seeds_of(name)
    taken = [run(name, content, tmp_path) for content in seeds]
    assert any(taken), "no seed is right"
    for number in range(MUTATIONS):
        run(name, mutated(seeds, number), tmp_path)


def test_every_folder_of_seeds_has_its_target() -> None:
    assert {path.name for path in SEEDS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize(
    "error", [IndexError("list index out of range"), DataError("two\nlines"), DataError("")]
)
def test_a_broken_promise_is_found(error: Exception, tmp_path: Path) -> None:
    def read(path: Path) -> None:
        raise error

    with pytest.raises(Broken):
        check(read, tmp_path)


def test_mutations_are_many_and_the_same_each_time() -> None:
    seeds = [b'{"a": 1, "b": [2, 3]}', b"0123456789"]
    several = [mutated(seeds, number) for number in range(300)]
    assert several == [mutated(seeds, number) for number in range(300)]
    assert len(set(several)) > 250
