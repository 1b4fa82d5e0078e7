"""Other sites in the user's browser get nothing, whatever they call themselves."""

from __future__ import annotations

import socket

import pytest

from served import Served


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/about"])
@pytest.mark.parametrize(
    "host",
    ["example.org", "example.org:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.example.org:{port}", ""],
)
def test_a_name_that_was_made_to_point_here_is_refused(served: Served, path: str, host: str) -> None:
    answer = served.ask("GET", path, host=host.format(port=served.port))
    assert answer.status == 403 and b"answers to 127.0.0.1" in answer.content


def test_two_hosts_are_refused(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        own = f"Host: 127.0.0.1:{served.port}\r\n"
        connection.sendall(f"GET / HTTP/1.1\r\n{own}Host: example.org\r\n\r\n".encode())
        assert connection.recv(100).split()[1] in (b"400", b"403")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_this_machines_names_are_served(served: Served, host: str) -> None:
    answer = served.ask("GET", "/", host=f"{host}:{served.port}")
    assert answer.status == 200 and b"<title>hmseg" in answer.content


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    "origin", [None, "null", "http://example.org", "https://127.0.0.1:{port}", "http://127.0.0.1:1"]
)
def test_changes_are_the_own_pages_alone(served: Served, method: str, origin: str | None) -> None:
    given = None if origin is None else origin.format(port=served.port)
    answer = served.ask(method, "/api/sessions", origin=given)
    assert answer.status == 403 and b"Origin" in answer.content


def test_reading_with_another_origin_is_refused(served: Served) -> None:
    assert served.ask("GET", "/api/about", origin="http://example.org").status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_the_browsers_own_word_on_the_site_counts(served: Served, site: str) -> None:
    assert served.ask("GET", "/api/about", sec_fetch_site=site, sec_fetch_mode="cors").status == 403
    assert served.ask("POST", "/api/sessions", sec_fetch_site=site, sec_fetch_mode="navigate").status == 403
    assert served.ask("GET", "/", sec_fetch_site=site, sec_fetch_mode="navigate").status == 200  # a link


@pytest.mark.parametrize("path", ["/", "/static/style.css", "/nowhere", "/results/none"])
def test_every_answer_forbids_other_origins(served: Served, path: str) -> None:
    headers = served.ask("GET", path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert set(" ".join(policy.values()).split()) == {"'none'", "'self'", "blob:"}
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
    assert "server" not in headers and "access-control-allow-origin" not in headers
