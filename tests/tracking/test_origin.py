"""wandb.json beside checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hmseg.tracking.origin import FILE, Origin, origin_of, read_origin, write_origin

WHOLE = Origin("team", "hmseg", "1a2b", "mine", {"best.ckpt": "checkpoint-1a2b:best"})


def test_it_is_found_beside_a_checkpoint_and_in_its_run_folder(tmp_path: Path) -> None:
    write_origin(tmp_path, WHOLE)
    assert read_origin(tmp_path) == WHOLE
    assert origin_of(tmp_path / "best.ckpt") == WHOLE
    assert origin_of(tmp_path / "checkpoints" / "best.ckpt") == WHOLE
    assert origin_of(tmp_path / "somewhere" / "else" / "best.ckpt") is None
    assert [path.name for path in tmp_path.iterdir()] == [FILE]  # nothing temporary is left


def test_the_artifact_of_a_file() -> None:
    assert WHOLE.artifact("best.ckpt") == "team/hmseg/checkpoint-1a2b:best"
    assert WHOLE.artifact("last.ckpt") is None
    offline = Origin(None, "hmseg", artifacts={"best.ckpt": "checkpoint-1:best"})
    assert offline.artifact("best.ckpt") == "hmseg/checkpoint-1:best"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"project": 3, "artifacts": {}}),
        json.dumps({"project": "p", "artifacts": ["x"]}),
        json.dumps({"project": "p", "artifacts": {"best.ckpt": 1}}),
        json.dumps({"project": "p", "entity": ["x"], "artifacts": {}}),
    ],
)
def test_a_damaged_file_counts_as_none(tmp_path: Path, content: Any) -> None:
    (tmp_path / FILE).write_text(content)
    assert read_origin(tmp_path) is None
