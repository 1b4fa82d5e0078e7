"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference outputs, real images and weights beside the checkout.

    Skips without it; fails instead when HMSEG_REQUIRE_SHARED=1, so that CI can't skip by mistake.
    """
    path = Path(os.environ.get("HMSEG_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        message = f"needs the folder of reference data beside the checkout ({path.name}/), which is not here"
        if os.environ.get("HMSEG_REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(autouse=True)
def _fixed_global_seed() -> None:
    """Random weights in tests are the same every time."""
    torch.manual_seed(0)
