"""Who may talk to the page's server: this machine's own page, and no other site that the browser has open.

The server listens on 127.0.0.1 alone, but every site in the user's browser can reach that. Two tricks are
closed here. *DNS rebinding*: a site's name is made to point to 127.0.0.1, so that its scripts count as the
server's own; the ``Host`` header then names that site. *Cross-site requests*: a site sends a form to the
server; ``Origin`` (and ``Sec-Fetch-Site``) then name it.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",  # blob: the user's own files, shown without being sent
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""Of every answer: nothing is loaded from elsewhere, embedded elsewhere or kept on disk by the browser."""


class Guard:
    """Refuses requests that aren't of the server's own page, and puts `HEADERS` on every answer.

    Args:
        app: what is guarded.
        port: where the server listens.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.app = app
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        if port == 80:
            self.hosts |= {"127.0.0.1", "localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return  # no websockets

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        reason = self.refusal(scope["method"], scope["headers"])
        app = self.app if reason is None else PlainTextResponse(f"{reason}\n", 403)
        await app(scope, receive, with_headers)

    def refusal(self, method: str, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Why a request is refused, or None.

        Args:
            method: HTTP's.
            headers: names in lower case, and values.

        Example:
            >>> guard = Guard(PlainTextResponse(""), 7860)
            >>> guard.refusal("GET", [(b"host", b"localhost:7860")])
            >>> guard.refusal("GET", [(b"host", b"example.org:7860")])
            'this server answers to 127.0.0.1:7860 and localhost:7860 only'
        """
        given: dict[str, list[str]] = {}
        for name, value in headers:
            given.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        hosts, origins, sites = (given.get(name, []) for name in ("host", "origin", "sec-fetch-site"))
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return f"this server answers to {' and '.join(sorted(self.hosts))} only"
        changes = method not in ("GET", "HEAD")
        if origins not in ([], [f"http://{hosts[0].lower()}"]) or (changes and not origins):
            return "this server answers to its own page only (Origin)"
        opened = given.get("sec-fetch-mode") == ["navigate"] and not changes  # a link to the page is no harm
        if not opened and any(site not in ("same-origin", "none") for site in sites):
            return "this server answers to its own page only (Sec-Fetch-Site)"
        return None
