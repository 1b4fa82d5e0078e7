"""A page's server on a real socket, with a small untrained network."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from hmseg.networks import build_network
from hmseg.segmenter import Segmenter
from hmseg.webpage.limits import Limits
from hmseg.webpage.server import Server
from hmseg.webpage.serving import http_server, listen
from hmseg.webpage.work import Work
from served import Served

LIMITS = Limits(max_mb=0.2, max_pixels=200_000, max_sessions=3, max_images=6, max_supports=3)


@pytest.fixture(scope="session")
def work() -> Work:
    """Untrained HSNet on the bundled MobileNetV2: what it marks is of no use, but differs."""
    torch.manual_seed(3)
    network = build_network("hsnet", "hybrid", "mobilenet_v2", weights="bundled")
    return Work(Segmenter(network, side=64, device="cpu"))


@pytest.fixture(scope="session")
def running(work: Work) -> Iterator[Served]:
    with listen(0) as listener:
        port = listener.getsockname()[1]
        server = Server(work, LIMITS)
        http = http_server(server.app(), port)
        thread = threading.Thread(target=http.run, kwargs={"sockets": [listener]})
        thread.start()
        yield Served(server, port)
        http.should_exit = True
        thread.join()


@pytest.fixture
def served(running: Served) -> Served:
    """The server with a new session."""
    running.begin()
    return running
