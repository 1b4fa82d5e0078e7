"""What keeps a state dict from being loaded, entry by entry."""

from __future__ import annotations

import pytest
import torch

from hmseg.state_dicts import Misfit, listed, misfits


def test_every_kind_of_misfit() -> None:
    own = {"gone": torch.zeros(2), "shape": torch.zeros(2, 3), "kind": torch.zeros(1), "nan": torch.zeros(2)}
    given = {
        "shape": torch.zeros(3, 2),
        "kind": torch.zeros(1, dtype=torch.int64),
        "nan": torch.tensor([0.0, float("inf")]),
        "new": torch.zeros(()),
    }
    assert misfits(own, given) == [
        Misfit("gone", "missing", expected="(2,)"),
        Misfit("new", "unexpected", found="()"),
        Misfit("shape", "shape", "(3, 2)", "(2, 3)"),
        Misfit("kind", "values", "torch.int64", "torch.float32"),
        Misfit("nan", "values", "NaN or infinity", "numbers"),
    ]
    assert [each.name for each in misfits(own, given, finite=False)] == ["gone", "new", "shape", "kind"]


def test_another_precision_is_no_misfit() -> None:
    own = {"a": torch.zeros(2), "b": torch.zeros(2, dtype=torch.int64)}
    assert misfits(own, {"a": torch.zeros(2).half(), "b": torch.zeros(2, dtype=torch.int32)}) == []


@pytest.mark.parametrize(
    ("misfit", "text"),
    [
        (Misfit("a", "missing", expected="(2,)"), "a is missing"),
        (Misfit("a", "unexpected", found="(2,)"), "a is unexpected"),
        (Misfit("a", "shape", "(3,)", "(2,)"), "a is (3,) instead of (2,)"),
        (Misfit("a", "values", "NaN or infinity", "numbers"), "a holds NaN or infinity instead of numbers"),
    ],
)
def test_misfits_in_words(misfit: Misfit, text: str) -> None:
    assert str(misfit) == text


def test_lists_say_how_much_they_leave_out() -> None:
    assert listed([]) == ""
    assert listed(["a", "b", "c"]) == "a; b; c"
    assert listed(["a", "b", "c", "d", "e"]) == "a; b; c and 2 more"
