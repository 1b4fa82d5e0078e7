"""The page's routes: bounded bodies in, JSON and pictures of results out.

Of files it serves those of the page, by name from a table that is read when it starts; no path is ever put
together from a request. Of the user's it serves results, under random keys.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hmseg.annotations.uploads import is_annotation, marked_in, one_of
from hmseg.errors import HmsegError
from hmseg.untrusted import parsing
from hmseg.webpage.layers import marked_layer
from hmseg.webpage.limits import (
    Limits,
    RefusedError,
    decode_image,
    decode_mask,
    read_mask,
    too_many_bytes,
)
from hmseg.webpage.state import Session, Sessions, Support
from hmseg.webpage.work import Work

SESSION = "x-hmseg-session"
"""Header with the page's session key. Other sites can't set it without asking, which is never granted."""
MOST_JSON = 4096
"""Bytes of what the page asks for, uploads aside."""
MOST_NAME = 40
"""Characters of a class name."""
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}  # fmt: skip
DRAINED = 4
"""Uploads of up to so many times the limit are read to the end, so that the browser hears why not."""

Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """The ASGI application's routes.

    Args:
        work: computes with a session.
        limits: what is taken.
    """

    def __init__(self, work: Work, limits: Limits) -> None:
        self.work = work
        self.limits = limits
        self.sessions = Sessions(limits)
        self.page = page_files()

    def app(self) -> Starlette:
        """The application, not guarded yet."""
        routes: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.file),
            ("GET", "/static/{name}", self.file),
            ("GET", "/results/{key}", self.result),
            ("GET", "/api/about", self.tell),
            ("POST", "/api/sessions", self.open),
            ("DELETE", "/api/sessions", self.close),
            ("POST", "/api/images", self.add_image),
            ("DELETE", "/api/images/{key}", self.remove_image),
            ("POST", "/api/masks", self.read_mask),
            ("POST", "/api/supports", self.add_support),
            ("DELETE", "/api/supports/{key}", self.remove_support),
            ("POST", "/api/predictions", self.predict),
            ("POST", "/api/fillings", self.fill),
            ("POST", "/api/correlations", self.correlate),
        ]
        return Starlette(
            routes=[Route(path, answered(handler), methods=[method]) for method, path, handler in routes]
        )

    async def file(self, request: Request) -> Response:
        """One of the page's own files."""
        name = request.path_params.get("name", "index.html")
        if name not in self.page:
            raise RefusedError("there is no such file", 404)
        content, kind = self.page[name]
        return Response(content, media_type=kind)

    async def result(self, request: Request) -> Response:
        """A picture of a result; with ``?save=NAME`` the browser stores it."""
        content = await run_in_threadpool(self.sessions.result, request.path_params["key"])
        headers = {"Content-Disposition": "attachment"} if "save" in request.query_params else {}
        return Response(content, media_type="image/png", headers=headers)

    async def tell(self, request: Request) -> Response:
        """About the network and the limits."""
        limits = {
            "max_bytes": self.limits.max_bytes,
            "max_mb": self.limits.max_mb,
            "max_pixels": self.limits.max_pixels,
        }
        return JSONResponse({**self.work.about(), "limits": limits})

    async def open(self, request: Request) -> Response:
        """A session for a page."""
        return JSONResponse({"session": self.sessions.open()})

    async def close(self, request: Request) -> Response:
        """Forget a page's session."""
        self.sessions.close(request.headers.get(SESSION, ""))
        return Response(status_code=204)

    async def add_image(self, request: Request) -> Response:
        """An image file as the body; its key and size."""
        session, content = self._session(request), await body(request, self.limits)

        def hold() -> dict[str, Any]:
            with self.sessions.lock:  # one image is decoded at a time
                image = decode_image(content, self.limits)
                key = self.sessions.add_image(session, image)
            return {"image": key, "height": image.shape[0], "width": image.shape[1]}

        return JSONResponse(await run_in_threadpool(hold))

    async def remove_image(self, request: Request) -> Response:
        """Forget an image, and the supports made of it."""
        session = self._session(request)
        await self._locked(session.remove_image, request.path_params["key"])
        return Response(status_code=204)

    async def read_mask(self, request: Request) -> Response:
        """A mask or annotation file as the body: key of a picture, opaque on the object, and the class.

        ``?image=KEY&reading=HOW&name=CLASS&file=NAME``: what the pixels of a mask mean; of an annotation file
        the class that is meant, where it marks several, and the image's name in it.
        """
        session, content = self._session(request), await body(request, self.limits)
        given = request.query_params
        key, name = given.get("image"), class_name(given.get("name", ""))

        def hold() -> dict[str, Any]:
            height, width = session.image(key).shape[:2]
            if is_annotation(content):
                found, mask = one_of(marked_in(content, given.get("file", ""), (height, width)), name)
                found = class_name(found)
            else:
                mask = read_mask(content, (height, width), self.limits, given.get("reading", "auto"))
                found = name
            return {"mask": self.sessions.keep(session, marked_layer(mask)), "name": found}

        return JSONResponse(await self._locked(hold))

    async def add_support(self, request: Request) -> Response:
        """A mask as the body, ``?image=KEY&name=CLASS``; the support's key and share of marked pixels."""
        session, content = self._session(request), await body(request, self.limits)
        key, name = request.query_params.get("image"), request.query_params.get("name", "")

        def hold() -> dict[str, Any]:
            image = session.image(key)
            mask = decode_mask(content, (image.shape[0], image.shape[1]), self.limits)
            support = Support(str(key), mask, class_name(name))
            return {
                "support": self.sessions.add_support(session, support),
                "name": support.name,
                "share": float(mask.mean()),
            }

        return JSONResponse(await self._locked(hold))

    async def remove_support(self, request: Request) -> Response:
        """Forget a support; its image stays."""
        session = self._session(request)
        await self._locked(session.remove_support, request.path_params["key"])
        return Response(status_code=204)

    async def predict(self, request: Request) -> Response:
        """Segment a query."""
        return await self._computed(request, self.work.predict)

    async def fill(self, request: Request) -> Response:
        """Where hybrid masking fills in."""
        return await self._computed(request, self.work.fill)

    async def correlate(self, request: Request) -> Response:
        """What of a support is similar to a point of a query."""
        return await self._computed(request, self.work.correlate)

    async def _computed(
        self, request: Request, compute: Callable[[Sessions, Session, Mapping[str, Any]], dict[str, Any]]
    ) -> Response:
        session, wanted = self._session(request), json_object(await body(request, None, MOST_JSON))
        return JSONResponse(await self._locked(compute, self.sessions, session, wanted))

    async def _locked(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function's result, computed in a thread, one at a time."""

        def alone() -> Any:
            with self.sessions.lock:
                return function(*arguments)

        return await run_in_threadpool(alone)

    def _session(self, request: Request) -> Session:
        return self.sessions.get(request.headers.get(SESSION, ""))


def answered(handler: Handler) -> Handler:
    """The handler, its refusals as JSON ``{"error": …}`` for the page to show."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except RefusedError as refusal:
            rest = {"Connection": "close"} if refusal.status == 413 else {}  # nobody reads what is still sent
            return JSONResponse({"error": str(refusal)}, refusal.status, rest)
        except HmsegError as error:  # the library's own: what came doesn't fit
            return JSONResponse({"error": str(error)}, 422)

    return guarded


async def body(request: Request, limits: Limits | None, most: int = 0) -> bytes:
    """The request's body.

    Args:
        request: whose body is read.
        limits: of an upload.
        most: bytes, where it isn't an upload.

    Raises:
        RefusedError: it is larger; what comes after is not kept.
    """
    most = most if limits is None else limits.max_bytes
    length = request.headers.get("content-length", "0")
    declared = int(length) if length.isdecimal() else 0
    parts: list[bytes] = []
    size = 0
    if declared <= DRAINED * most:
        async for part in request.stream():
            size += len(part)
            if size > most:
                parts.clear()
            else:
                parts.append(part)
            if size > DRAINED * most:
                break
    if max(size, declared) > most:
        raise RefusedError("this request is too long", 413) if limits is None else too_many_bytes(limits)
    return b"".join(parts)


def json_object(content: bytes) -> dict[str, Any]:
    """The body's JSON object, of texts and numbers.

    Raises:
        RefusedError: it is none.
    """
    with parsing(lambda why: RefusedError(f"expected a JSON object of texts and numbers ({why})")):
        found = json.loads(content)
        if not isinstance(found, dict):
            raise ValueError("it is none")
        if any(isinstance(each, dict | list) for each in found.values()):
            raise ValueError("it holds others")
        json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair is no text
        return found


def class_name(text: str) -> str:
    """A class name: one line, not too long.

    Example:
        >>> class_name("  a   cat "), class_name("")
        ('a cat', 'object')
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MOST_NAME] or "object"


def page_files() -> dict[str, tuple[bytes, str]]:
    """The page's files and their types by name."""
    found = {}
    for file in (files("hmseg.webpage") / "static").iterdir():
        kind = TYPES.get(f".{file.name.rpartition('.')[2]}")
        if kind is not None:
            found[file.name] = (file.read_bytes(), kind)
    return found
