"""A running server of the page, asked over a real socket as a browser would, and what to send it."""

from __future__ import annotations

import http.client
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hmseg.webpage.server import SESSION, Server


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class Served:
    """A running server, asked as a browser would."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port
        self.session = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def ask(self, method: str, path: str, body: Any = None, **headers: str | None) -> Answer:
        """A request with the page's headers; others given as ``sec_fetch_site="…"``, None leaves one out."""
        given: dict[str, str | None] = {
            "Host": f"127.0.0.1:{self.port}",
            "Origin": f"http://127.0.0.1:{self.port}" if method != "GET" else None,
            SESSION: self.session or None,
            **{name.replace("_", "-").title(): value for name, value in headers.items()},
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            content = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
            if method != "GET":
                given.setdefault("Content-Length", str(len(content)))
            for name, value in given.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(content)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def begin(self) -> None:
        """A session of its own for a test."""
        self.session = ""
        self.session = self.ask("POST", "/api/sessions").json["session"]

    def add_image(self, image: NDArray[np.uint8]) -> str:
        key: str = self.ask("POST", "/api/images", png(image)).json["image"]
        return key

    def add_support(self, image: str, mask: NDArray[np.bool_], name: str = "cat") -> str:
        key: str = self.ask("POST", f"/api/supports?image={image}&name={name}", mask_png(mask)).json[
            "support"
        ]
        return key


def png(pixels: NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """As a canvas sends it."""
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[mask] = (228, 87, 46, 255)
    return png(pixels)


def pixels_of(content: bytes) -> NDArray[np.uint8]:
    return np.array(Image.open(io.BytesIO(content)).convert("RGBA"))


def scene(seed: int, height: int = 60, width: int = 90) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Noise with a bright rectangle, and the rectangle."""
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 90, (height, width, 3)).astype(np.uint8)
    top, left = generator.integers(5, 20, 2)
    mask = np.zeros((height, width), bool)
    mask[top : top + 30, left : left + 40] = True
    image[mask] += np.array([150, 60, 20], np.uint8)
    return image, mask
