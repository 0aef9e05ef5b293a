"""The heads of ASGI responses, where no server is needed to see them."""

from __future__ import annotations

import pytest

from webapps.runtime import asgi_headers
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
