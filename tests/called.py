"""Entry points called in the test's own process, as their command lines are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hmseg.cli import Program, entry


@dataclass(frozen=True)
class Outcome:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


Call = Callable[..., Outcome]


def caller(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *always: str
) -> Call:
    """Calls a program with some words, ``always`` behind them."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # put back afterwards: entry changes it

    def call(*words: str) -> Outcome:
        code = 0
        try:
            entry(program, [*words, *always])
        except SystemExit as error:
            code = int(str(error.code))
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call
