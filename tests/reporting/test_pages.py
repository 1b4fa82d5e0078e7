"""Both pages: whole, the same every time, small, and inert whatever records say."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hmseg.reporting.build import build
from hmseg.reporting.gathering import Gathered, Unfinished, from_records
from hmseg.reporting.html import html_of
from hmseg.reporting.markdown import MAX_BYTES, escape, write_markdown
from hmseg.reporting.page import Example, Page, Picture
from made_evaluations import record, several, write_records

SECTIONS = ("results", "differences", "training", "classes", "sizes", "examples", "claims", "missing", "made")
ABOUT = {"commit": "abc", "versions": {"hmseg": "0.1.0"}, "date": "2026-02-01T00:00:00+00:00"}
EVIL = (
    "<script>alert(1)</script>",
    "a|b`c`",
    "</style><img src=x onerror=alert(1)>",
    r"$\frac{1}{$",
    '"onload="x',
)
CLAIM: dict[str, Any] = {
    "id": "pascal/1shot/hsnet/hybrid/resnet50",
    "benchmark": "pascal",
    "shot": 1,
    "model": "hsnet",
    "masking": "hybrid",
    "backbone": "resnet50",
    "claimed": 40.0,
    "per_fold": (39.0, 41.0),
    "fb_iou": 70.0,
    "measured": None,
    "measured_per_fold": [],
    "measured_fb_iou": None,
    "status": "unverified",
    "reason": "2 records do not count",
    "records": [],
}


class Reader(HTMLParser):
    """Tags with attributes, and text outside style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def gathered(tmp_path_factory: pytest.TempPathFactory) -> Gathered:
    return from_records(write_records(tmp_path_factory.mktemp("records") / "a.jsonl", several()))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Gathered:
    made = [record("Feature"), record("Hybrid")]
    return from_records(write_records(tmp_path_factory.mktemp("few") / "a.jsonl", made))


@pytest.fixture(scope="module")
def page(gathered: Gathered) -> Page:
    jobs = (Unfinished("7", ("masking=none", "fold=0")),)
    return build(Gathered(gathered.measurements, jobs), [CLAIM], "python -m hmseg.report", ABOUT)


def evil_page(tmp_path: Path) -> Page:
    made = []
    for masking in ("Feature", "Hybrid"):
        found, rows = record(masking, names=EVIL, command="rm ``` <b>", commit="<i>c</i>")
        found["config"]["backbone"]["name"] = EVIL[0]
        found["test"]["dataset"] = EVIL[2]
        made.append((found, rows))
    gathered = from_records(write_records(tmp_path / "evil.jsonl", made))
    example = Example(EVIL[0], (Picture("data:image/png;base64,AAAA", EVIL[2]),))
    return build(gathered, [{**CLAIM, "reason": EVIL[0]}], EVIL[2], ABOUT, [example])


def test_every_section_is_there_and_linked(page: Page) -> None:
    reader = Reader(html_of(page))
    ids = [attrs["id"] for tag, attrs in reader.tags if tag == "section"]
    links = [attrs["href"] for tag, attrs in reader.tags if tag == "a"]
    assert tuple(ids) == SECTIONS
    assert links == [f"#{name}" for name in SECTIONS]
    for text in ("0123456789ab", "python -m hmseg.evaluate ckpt=runs/No/1 shot=1", "7: masking=none fold=0"):
        assert text in reader.text
    assert "2 records do not count" in reader.text and "Not comparable with published" in reader.text


def test_claims_come_first_once_one_is_measured(few: Gathered) -> None:
    ids = [few.measurements[0].identity]
    row = {**CLAIM, "measured": 42.5, "measured_per_fold": [42.0, 43.0], "status": "differs", "records": ids}
    made = build(few, [row], "", ABOUT)
    assert made.sections[0].name == "claims"
    (table,) = (block for block in made.sections[0].blocks if block.kind == "table")
    texts = dict(zip(table.header, [cell.text for cell in table.cells[0]], strict=True))
    assert texts["difference"] == "+2.5" and texts["difference per fold"] == "+3.0 +2.0"
    low, _, high = texts["95 % interval"].partition(" to ")
    assert float(low.replace("−", "-")) < float(high.replace("−", "-"))
    measured = few.measurements[0].miou
    assert float(low.replace("−", "-")) < measured - 40.0 < float(high.replace("−", "-"))


def test_the_page_asks_for_nothing_and_runs_nothing(page: Page, tmp_path: Path) -> None:
    for made in (page, evil_page(tmp_path)):
        text = html_of(made)
        reader = Reader(text)
        tags = {tag for tag, _ in reader.tags}
        assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base", "b", "i"}
        for _, attrs in reader.tags:
            assert not [name for name in attrs if name.startswith("on")]
            for name in ("src", "href", "xlink:href", "srcset", "action"):
                assert (attrs.get(name) or "#").startswith(("#", "data:image/"))
        assert not re.search(r"url\((?!#)|@import", text)
        assert "default-src 'none'" in text


def test_what_records_say_is_text(tmp_path: Path) -> None:
    reader = Reader(html_of(evil_page(tmp_path)))
    for text in EVIL:
        assert text in reader.text
    assert not [1 for tag, attrs in reader.tags if tag == "img" and not attrs["src"].startswith("data:")]  # type: ignore[union-attr]


def test_drawings_are_well_formed_named_apart_and_for_every_reader(page: Page, tmp_path: Path) -> None:
    figures = [
        figure
        for made in (page, evil_page(tmp_path))
        for section in made.sections
        for block in section.blocks
        if block.kind == "figures"
        for figure in block.figures
    ]
    assert len(figures) > 10
    for figure in figures:
        root = ET.fromstring(figure.svg)
        assert root.get("role") == "img" and root.get("aria-label", "").startswith(figure.title)
        assert root.get("width") is None and "<text" in figure.svg
        ids = [each.get("id") for each in root.iter() if each.get("id")]
        assert ids and all(each.startswith(f"{figure.name}-") for each in ids if each)
        assert set(re.findall(r"url\(#([^)]*)\)", figure.svg)) <= set(ids)
        assert "DejaVu" not in figure.svg


def test_bars_begin_at_zero(page: Page) -> None:
    for section in ("classes", "sizes", "training"):
        (block,) = (b for s in page.sections if s.name == section for b in s.blocks if b.kind == "figures")
        for figure in block.figures:
            ticks = re.findall(r"<text[^>]*>(?:<tspan[^>]*>)?([\d.]+)<", figure.svg)
            assert ticks and min(map(float, ticks)) == 0, figure.name


def test_markdown_has_the_same_tables_and_drawings_beside_it(page: Page, tmp_path: Path) -> None:
    write_markdown(page, tmp_path / "out/voc.md")
    text = (tmp_path / "out/voc.md").read_text()
    rows = sum(len(block.rows) + 2 for s in page.sections for block in s.blocks if block.kind == "table")
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == rows
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [
        s.title for s in page.sections
    ]
    linked = re.findall(r"\]\((voc_files/[\w-]+\.svg)\)", text)
    files = sorted(path for path in (tmp_path / "out/voc_files").iterdir())
    assert sorted(linked) == [f"voc_files/{path.name}" for path in files] and len(files) > 10
    assert sum(path.stat().st_size for path in files) < 300_000
    assert "<svg" not in text and "data:" not in text
    for path in files:
        ET.parse(path)


def test_drawings_beyond_the_limit_stay_in_the_html_page(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hmseg.reporting.markdown.MAX_BYTES", 40_000)
    write_markdown(page, tmp_path / "voc.md")
    assert sum(path.stat().st_size for path in (tmp_path / "voc_files").iterdir()) <= 40_000 < MAX_BYTES
    assert "more drawings are in the HTML page" in (tmp_path / "voc.md").read_text()


def test_markdown_shows_texts_as_they_are(tmp_path: Path) -> None:
    write_markdown(evil_page(tmp_path), tmp_path / "evil.md")
    text = (tmp_path / "evil.md").read_text()
    code = re.compile(r"^```sh\n.*?^```$", re.MULTILINE | re.DOTALL)
    assert "rm ''' <b>" in text and "<" not in code.sub("", text)
    widths = {line.count(" | ") for line in text.splitlines() if line.startswith("| a\\|b")}
    assert widths == {3}
    assert escape("x_1 [a](b)") == r"x\_1 \[a\](b)"


def test_the_same_records_give_the_same_pages(few: Gathered, tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        made = build(few, [], "python -m hmseg.report", ABOUT)
        write_markdown(made, tmp_path / name / "a.md")
        drawings = [path.read_bytes() for path in sorted((tmp_path / name / "a_files").iterdir())]
        texts.append((html_of(made), (tmp_path / name / "a.md").read_text(), drawings))
    assert texts[0] == texts[1]


def test_drawings_of_an_earlier_page_go(page: Page, tmp_path: Path) -> None:
    (tmp_path / "voc_files").mkdir()
    (tmp_path / "voc_files/old.svg").write_text("")
    (tmp_path / "voc_files/mine.txt").write_text("")
    write_markdown(page, tmp_path / "voc.md")
    assert not (tmp_path / "voc_files/old.svg").exists() and (tmp_path / "voc_files/mine.txt").exists()
