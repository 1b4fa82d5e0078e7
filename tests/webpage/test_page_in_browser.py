"""The page in a real browser: files chosen and dropped, a mask painted, maskings compared, limits told."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

import made_annotations as made
from driver import Driven, Step, drive
from hmseg.webpage.guard import Guard
from served import Served, png, scene

READY: Step = {"do": "wait", "code": "document.body.dataset.ready === 'yes'"}
NO_ALERT = "document.querySelector('#alert').hidden"
MARKED = (  # of the canvas, in percent
    "(() => { const c = document.querySelector('#mask');"
    "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
    "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 127; return 100 * n / (d.length / 4); })()"
)
LOADED = (
    "[...document.images].filter(i => i.closest('section') && i.checkVisibility())"
    ".every(i => i.complete && i.naturalWidth > 0)"
)
FITS = "document.documentElement.scrollWidth <= innerWidth"


def js(code: str) -> Step:
    return {"do": "js", "code": code}


def wait(code: str) -> Step:
    return {"do": "wait", "code": code}


def count(selector: str) -> str:
    return f"document.querySelectorAll('{selector}').length"


def text(selector: str) -> str:
    return f"document.querySelector('{selector}').textContent"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Pictures to choose and drop, and what is to be refused."""
    folder = tmp_path_factory.mktemp("files")
    image, mask = scene(1, 120, 180)
    contents: dict[str, bytes] = {
        "support.png": png(image),
        "mask.png": png((mask * 255).astype(np.uint8)),
        "wrong mask.png": png(np.full((50, 50), 255, np.uint8)),
        "<b>one & two.jpg": png(scene(2, 90, 120)[0], "JPEG"),
        "tall.webp": png(scene(3, 160, 80)[0], "WEBP"),
        "large.png": png(np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)),
        "bomb.png": png(np.zeros((2000, 2000), np.uint8)),
        "notes.txt": b"no image",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in contents}


def values(driven: Driven) -> list[Any]:
    """Of the steps; the page asked no other host for anything and broke none of its own rules."""
    assert driven.foreign == [] and driven.console == []
    return driven.values


def test_from_the_empty_page_to_a_comparison(served: Served, files: dict[str, str], tmp_path: Path) -> None:
    queries = [files["<b>one & two.jpg"], files["tall.webp"]]
    layers = "[...document.querySelectorAll('#rows .layer')].map(i => i.src)"
    still = "document.querySelector('#correlation').ariaBusy === 'false'"
    heats = "[...document.querySelectorAll('#correlation .layer')].map(i => i.src).join()"
    found = values(drive(served.url, [
        READY,
        js(f"[{NO_ALERT}, {text('#status')}, {count('#rows figure')}]"),
        {"do": "files", "at": "#support-drop", "paths": [files["support.png"]]},
        wait("!document.querySelector('#easel').hidden"),
        js(f"[document.querySelector('#use').disabled, {MARKED}]"),
        {"do": "drag", "at": "#mask", "points": [[0.2, 0.3], [0.3, 0.35], [0.4, 0.3]]},
        js(f"[document.querySelector('#use').disabled, {MARKED}]"),
        {"do": "click", "at": "#easel .choice label:nth-of-type(2)"},
        {"do": "drag", "at": "#mask", "points": [[0.1, 0.1], [0.4, 0.1], [0.4, 0.5], [0.1, 0.5], [0.1, 0.2]]},
        js(MARKED),
        {"do": "picture", "path": str(tmp_path / "painted.png")},
        {"do": "click", "at": "#undo"},
        js(MARKED),
        {"do": "click", "at": "#class-name"},
        {"do": "keys", "keys": ["Ctrl+Key_A", *"my dog", "Key_Return"]},
        wait(f"{count('#supports li')} === 1"),
        js(text("#supports li")),
        {"do": "drop", "at": "#query-drop", "paths": queries},
        wait(f"{count('#rows .links')} === 8"),
        wait(LOADED),
        js("[...document.querySelectorAll('#rows h3')].map(h => h.textContent)"),
        js("[...document.querySelectorAll('#rows figure')].map(f => [f.dataset.masking, f.textContent])"),
        js(layers),
        {"do": "click", "at": "#views label:nth-of-type(4)"},
        js(layers),
        {"do": "click", "at": "#maskings label:nth-of-type(1)"},
        js("[...document.querySelectorAll('#rows .query:first-child figure')].map(f => f.dataset.masking)"),
        wait(f"{count('#filling figure')} === 5 && {count('#correlation figure')} === 4 && {still}"),
        js(heats),
        {"do": "click", "at": "#asked", "point": [0.8, 0.2]},
        wait(f"{text('#point-text')} === 'point 96, 18' && {still}"),
        {"do": "keys", "keys": ["Key_Left", "Shift+Key_Down"]},
        wait(f"{text('#point-text')} === 'point 92, 27' && {still}"),
        wait(LOADED),
        js(heats),
        js(text("#filling-text")),
        {"do": "picture", "path": str(tmp_path / "compared.png")},
        js(FITS),
    ]))  # fmt: skip
    empty, before, brushed, outlined, undone, support, titles, cells, overlays, changes, *rest = found
    three, first, second, filling, fits = rest
    assert empty == [True, "Masks appear here as soon as there is a support and a query.", 0]
    assert before == [True, 0]
    assert brushed[0] is False and 1 < brushed[1] < 12
    assert brushed[1] + 5 < outlined < 25 and undone == pytest.approx(brushed[1])
    assert support.startswith("my dog")
    assert titles == ["<b>one & two.jpg", "tall.webp"]  # names are text, never HTML
    assert [name for name, _ in cells] == 2 * ["none", "feature", "input", "hybrid"]
    for name, caption in cells:
        assert "% marked" in caption and ("IoU with hybrid" in caption) == (name != "hybrid")
    assert len(set(overlays)) == 8 and len(set(changes) - set(overlays)) == 6  # hybrid's own has no change
    assert three == ["feature", "input", "hybrid"]
    assert first != second
    assert "are filled in" in filling
    assert fits
    for name in ("painted.png", "compared.png"):
        shown = np.asarray(Image.open(tmp_path / name).convert("RGB"), dtype=np.float64)
        assert shown.shape[1] == 1280
        assert all(band.std() > 3 for band in np.array_split(shown[:900], 6)), "a part of the page is blank"


def test_limits_are_told_once_and_the_page_goes_on(served: Served, files: dict[str, str]) -> None:
    message, told = text("#alert p"), f"!{NO_ALERT}"

    def refused(at: str, *names: str) -> list[Step]:
        return [
            {"do": "files", "at": at, "paths": [files[name] for name in names]},
            wait(told),
            js(message),
            {"do": "click", "at": "#alert button"},
            wait(NO_ALERT),
        ]

    found = values(drive(served.url, [
        READY,
        *refused("#support-drop", "large.png"),
        *refused("#support-drop", "bomb.png"),
        *refused("#query-drop", "notes.txt"),
        *refused("#query-drop", "notes.txt", "large.png", "tall.webp"),
        js(count("#queries li")),
        {"do": "files", "at": "#support-drop", "paths": [files["support.png"]]},
        wait("!document.querySelector('#easel').hidden"),
        *refused("label:has(#mask-file)", "wrong mask.png"),
        *refused("label:has(#mask-file)", "notes.txt"),
        js(MARKED),
        js(f"[{count('#supports li')}, document.querySelector('#use').disabled]"),
    ]))  # fmt: skip
    assert found[0].startswith("“large.png”: this file has 0.3 MB, more than the 0.2 MB that are taken")
    assert found[1].startswith("“bomb.png”: this image has 2000 x 2000 pixels, more than the 0.2 million")
    assert found[2].startswith("“notes.txt”: this file is not an image of the formats that are read here")
    assert found[3].startswith("2 files were refused. “notes.txt”: ")
    assert found[4] == 1  # the good one is there
    assert "this mask is 50 x 50 pixels, which is not the shape of the image" in found[5]
    assert "“notes.txt”: this mask is not an image of the formats" in found[6]
    assert found[7:] == [0, [0, True]]


def test_on_a_phone_in_the_dark_by_keyboard(served: Served, files: dict[str, str], tmp_path: Path) -> None:
    found = values(drive(served.url, [
        READY,
        js(FITS),
        {"do": "files", "at": "#support-drop", "paths": [files["support.png"]]},
        wait("document.activeElement === document.querySelector('#mask')"),
        {"do": "keys", "keys": ["Key_Right", "Key_Space", "]", "Key_Left", "Key_Space"]},
        js(f"[{MARKED}, {FITS}]"),
        {"do": "keys", "keys": ["Ctrl+Key_Z", "Ctrl+Key_Z", "e"]},
        js(f"[{MARKED}, document.querySelector('[name=tool]:checked').value]"),
        {"do": "files", "at": "label:has(#mask-file)", "paths": [files["mask.png"]]},
        wait(f"{MARKED} > 0"),
        js(MARKED),
        {"do": "click", "at": "#use"},
        wait(f"{count('#supports li')} === 1"),
        {"do": "files", "at": "#query-drop", "paths": [files["tall.webp"]]},
        wait(f"{count('#rows .links')} === 4 && {count('#filling figure')} === 5"),
        wait(LOADED),
        js(FITS),
        js("getComputedStyle(document.body).backgroundColor"),
        {"do": "picture", "path": str(tmp_path / "phone.png")},
        {"do": "click", "at": "#supports button"},
        wait("!document.querySelector('#easel').hidden"),
        wait(f"{MARKED} > 0"),
        js(f"[{MARKED}, {count('#supports li')}, {count('#rows figure')}]"),
    ], width=390, dark=True))  # fmt: skip
    empty, (painted, fits), (undone, tool), uploaded, result, paper, again = found
    assert empty and fits and result
    assert painted > 1 and undone == 0 and tool == "eraser"
    assert uploaded == pytest.approx(100 * scene(1, 120, 180)[1].mean(), abs=0.1)
    assert paper == "rgb(22, 22, 21)"
    assert again == [pytest.approx(uploaded, abs=0.1), 0, 0]  # the support is in the editor again
    shown = np.asarray(Image.open(tmp_path / "phone.png").convert("RGB"), dtype=np.float64)
    assert shown.shape[1] == 390 and shown[5, 5].max() < 40


def test_an_annotation_file_marks_the_object_and_names_it(
    served: Served, files: dict[str, str], tmp_path: Path
) -> None:
    cup = made.labelme_shape("blue cup", made.ring((20, 30, 120, 90)))
    path = made.labelme_file(tmp_path / "a.json", "support.png", [cup], (120, 180))
    found = values(drive(served.url, [
        READY,
        {"do": "files", "at": "#support-drop", "paths": [files["support.png"]]},
        wait("!document.querySelector('#easel').hidden"),
        {"do": "files", "at": "label:has(#mask-file)", "paths": [str(path)]},
        wait(f"document.querySelector('#class-name').value === 'blue cup' && {MARKED} > 0"),
        js(f"[{MARKED}, {NO_ALERT}]"),
        {"do": "click", "at": "#use"},
        wait(f"{count('#supports li')} === 1"),
        js(text("#supports li")),
    ]))  # fmt: skip
    assert found[0] == [pytest.approx(100 * 100 * 60 / (120 * 180), abs=0.1), True]
    assert "blue cup" in found[1]


class Quiet(SimpleHTTPRequestHandler):
    """Another site."""

    def log_message(self, *arguments: Any) -> None:
        pass


def test_a_page_of_another_site_gets_nothing(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reaches the server is refused there; the browser alone would let the last one through."""
    asked: list[tuple[str, str | None]] = []
    refusal = Guard.refusal

    def noted(guard: Guard, method: str, headers: Any) -> str | None:
        asked.append((method, refusal(guard, method, headers)))
        return asked[-1][1]

    monkeypatch.setattr(Guard, "refusal", noted)
    (tmp_path / "evil.html").write_text("<!doctype html><meta charset=utf-8><title>evil</title><body>x")
    attempts = f"""(async () => {{
      const found = [];
      for (const [path, options] of [
        ["/api/about", {{}}],
        ["/api/sessions", {{ method: "POST" }}],
        ["/api/sessions", {{ method: "POST", mode: "no-cors" }}],
      ]) {{
        try {{
          const answer = await fetch("{served.url[:-1]}" + path, options);
          found.push([answer.type, answer.status]);
        }} catch (error) {{ found.push("refused"); }}
      }}
      window.found = found;
    }})()"""
    before = len(served.server.sessions._sessions)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as site:
        Thread(target=site.serve_forever, daemon=True).start()
        driven = drive(
            f"http://127.0.0.1:{site.server_port}/evil.html",
            [js(f"[{attempts}, 1][1]"), wait("window.found"), js("window.found")],
            allowed=served.url,
        )
        site.shutdown()
    assert driven.values[1] == ["refused"] * 3 and driven.foreign == []
    assert [method for method, _ in asked] == ["GET", "POST", "POST"]
    assert all(reason is not None and "own page only" in reason for _, reason in asked)
    assert len(served.server.sessions._sessions) == before
