"""How a state dict differs from the one that is wanted: shared by everything that loads weights strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from torch import Tensor


class Misfit(NamedTuple):
    """One entry that does not fit.

    Attributes:
        name: its key.
        kind: what is wrong with it.
        found: shape or values that came, empty where the entry is missing.
        expected: shape or values that were wanted, empty where the entry is unexpected.
    """

    name: str
    kind: Literal["missing", "unexpected", "shape", "values"]
    found: str = ""
    expected: str = ""

    def __str__(self) -> str:
        if self.kind in ("missing", "unexpected"):
            return f"{self.name} is {self.kind}"
        verb = "is" if self.kind == "shape" else "holds"
        return f"{self.name} {verb} {self.found} instead of {self.expected}"


def misfits(own: Mapping[str, Tensor], given: Mapping[str, Tensor], finite: bool = True) -> list[Misfit]:
    """Everything that keeps ``given`` from being loaded strictly in place of ``own``.

    Args:
        own: the entries that are wanted.
        given: the entries that came.
        finite: whether NaN and infinity are misfits.

    Returns:
        What is missing, then what is unexpected, then entries of another shape, with integers in place of
        floating-point numbers (or the reverse), with NaN or infinity.

    Example:
        >>> import torch
        >>> own = {"a": torch.zeros(2), "b": torch.zeros(3)}
        >>> [str(each) for each in misfits(own, {"b": torch.zeros(2), "c": torch.zeros(1)})]
        ['a is missing', 'c is unexpected', 'b is (2,) instead of (3,)']
    """
    found = [Misfit(name, "missing", expected=_form(own[name])) for name in own if name not in given]
    found += [Misfit(name, "unexpected", found=_form(given[name])) for name in given if name not in own]
    for name in own:
        if name not in given:
            continue
        mine, theirs = own[name], given[name]
        if mine.shape != theirs.shape:
            found.append(Misfit(name, "shape", _form(theirs), _form(mine)))
        elif mine.is_floating_point() != theirs.is_floating_point():
            found.append(Misfit(name, "values", str(theirs.dtype), str(mine.dtype)))
        elif finite and not_finite({name: theirs}):
            found.append(Misfit(name, "values", "NaN or infinity", "numbers"))
    return found


def not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """The names of entries that hold NaN or infinity; waits for the device.

    Example:
        >>> import torch
        >>> not_finite({"a": torch.ones(2), "b": torch.tensor([1.0, torch.nan]), "c": torch.tensor([1])})
        ['b']
    """
    return [name for name, each in state.items() if each.is_floating_point() and not each.isfinite().all()]


def listed(problems: Sequence[object], most: int = 3) -> str:
    """The first few problems in one line, and how many more there are.

    Example:
        >>> listed(["a is missing", "b is missing", "c is missing"], most=2)
        'a is missing; b is missing and 1 more'
    """
    more = f" and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(str(each) for each in problems[:most]) + more


def _form(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
