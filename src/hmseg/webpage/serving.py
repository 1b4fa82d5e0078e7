"""One socket on the loopback interface, and the HTTP server on it; without PyTorch, to answer at once."""

from __future__ import annotations

import asyncio
import os
import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from hmseg.errors import ConfigError
from hmseg.webpage.guard import Guard

LOOPBACK = "127.0.0.1"
"""The only address that is ever listened on; there is no setting for another."""

PATIENCE = 10.0
"""Seconds that a connection may take to send a request's headers, or the next piece of its body."""


def listen(port: int) -> socket.socket:
    """A listening socket that only this machine reaches.

    Args:
        port: 0 for any that is free.

    Raises:
        ConfigError: it is taken, or this user may not have it.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":  # a port that was served a moment ago can be had again; Windows would share it
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"port={port}: {LOOPBACK}:{port} can't be had ({error.strerror}); give another port=…, or port=0 "
            "for any that is free"
        ) from None
    return listener


class Patient(H11Protocol):
    """HTTP with a bound on waiting: whoever sends nothing takes none of the places of those who do.

    uvicorn's own timeout counts after an answer, and ends with the first byte of the next request.
    """

    _since = 0.0  # when the present wait began, on the loop's clock

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._look()

    def data_received(self, data: bytes) -> None:
        """A body may come as slowly as it likes, if it comes; headers come at once."""
        if self._in_body():
            self._since = self.loop.time()
        super().data_received(data)
        if self._in_body():
            self._since = self.loop.time()

    def on_response_complete(self) -> None:
        """Begins to wait for the next request."""
        self._since = self.loop.time()
        super().on_response_complete()

    def _in_body(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete and self.cycle.more_body

    def _look(self) -> None:
        """Every now and then: closes a connection that has waited too long."""
        if self.transport.is_closing():
            return
        waiting = self.cycle is None or self.cycle.response_complete or self._in_body()
        if waiting and self.loop.time() - self._since > PATIENCE:
            self.transport.abort()  # what isn't read is not waited for
            return
        self.loop.call_later(PATIENCE / 4, self._look)


def http_server(app: ASGIApp, port: int) -> uvicorn.Server:
    """The HTTP server of an application, guarded; to be run with ``sockets=[listen(port)]``.

    Args:
        app: the routes.
        port: of the socket.
    """
    config = uvicorn.Config(
        Guard(app, port),
        http=Patient,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        limit_concurrency=64,
    )
    return uvicorn.Server(config)
