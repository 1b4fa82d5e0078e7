"""A real browser that is told what to do with a page: choose files, paint, click, type, look.

``drive`` runs it in a process of its own (see `browser.in_browser`). Mouse and keys are Qt's events, as a
user's are; files come through the browser's own file chooser or as a drop. Every address but the page's own
server is refused and noted, and so is what the page writes to its console (violations of its policy).

A step is ``{"do": NAME, …}``:

    js      code             evaluates an expression; its value is among the results
    wait    code             until the expression is true; seconds (default 60)
    files   at, paths        clicks a file input's label and chooses files
    drop    at, paths        drops files on an element
    drag    at, points       presses the mouse, moves through points (shares of the element), lets go
    click   at, point        clicks; point: share of the element, the middle by default
    keys    keys             types; single characters, or names of Qt's keys such as "Key_Left"
    size    width            of the window
    picture path             a screenshot of the whole page
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browser import in_browser

HEIGHT = 1000
SECONDS = 60.0

Step = dict[str, Any]


@dataclass(frozen=True)
class Driven:
    """What came of the steps.

    Attributes:
        values: of the ``js`` steps.
        foreign: addresses asked for besides those of the page's server.
        console: what the page wrote, errors of the browser included.
    """

    values: list[Any]
    foreign: list[str]
    console: list[str]


def drive(
    url: str, steps: Sequence[Step], width: int = 1280, dark: bool = False, allowed: str = ""
) -> Driven:
    """Load a page and do the steps one after the other.

    Args:
        url: of a server on this machine.
        steps: see above.
        width: of the window in CSS pixels.
        dark: prefers-color-scheme.
        allowed: another server that may be asked, for pages that are up to no good.
    """
    found = in_browser(Path(__file__), (url, str(width), allowed), dark, json.dumps(list(steps)))
    return Driven(**found)


def _main(url: str, width: int, allowed: str, steps: Sequence[Step]) -> None:
    from PySide6.QtCore import QEvent, QEventLoop, QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
    from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QImage, QPainter
    from PySide6.QtTest import QTest
    from PySide6.QtWebEngineCore import (
        QWebEnginePage,
        QWebEngineProfile,
        QWebEngineUrlRequestInfo,
        QWebEngineUrlRequestInterceptor,
    )
    from PySide6.QtWebEngineWidgets import QWebEngineView
    from PySide6.QtWidgets import QApplication

    _application = QApplication([sys.argv[0]])  # has to be held
    values: list[Any] = []
    foreign: list[str] = []
    console: list[str] = []
    chosen: list[str] = []

    class Guard(QWebEngineUrlRequestInterceptor):
        def interceptRequest(self, info: QWebEngineUrlRequestInfo) -> None:  # noqa: N802 - Qt's name
            asked = info.requestUrl()
            own = {QUrl(each).authority() for each in (url, allowed)}
            if asked.scheme() not in ("blob", "data") and asked.authority() not in own:
                foreign.append(asked.toString())
                info.block(True)

    class Page(QWebEnginePage):
        def javaScriptConsoleMessage(self, level: Any, message: str, line: int, source: str) -> None:  # noqa: N802
            console.append(f"{message} ({source}:{line})")

        def chooseFiles(self, mode: Any, old: Any, kinds: Any) -> list[str]:  # noqa: N802
            return chosen

    profile, view = QWebEngineProfile(), QWebEngineView()  # in memory
    page, guard = Page(profile), Guard()
    profile.setUrlRequestInterceptor(guard)
    view.setPage(page)
    page.settings().setAttribute(page.settings().WebAttribute.ShowScrollBars, False)
    view.resize(width, HEIGHT)

    def waited(start: Callable[[Callable[[Any], None]], object]) -> Any:
        """The value that a callback gets."""
        loop, got = QEventLoop(), []
        start(lambda value: (got.append(value), loop.quit()))
        QTimer.singleShot(int(1000 * SECONDS), loop.quit)
        if not got:
            loop.exec()
        assert got, "the browser gave no answer"
        return got[0]

    def js(code: str) -> Any:
        text = waited(lambda done: page.runJavaScript(f"JSON.stringify({{value: {code}}})", 0, done))
        assert text, f"the page could not evaluate {code}; console: {console[-3:]}"
        return json.loads(text).get("value")

    def place(selector: str, point: Sequence[float] = (0.5, 0.5)) -> QPoint:
        """A point of an element in the window, the page scrolled so that it is there."""
        found = json.dumps(selector)
        x, y = point
        code = (
            f"(() => {{ const e = document.querySelector({found}); if (!e) return null;"
            "let b = e.getBoundingClientRect();"
            f"scrollBy({{top: b.top + {y} * b.height - innerHeight / 2, behavior: 'instant'}});"
            f"b = e.getBoundingClientRect(); return [b.left + {x} * b.width, b.top + {y} * b.height]; }})()"
        )
        where = js(code)
        assert where is not None, f"there is no {selector}"
        return QPoint(round(where[0]), round(where[1]))

    def mouse() -> Any:
        return view.focusProxy() or view

    def wait(code: str, seconds: float = SECONDS) -> None:
        end = time.monotonic() + seconds
        while not js(code):
            assert time.monotonic() < end, f"never true: {code}; {js('document.body.innerText')}; {console}"
            QTest.qWait(40)

    def click(selector: str, point: Sequence[float] = (0.5, 0.5)) -> None:
        where = place(selector, point)
        QTest.mouseMove(mouse(), where)
        QTest.mouseClick(mouse(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where)
        QTest.qWait(30)

    def drag(selector: str, points: Sequence[Sequence[float]]) -> None:
        button, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        QTest.mouseMove(mouse(), place(selector, points[0]))
        QTest.mousePress(mouse(), button, none, place(selector, points[0]))
        found = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        left, top, wide, high = js(f"(b => [b.left, b.top, b.width, b.height])({found})")
        for x, y in points[1:]:
            where = QPoint(round(left + x * wide), round(top + y * high))
            QTest.mouseMove(mouse(), where)
            QTest.qWait(20)
        QTest.mouseRelease(mouse(), button, none, where)
        QTest.qWait(30)

    def files(selector: str, paths: Sequence[str]) -> None:
        chosen[:] = paths
        click(selector)

    def drop(selector: str, paths: Sequence[str]) -> None:
        where, data = place(selector), QMimeData()
        data.setUrls([QUrl.fromLocalFile(path) for path in paths])
        action, button = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
        none = Qt.KeyboardModifier.NoModifier
        for event in (
            QDragEnterEvent(where, action, data, button, none),
            QDragMoveEvent(where, action, data, button, none),
            QDropEvent(QPointF(where), action, data, button, none, QEvent.Type.Drop),
        ):
            QApplication.sendEvent(view, event)
            QTest.qWait(50)

    def press(keys: Sequence[str]) -> None:
        for each in keys:
            shift, _, name = each.rpartition("+")
            held = {"Shift": Qt.KeyboardModifier.ShiftModifier, "Ctrl": Qt.KeyboardModifier.ControlModifier}
            modifier = held.get(shift, Qt.KeyboardModifier.NoModifier)
            QTest.keyClick(mouse(), getattr(Qt.Key, name) if name.startswith("Key_") else name, modifier)
            QTest.qWait(20)

    def picture(path: str) -> None:
        wide, high = view.width(), js("document.documentElement.scrollHeight")
        whole = QImage(wide, max(HEIGHT, high), QImage.Format.Format_RGB32)
        painter = QPainter(whole)
        before = view.height()
        view.resize(wide, min(high, 8000))  # the whole page in one window: sticky parts stay where they are
        QTest.qWait(500)
        js("scrollTo({top: 0, behavior: 'instant'})")
        QTest.qWait(200)
        painter.drawImage(0, 0, view.grab().toImage())
        painter.end()
        whole.save(path)
        view.resize(wide, before)
        QTest.qWait(100)

    def size(width: int) -> None:
        view.resize(width, HEIGHT)
        QTest.qWait(200)

    def do(step: Step) -> None:
        name, rest = step["do"], {key: value for key, value in step.items() if key not in ("do", "at")}
        at = [step["at"]] if "at" in step else []
        if name == "js":
            values.append(js(**rest))
        else:
            {"wait": wait, "click": click, "drag": drag, "files": files, "drop": drop, "keys": press,
             "size": size, "picture": picture}[name](*at, **rest)  # fmt: skip

    loaded = waited(lambda done: (view.loadFinished.connect(done), view.load(QUrl(url)), view.show()))
    assert loaded, "the page could not be loaded"
    for step in steps:
        do(step)
    print(json.dumps({"values": values, "foreign": foreign, "console": console}))
    sys.stdout.flush()


if __name__ == "__main__":
    import os
    import traceback

    code = 1
    try:
        _main(sys.argv[1], int(sys.argv[2]), sys.argv[3], json.loads(sys.stdin.read()))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # Chromium's own shutdown may hang without a display
