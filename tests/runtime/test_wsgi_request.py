"""Heads of requests, valid and malformed: what is accepted, what each becomes, and which status refuses it."""

from __future__ import annotations

import http.client
import string

import pytest

from tests.runtime.worker_site import WorkerSite
from webapps.runtime import wsgi_request
from webapps.runtime.wsgi_request import CACHED, CHUNKED, CONTROLS, KNOWN, Environ, Heads, Refused, Request

BASE = {"SERVER_NAME": "localhost"}


def parse(given: bytes, base: Environ) -> Request:
    return Heads(base, "").parse(given)


def head(*lines: str, first: str = "GET / HTTP/1.1", host: str | None = "Host: a") -> bytes:
    return "\r\n".join(filter(None, [first, host, *lines])).encode("latin-1")


VALID = {
    "plain": (head(), {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "", "SERVER_NAME": "a"}),
    "query": (head(first="GET /a?b?c=%2F HTTP/1.1"), {"PATH_INFO": "/a", "QUERY_STRING": "b?c=%2F"}),
    "empty query": (head(first="GET /a? HTTP/1.1"), {"PATH_INFO": "/a", "QUERY_STRING": ""}),
    "escaped": (head(first="GET /%41%2f%00%ff%zz HTTP/1.1"), {"PATH_INFO": "/A/\0\xff%zz"}),
    "encoded bytes": (head(first="GET /caf%C3%A9%c0%ae HTTP/1.1"), {"PATH_INFO": "/caf\xc3\xa9\xc0\xae"}),
    "http/1.0": (head(first="GET / HTTP/1.0", host=None), {"SERVER_PROTOCOL": "HTTP/1.0", "SERVER_NAME": "localhost"}),
    "own method": (head(first="M-SEARCH! / HTTP/1.1"), {"REQUEST_METHOD": "M-SEARCH!"}),
    "no space": (head("X-A:b"), {"HTTP_X_A": "b"}),
    "much space": (head("X-A: \t b  c\t "), {"HTTP_X_A": "b  c"}),
    "empty value": (head("X-A:"), {"HTTP_X_A": ""}),
    "obs-text": (head("X-A: caf\xe9"), {"HTTP_X_A": "caf\xe9"}),
    "colons": (head("X-A: b:c:"), {"HTTP_X_A": "b:c:"}),
    "case": (head("x-A: 1", "CONTENT-type: text/plain"), {"HTTP_X_A": "1", "CONTENT_TYPE": "text/plain"}),
    "repeated": (head("X-A: 1", "x-a: 2"), {"HTTP_X_A": "1, 2"}),
    "cookies": (head("Cookie: a=1", "Cookie: b=2"), {"HTTP_COOKIE": "a=1; b=2"}),
    "length": (head("Content-Length: 12"), {"CONTENT_LENGTH": "12"}),
    "long length": (head("Content-Length: 000000000000012"), {"CONTENT_LENGTH": "000000000000012"}),
    "port": (head(host="Host: example.org:8080"), {"SERVER_NAME": "example.org", "SERVER_PORT": "8080"}),
    "ipv6": (head(host="Host: [::1]:8080"), {"SERVER_NAME": "[::1]", "SERVER_PORT": "8080"}),
    "no port": (head(host="Host: a:"), {"SERVER_NAME": "a", "SERVER_PORT": "80"}),
    "empty host": (head(host="Host:"), {"SERVER_NAME": "localhost"}),
    "odd name": (head("!#$%&'*+.^`|~0aZ-: x"), {"HTTP_!#$%&'*+.^`|~0AZ_": "x"}),
    "long line": (head(first="GET /" + "a" * 30_000 + " HTTP/1.1"), {"PATH_INFO": "/" + "a" * 30_000}),
    "many lines": (head(*(f"X-{number}: 1" for number in range(900))), {"HTTP_X_899": "1"}),
}
MALFORMED = {
    "nothing": (b"", 400),
    "two parts": (head(first="GET /"), 400),
    "four parts": (head(first="GET / / HTTP/1.1"), 400),
    "two spaces": (head(first="GET  / HTTP/1.1"), 400),
    "space first": (head(first=" GET / HTTP/1.1"), 400),
    "space last": (head(first="GET / HTTP/1.1 "), 400),
    "tab": (head(first="GET\t/ HTTP/1.1"), 400),
    "raw bytes": (head(first="GET /caf\xc3\xa9 HTTP/1.1"), 400),
    "raw overlong dots": (head(first="GET /\xc0\xae\xc0\xae/ HTTP/1.1"), 400),
    "tab in target": (head(first="GET /a\tb HTTP/1.1"), 400),
    "no method": (head(first=" / HTTP/1.1"), 400),
    "bad method": (head(first="G(ET / HTTP/1.1"), 400),
    "absolute": (head(first="GET http://a/ HTTP/1.1"), 400),
    "authority": (head(first="CONNECT a:80 HTTP/1.1"), 400),
    "asterisk": (head(first="OPTIONS * HTTP/1.1"), 400),
    "relative": (head(first="GET a HTTP/1.1"), 400),
    "http/2": (head(first="GET / HTTP/2.0"), 505),
    "http/1.2": (head(first="GET / HTTP/1.2"), 505),
    "lower": (head(first="GET / http/1.1"), 400),
    "no version": (head(first="GET / HTTP/"), 400),
    "long version": (head(first="GET / HTTP/1.10"), 400),
    "crlf first": (b"\r\n" + head(), 400),
    "preface": (b"PRI * HTTP/2.0", 505),
    "bare lf": (head("X-A: b\nX-C: d"), 400),
    "bare cr": (head("X-A: b\rX-C: d"), 400),
    "bare lf in line": (head(first="GET /\nX HTTP/1.1"), 400),
    "lf cr": (head("X-A: b\n\rX-C: d"), 400),
    "fold": (head("X-A: b", " c"), 400),
    "fold by tab": (head("X-A: b", "\tc"), 400),
    "fold first": (b"GET / HTTP/1.1\r\n Host: a", 400),
    "no colon": (head("X-A"), 400),
    "known name, no colon": (head("X-A: 1", "Host"), 400),
    "empty name": (head(": a"), 400),
    "space before colon": (head("X-A : b"), 400),
    "space in name": (head("X A: b"), 400),
    "name of latin-1": (head("X-\xe9: b"), 400),
    "bracket in name": (head("X[A]: b"), 400),
    "long name": (head("X" * 300 + ": b"), 400),
    "no host": (head(host=None), 400),
    "two hosts": (head("Host: b"), 400),
    "same host twice": (head("Host: a"), 400),
    "host list": (head(host="Host: a, b"), 400),
    "host with path": (head(host="Host: a/b"), 400),
    "host with user": (head(host="Host: u@a"), 400),
    "host with space": (head(host="Host: a b"), 400),
    "host with bad port": (head(host="Host: a:b"), 400),
    "host with open bracket": (head(host="Host: [::1"), 400),
    "length twice": (head("Content-Length: 1", "Content-Length: 2"), 400),
    "same length twice": (head("Content-Length: 1", "Content-Length: 1"), 400),
    "length list": (head("Content-Length: 1, 1"), 400),
    "negative length": (head("Content-Length: -1"), 400),
    "positive length": (head("Content-Length: +1"), 400),
    "hexadecimal length": (head("Content-Length: 0x1"), 400),
    "empty length": (head("Content-Length:"), 400),
    "spaced length": (head("Content-Length: 1 1"), 400),
    "underscored length": (head("Content-Length: 1_0"), 400),
    "digit of another script": (head("Content-Length: \xb2"), 400),
    "huge length": (head("Content-Length: " + "9" * 19), 400),
    "length and chunked": (head("Content-Length: 1", "Transfer-Encoding: chunked"), 400),
    "chunked and length": (head("Transfer-Encoding: chunked", "Content-Length: 1"), 400),
    "chunked twice": (head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
    "chunked in 1.0": (head("Transfer-Encoding: chunked", first="GET / HTTP/1.0"), 400),
    "chunked list": (head("Transfer-Encoding: gzip, chunked"), 501),
    "chunked, chunked": (head("Transfer-Encoding: chunked, chunked"), 501),
    "identity": (head("Transfer-Encoding: identity"), 501),
    "quoted": (head('Transfer-Encoding: "chunked"'), 501),
    "vertical tab": (head("Transfer-Encoding: \x0bchunked"), 400),
    "empty coding": (head("Transfer-Encoding:"), 501),
    "two types": (head("Content-Type: a/b", "Content-Type: a/b"), 400),
    "expectation": (head("Expect: 200-ok"), 417),
    "long line": (head(first="GET /" + "a" * 33_000 + " HTTP/1.1"), 414),
    "many lines": (head(*(f"X-{number}: 1" for number in range(1001))), 431),
    "long head": (head("X-A: " + "a" * 300_000), 431),
}
CONTROLLED = (
    b"GET /a%bb HTTP/1.1\r\nHost: a",
    b"GET / HTTP/1.1\r\nHost: a\r\nX-%bA: b",
    b"GET / HTTP/1.1\r\nHost: a\r\nX-A: a%bb",
    b"GE%bT / HTTP/1.1\r\nHost: a",
)


@pytest.mark.parametrize("name", VALID)
def test_a_valid_head_is_understood(name: str) -> None:
    given, expected = VALID[name]

    environ = parse(given, {"SERVER_NAME": "localhost"}).environ

    assert {key: environ[key] for key in expected} == expected


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_head_is_refused(name: str) -> None:
    given, status = MALFORMED[name]

    with pytest.raises(Refused) as refused:
        parse(given, {})

    assert refused.value.status == status and str(refused.value)


@pytest.mark.parametrize("control", [bytes([number]) for number in CONTROLS])
@pytest.mark.parametrize("place", CONTROLLED)
def test_a_control_character_is_refused_anywhere(place: bytes, control: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parse(place % control, {})

    assert refused.value.status == 400


@pytest.mark.parametrize("letter", [chr(number) for number in range(33, 256) if number != 127])
def test_the_name_of_a_header_is_a_token_or_refused(letter: str) -> None:
    token = letter in string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
    try:
        parse(head(f"X{letter}Y: 1"), {})
    except Refused:
        assert not token
    else:
        assert token or letter == ":"


@pytest.mark.parametrize(
    ("lines", "length", "closing", "expects"),
    [
        ((), 0, False, False),
        (("Content-Length: 0", "Expect: 100-continue"), 0, False, False),
        (("Content-Length: 5", "Expect: 100-Continue"), 5, False, True),
        (("Transfer-Encoding: Chunked",), CHUNKED, False, False),
        (("Connection: Close",), 0, True, False),
        (("Connection: keep-alive ,  close",), 0, True, False),
        (("Connection: keep-alive",), 0, False, False),
        (("Connection: upgrade", "Upgrade: websocket"), 0, False, False),
    ],
)
def test_a_head_says_how_its_body_and_the_connection_end(
    lines: tuple[str, ...], length: int, closing: bool, expects: bool
) -> None:
    request = parse(head(*lines), {})

    assert (request.length, request.closing, request.expects) == (length, closing, expects)


def test_what_was_refused_once_is_refused_again() -> None:
    for _ in range(3):
        for name in ("no colon", "space in name", "host with path", "name of latin-1"):
            with pytest.raises(Refused):
                parse(MALFORMED[name][0], {})


@pytest.mark.parametrize("name", VALID)
def test_a_head_that_comes_again_is_understood_as_the_first_time(name: str) -> None:
    heads = Heads(BASE, "")
    given, _ = VALID[name]
    first = heads.parse(given)
    expected = dict(first.environ)
    for _ in range(4):
        again = heads.parse(given)
        assert again.environ == expected
        assert (again.closing, again.length, again.modern) == (first.closing, first.length, first.modern)
        again.environ.clear()


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_head_is_refused_however_often_it_comes(name: str) -> None:
    heads = Heads(BASE, "")
    for _ in range(4):
        heads.parse(head())
        with pytest.raises(Refused):
            heads.parse(MALFORMED[name][0])


def test_known_headers_are_read_below_another_request_line() -> None:
    heads = Heads(BASE, "")
    for _ in range(3):
        heads.parse(head("X-Forwarded-For: 192.0.2.7", first="GET /one?a HTTP/1.1"))
    assert len(heads.known) == 1

    request = heads.parse(head("X-Forwarded-For: 192.0.2.7", first="HEAD /two HTTP/1.0"))

    assert (request.head_only, request.modern, request.closing) == (True, False, True)
    assert (request.environ["PATH_INFO"], request.environ["QUERY_STRING"]) == ("/two", "")
    assert request.environ["REMOTE_ADDR"] == "192.0.2.7"


@pytest.mark.parametrize(
    "line", ["Cookie: a=1", "Authorization: Basic x", "Content-Length: 1", "Connection: close", "Expect: 100-continue"]
)
def test_what_is_secret_or_about_a_body_is_not_kept(line: str) -> None:
    heads = Heads(BASE, "")
    for _ in range(5):
        heads.parse(head(line))

    assert not heads.known


@pytest.mark.parametrize("first", ["GET /reset?token=1 HTTP/1.1", f"GET /{'a' * 300} HTTP/1.1"])
def test_a_request_line_with_a_query_or_a_long_one_is_not_kept(first: str) -> None:
    heads = Heads(BASE, "")
    for _ in range(3):
        heads.parse(head(first=first))

    assert not heads.lines


def test_a_known_request_line_says_another_version_with_the_same_headers() -> None:
    heads = Heads(BASE, "")
    for _ in range(3):
        for version, modern in (("1.1", True), ("1.0", False)):
            request = heads.parse(head(first=f"GET /one HTTP/{version}"))
            assert (request.modern, request.closing) == (modern, not modern)
            assert request.environ["SERVER_PROTOCOL"] == f"HTTP/{version}"


def test_what_clients_choose_does_not_fill_the_memory() -> None:
    heads = Heads(BASE, "")
    for number in range(3 * CACHED):
        for _ in range(2):
            heads.parse(head(f"X-Filled-{number}: 1", host=f"Host: filled-{number}"))

        heads.parse(head(first=f"GET /filled/{number} HTTP/1.1"))

    assert 0 < len(heads.lines) <= CACHED
    assert len(heads.known) <= KNOWN and len(heads.seen) <= CACHED and len(wsgi_request.LINES) <= CACHED
    assert len(wsgi_request.KEYS) <= CACHED and len(wsgi_request.HOSTS) <= CACHED


def test_the_environ_that_all_share_is_not_changed() -> None:
    base = {"SERVER_NAME": "localhost"}

    parse(head("X-A: 1"), base)

    assert base == {"SERVER_NAME": "localhost"}


def test_the_worker_answers_what_is_malformed_with_its_status_and_closes() -> None:
    with WorkerSite() as site:
        for given, status in MALFORMED.values():
            with site.client() as client:
                client.send(given + b"\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
                reply = client.reply()
                assert (reply.status, reply.headers["connection"]) == (status, "close"), given[:200]
                assert reply.body.decode().strip() == http.client.responses[status].replace("Request-", "")
                assert client.ended()
        assert site.ask("GET /hello").body == b"hello"
        assert "a request was refused: there is no Host" in site.printed()


def test_a_head_without_end_is_refused_while_it_comes() -> None:
    with WorkerSite() as site:
        for endless, status in ((b"GET /" + b"a" * 100_000, 414), (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 60_000, 431)):
            with site.client() as client:
                client.send(endless)
                assert client.reply().status == status
                assert client.ended()
