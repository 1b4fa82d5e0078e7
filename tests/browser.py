"""A real browser (Chromium, inside Qt WebEngine) that loads one page and says what it shows.

Run as a program of its own, so that Qt never lives in the test process: ``look`` does so. Everything but the
page's own file and data URIs is refused and noted.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROBE = """(() => JSON.stringify({
  scroll_width: document.documentElement.scrollWidth,
  height: document.documentElement.scrollHeight,
  images: Array.from(document.images, i => [i.naturalWidth, i.getBoundingClientRect().width]),
  drawings: Array.from(document.querySelectorAll("svg"), s => s.getBoundingClientRect().width),
  wide: Array.from(document.querySelectorAll(".scroll"), s => [s.clientWidth, s.scrollWidth]),
  sections: Array.from(document.querySelectorAll("main > section"), s => s.id),
  scripts: document.scripts.length,
  title: document.title,
  background: getComputedStyle(document.body).backgroundColor,
  text: document.body.innerText
}))()"""
SECONDS = 150
"""For a busy machine; a page takes two by itself."""
STICKY = 80
"""Pixels at the top of the window where something may stay while the page moves."""
PAUSE = 120
"""Milliseconds between two looks at a page that is being painted."""


@dataclass(frozen=True)
class Seen:
    """What a page looked like.

    Attributes:
        facts: what ``PROBE`` found.
        requests: addresses that the page asked for besides itself, all of them refused.
        picture: the screenshot, a PNG file.
    """

    facts: dict[str, Any]
    requests: list[str]
    picture: Path


def look(page: Path, picture: Path, width: int, height: int = 1800, dark: bool = False) -> Seen:
    """Load a page in a window of that size; see `in_browser`.

    Args:
        page: an HTML file.
        picture: the screenshot to write, of the whole page.
        width: of the window in CSS pixels.
        height: likewise.
        dark: prefers-color-scheme.
    """
    words = (str(page), str(picture), str(width), str(height))
    found = in_browser(Path(__file__), words, dark)
    return Seen(found["facts"], found["requests"], picture)


def in_browser(script: Path, words: Sequence[str], dark: bool = False, given: str = "") -> Any:
    """What a script that uses Qt says in its last line, as JSON; run in a process of its own.

    Skips where there is no browser; fails instead when HMSEG_REQUIRE_BROWSER=1, so that CI can't skip it.

    Args:
        script: a Python file.
        words: its arguments.
        dark: prefers-color-scheme.
        given: its standard input.
    """
    if importlib.util.find_spec("PySide6") is None:
        message = "needs a browser: pip install hmseg[browser]"
        if os.environ.get("HMSEG_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    flags = "--no-sandbox --disable-gpu --disable-dev-shm-usage"
    if dark:
        flags += " --blink-settings=preferredColorScheme=0"
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, str(script), *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=SECONDS * 2,
            env={
                **os.environ,
                "QT_QPA_PLATFORM": "offscreen",
                "QTWEBENGINE_CHROMIUM_FLAGS": flags,
                "QTWEBENGINE_DISABLE_SANDBOX": "1",
                "HOME": home,
                "XDG_RUNTIME_DIR": home,
            },
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def _main(page: str, picture: str, width: int, height: int) -> None:
    from PySide6.QtCore import QTimer, QUrl
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtWebEngineCore import QWebEngineUrlRequestInfo, QWebEngineUrlRequestInterceptor
    from PySide6.QtWebEngineWidgets import QWebEngineView
    from PySide6.QtWidgets import QApplication

    app = QApplication([sys.argv[0]])
    requests: list[str] = []
    facts: dict[str, Any] = {}
    parts: list[tuple[int, QImage]] = []

    class Guard(QWebEngineUrlRequestInterceptor):
        def interceptRequest(self, info: QWebEngineUrlRequestInfo) -> None:  # noqa: N802 - Qt's name
            url = info.requestUrl()
            own = url.isLocalFile() and Path(url.toLocalFile()) == Path(page)
            if not own and url.scheme() != "data":
                requests.append(url.toString())
                info.block(True)

    view, guard = QWebEngineView(), Guard()
    view.page().profile().setUrlRequestInterceptor(guard)
    settings = view.page().settings()
    settings.setAttribute(settings.WebAttribute.ShowScrollBars, False)
    settings.setAttribute(settings.WebAttribute.LocalContentCanAccessRemoteUrls, True)  # for the guard to see
    view.resize(width, height)

    def loaded(good: bool) -> None:
        if not good:
            print("the page could not be loaded", file=sys.stderr)
            app.exit(1)
            return
        view.page().runJavaScript(f"({PROBE})", lambda found: begin(json.loads(found)))

    def begin(found: dict[str, Any]) -> None:
        facts.update(found)
        tops = list(range(0, max(1, found["height"] - height), height - STICKY))
        show([*tops, max(0, found["height"] - height)])

    def show(tops: list[int]) -> None:
        """One window's height after the other: a whole page may be too large to be painted at once."""
        if not tops:
            finish()
            return
        view.page().runJavaScript(f"scrollTo({{top: {tops[0]}, behavior: 'instant'}})")
        QTimer.singleShot(PAUSE, lambda: compare(tops, None))

    def compare(tops: list[int], before: QImage | None) -> None:
        """Painting takes its time: done when two pictures are alike and not of one colour."""
        now = view.grab().toImage()
        small = now.scaled(40, 40)
        colours = {small.pixel(x, y) for x in range(40) for y in range(40)}
        if before is None or now != before or len(colours) == 1:
            QTimer.singleShot(PAUSE, lambda: compare(tops, now))
            return
        parts.append((tops[0], now))
        show(tops[1:])

    def finish() -> None:
        whole = QImage(width, max(height, facts["height"]), QImage.Format.Format_RGB32)
        painter = QPainter(whole)
        for top, part in parts:
            hidden = STICKY if top else 0
            painter.drawImage(0, top + hidden, part.copy(0, hidden, width, height - hidden))
        painter.end()
        whole.save(picture)
        print(json.dumps({"facts": facts, "requests": requests}))
        app.exit(0)

    view.loadFinished.connect(loaded)
    view.load(QUrl.fromLocalFile(page))
    view.show()
    QTimer.singleShot(SECONDS * 1000, lambda: app.exit(2))
    code = app.exec()
    sys.stdout.flush()
    os._exit(code)  # Chromium's own shutdown may hang without a display


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
