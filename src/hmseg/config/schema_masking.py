"""Typed schemas of the maskings that have options; the YAML files of ``conf/masking`` hold the values."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class InputMaskingConfig:
    """``hmseg.masking.InputMasking``."""

    _target_: str = MISSING
    fill: str = MISSING
    dilate: int = MISSING


@dataclass
class HybridMaskingConfig:
    """``hmseg.masking.HybridMasking``."""

    _target_: str = MISSING
    relu: str = MISSING
    threshold: float = MISSING
    mix: float | None = MISSING
    remask: bool = MISSING
    levels: list[int] | None = MISSING
    fill: str = MISSING
    dilate: int = MISSING
