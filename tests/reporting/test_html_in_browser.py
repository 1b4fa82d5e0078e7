"""The page in a real browser, at a desk's and a phone's width, in light and dark."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from browser import Seen, look
from hmseg.reporting.build import build
from hmseg.reporting.gathering import from_records
from hmseg.reporting.html import write_html
from hmseg.reporting.page import Example, Picture
from made_evaluations import several, write_records

SECTIONS = ["results", "differences", "training", "classes", "sizes", "examples", "claims", "missing", "made"]
ABOUT = {"commit": "abc", "versions": {}, "date": "2026-02-01T00:00:00+00:00"}


def picture() -> str:
    file = io.BytesIO()
    Image.fromarray(np.arange(60 * 80 * 3, dtype=np.uint32).reshape(60, 80, 3).astype(np.uint8)).save(
        file, "PNG"
    )
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    made = [each for each in several() if "No" not in each[0]["config"]["masking"]["_target_"]]
    gathered = from_records(write_records(folder / "a.jsonl", made))
    pictures = tuple(
        Picture(picture(), f"{name} <script>fetch('http://example.org')</script>") for name in "abcde"
    )
    page = build(gathered, [], "python -m hmseg.report", ABOUT, [Example("Best: bus", pictures)])
    write_html(page, folder / "page.html")
    return folder / "page.html"


def pixels(seen: Seen) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(Image.open(seen.picture).convert("RGB"), dtype=np.float64)


def check(seen: Seen, width: int) -> None:
    facts = seen.facts
    assert facts["scroll_width"] <= width
    assert facts["sections"] == SECTIONS
    assert (facts["scripts"], seen.requests) == (0, [])
    assert [size for size, _ in facts["images"]] == [80] * 5
    assert all(0 < shown <= width for _, shown in facts["images"])
    assert len(facts["drawings"]) > 10 and all(250 < drawn <= width for drawn in facts["drawings"])
    assert "hybrid − feature" in facts["text"]
    shown = pixels(seen)
    assert shown.shape[1] == width and shown.shape[0] > 2000
    for band in np.array_split(shown, 8):
        assert band.std() > 3, "a part of the page is blank"


def test_at_a_desk(html: Path, tmp_path: Path) -> None:
    seen = look(html, tmp_path / "desk.png", 1280)
    check(seen, 1280)
    assert pixels(seen)[5, 5].min() > 240


def test_on_a_phone_in_the_dark(html: Path, tmp_path: Path) -> None:
    seen = look(html, tmp_path / "phone.png", 390, dark=True)
    check(seen, 390)
    assert any(inner > outer for outer, inner in seen.facts["wide"])  # tables scroll inside, the page doesn't
    assert pixels(seen)[5, 5].max() < 40


def test_the_guard_sees_what_a_page_asks_for(tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<body style='background:linear-gradient(red,blue)'><img src='http://127.0.0.1:9/x.png'>")
    seen = look(bad, tmp_path / "bad.png", 390)
    assert seen.requests == ["http://127.0.0.1:9/x.png"]
    assert seen.facts["images"][0][0] == 0
