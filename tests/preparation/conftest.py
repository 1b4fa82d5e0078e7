"""A running web server, and downloads that don't wait between attempts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from hmseg.preparation import download
from website import Site, handler


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A running server; attempts follow each other without a pause."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "PAUSE", 0.0)
    offered = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(offered))
    offered.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield offered
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def nowhere() -> str:
    """A URL that nothing answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(Site()))
    port = server.server_address[1]
    server.server_close()
    return f"http://127.0.0.1:{port}/file.tar"
