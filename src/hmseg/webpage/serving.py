"""One socket on the loopback interface, and the HTTP server on it; without PyTorch, to answer at once."""

from __future__ import annotations

import os
import socket

import uvicorn
from starlette.types import ASGIApp

from hmseg.errors import ConfigError
from hmseg.webpage.guard import Guard

LOOPBACK = "127.0.0.1"
"""The only address that is ever listened on; there is no setting for another."""


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


def http_server(app: ASGIApp, port: int) -> uvicorn.Server:
    """The HTTP server of an application, guarded; to be run with ``sockets=[listen(port)]``.

    Args:
        app: the routes.
        port: of the socket.
    """
    config = uvicorn.Config(
        Guard(app, port),
        http="h11",
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
