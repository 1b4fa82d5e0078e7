"""What results say of the machine and the code that made them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from hmseg import environment


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (["python", "-m", "hmseg.train", "fold=2"], "python -m hmseg.train fold=2"),
        (["python3", "-W", "error", "-m", "hmseg.train", "a b"], "python -m hmseg.train 'a b'"),
        (["python", "/somewhere/bin/hmseg-evaluate", "ckpt=x"], "hmseg-evaluate ckpt=x"),
    ],
)
def test_the_command_is_as_typed(monkeypatch: pytest.MonkeyPatch, typed: list[str], shown: str) -> None:
    monkeypatch.setattr(sys, "orig_argv", typed)
    assert environment.command() == shown


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (
            "processor\t: 0\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\n",
            "AMD EPYC (family 26, model 2)",
        ),
        ("processor\t: 0\nmodel name\t: Some ARM\nprocessor\t: 1\nmodel name\t: Another\n", "Some ARM"),
        ("processor\t: 0\nBogoMIPS\t: 50\n", environment.platform.machine()),
    ],
)
def test_a_processor_is_told_from_others_of_its_maker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: str, name: str
) -> None:
    (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(environment, "_CPUINFO", tmp_path / "cpuinfo")
    assert environment.hardware()["cpu"] == name


def test_description_is_plain_data_and_true() -> None:
    found = json.loads(json.dumps(environment.describe()))
    assert found["versions"]["torch"] == torch.__version__.split("+")[0]
    assert found["hardware"]["threads"] == torch.get_num_threads()
    assert found["date"].endswith("+00:00")
