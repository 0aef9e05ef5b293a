"""The heads of ASGI requests and responses, where no server is needed to see them."""

from __future__ import annotations

from typing import Any

import pytest

from webapps.runtime import asgi_headers
from webapps.runtime.asgi_headers import KNOWN, LONGEST_HEAD, Heads, Request
from webapps.runtime.wsgi_headers import WrongHeader
from webapps.runtime.wsgi_request import CACHED


def test_names_and_values_may_be_other_than_bytes() -> None:
    headers = [("X-One", "\xe9"), (bytearray(b"X-Two"), memoryview(b"2"))]

    assert asgi_headers.render(headers) == (None, b"X-One: \xe9\r\nX-Two: 2\r\n")  # type: ignore[arg-type]


def test_a_length_may_be_said_twice_but_not_two_ways() -> None:
    twice = [(b"Content-Length", b"5"), (b"content-length", b"5")]
    assert asgi_headers.render(twice) == (5, b"")
    with pytest.raises(WrongHeader):
        asgi_headers.render([*twice, (b"content-length", b"6")])


def test_what_is_known_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi_headers, "MEANINGS", {})
    asgi_headers.render([(b"X-%d" % number, b"1") for number in range(2 * CACHED)])
    assert len(asgi_headers.MEANINGS) == CACHED


# Requests that come again


def head(path: str = "/", *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode()


def ordinary(data: bytes, length: int = 0, closing: bool = False, version: tuple[int, int] = (1, 1)) -> Request:
    """Return the request of a head, read far enough for it to be kept or not."""
    first, *lines = data.decode().rstrip().split("\r\n")
    method, _, target = first.rpartition(" ")[0].partition(" ")
    headers = [(name.lower().encode(), value.encode()) for name, value in (line.split(": ", 1) for line in lines)]
    query = target.partition("?")[2].encode()
    scope = {"method": method, "path": target, "query_string": query, "headers": headers, "state": {}}
    return Request(scope, version, length, closing)


def told_twice(data: bytes, request: Request | None = None) -> Heads:
    heads = Heads()
    for _time in range(2):
        heads.learn(data, request or ordinary(data))
    return heads


def test_what_comes_a_second_time_is_known() -> None:
    heads, data = Heads(), head("/a")

    heads.learn(data, ordinary(data))
    assert heads.find(data, {}) is None

    heads.learn(data, ordinary(data))
    found = heads.find(data, {"own": 1})
    assert found and (found.method, found.scope["path"], found.scope["state"]) == ("GET", "/a", {"own": 1})
    assert heads.find(head("/b"), {}) is None


def test_what_an_application_does_to_its_scope_is_not_seen_by_the_next_request() -> None:
    data = head()
    heads = told_twice(data)
    for _time in range(2):
        request = heads.find(data, {})
        assert request
        assert (request.scope["path"], request.scope["headers"]) == ("/", [(b"host", b"a")])
        assert request.scope["asgi"] == {"version": "3.0", "spec_version": "2.4"}
        request.scope["path"] = "/changed"
        request.scope["headers"].append((b"x-own", b"1"))
        request.scope["asgi"].clear()
        request.scope["state"]["own"] = 1


@pytest.mark.parametrize(
    "data",
    [
        head("/?token=secret"),
        head("/", "Cookie: session=secret"),
        head("/", "Authorization: Basic c2VjcmV0"),
        head("/", f"X-Long: {'x' * LONGEST_HEAD}"),
        head() + b"GET",
        head() + head(),
        head()[:-2],
    ],
)
def test_what_may_be_a_secret_or_is_not_one_whole_request_is_not_kept(data: bytes) -> None:
    assert not told_twice(data, ordinary(data.partition(b"\r\n\r\n")[0])).known


@pytest.mark.parametrize("said", [{"length": 1}, {"closing": True}, {"version": (1, 0)}])
def test_a_request_with_a_body_or_the_last_of_its_connection_is_not_kept(said: dict[str, Any]) -> None:
    assert not told_twice(head(), ordinary(head(), **said)).known


def test_what_is_known_of_requests_is_bounded() -> None:
    heads = Heads()
    for number in range(2 * CACHED):
        data = head(f"/{number}")
        heads.learn(data, ordinary(data))
        heads.learn(data, ordinary(data))
        assert len(heads.known) <= KNOWN
        assert len(heads.seen) <= CACHED
    assert heads.known
