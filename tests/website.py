"""A web server on the loopback that misbehaves on demand."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler


@dataclass
class Site:
    """What the server offers and how.

    Attributes:
        files: bodies by path.
        ranges: whether parts can be asked for.
        stop_after: bytes of a body after which the connection is cut, by request; none: never.
        status: answers instead of bodies, by request; none: the body.
        lengths: whether sizes are announced.
        endless: whether bodies are sent in chunks, again and again, until the client goes.
        requests: the ``Range`` header of each request, "" without.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    stop_after: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    lengths: bool = True
    endless: bool = False
    requests: list[str] = field(default_factory=list)
    base: str = ""

    def url(self, path: str) -> str:
        return f"{self.base}/{path}"


def handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 - the base class names it
            asked = self.headers.get("Range", "")
            site.requests.append(asked)
            body = site.files.get(self.path.lstrip("/"))
            status = site.status.pop(0) if site.status else 200
            if body is None or status >= 400:
                self.send_error(404 if body is None else status)
                return
            start, found = 0, re.fullmatch(r"bytes=(\d+)-", asked)
            if found and site.ranges:
                start = int(found[1])
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            if site.endless:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                with suppress(ConnectionError):
                    while True:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
                return
            if site.lengths:
                self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            end = start + site.stop_after.pop(0) if site.stop_after else len(body)
            self.wfile.write(body[start:end])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    return Handler
