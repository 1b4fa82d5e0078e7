"""What results say of the machine and the code that made them."""

from __future__ import annotations

import json
import sys

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


def test_description_is_plain_data_and_true() -> None:
    found = json.loads(json.dumps(environment.describe()))
    assert found["versions"]["torch"] == torch.__version__.split("+")[0]
    assert found["hardware"]["threads"] == torch.get_num_threads()
    assert found["date"].endswith("+00:00")
