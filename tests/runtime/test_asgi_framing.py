"""What an ASGI worker refuses of heads and chunks, on the C parser and without it, as its WSGI sibling does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gunicorn.asgi.parser import ParseError

from tests.runtime.worker_site import Client, WorkerSite
from webapps.runtime.asgi_framing import Chunks
from webapps.runtime.spec import Protocol

HOST = "Host: a\r\n"
CHUNKED = f"POST /tell HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"
HEADS = {
    "a length of 2^64+5": f"POST /tell HTTP/1.1\r\n{HOST}Content-Length: 18446744073709551621\r\n\r\nhello",
    "a length of 2^63": f"POST /tell HTTP/1.1\r\n{HOST}Content-Length: 9223372036854775808\r\n\r\nhello",
    "a length with a sign": f"POST /tell HTTP/1.1\r\n{HOST}Content-Length: +5\r\n\r\nhello",
    "a length with zeros before it": f"POST /tell HTTP/1.1\r\n{HOST}Content-Length: {'0' * 40}5\r\n\r\nhello",
    "no host": "GET /hello HTTP/1.1\r\n\r\n",
    "no host, unusual": "GET /hello HTTP/1.1\r\nConnection: keep-alive\r\n\r\n",
    "a host with a space": "GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a host with a slash": "GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a host with a user": "GET /hello HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "two hosts in one": "GET /hello HTTP/1.1\r\nHost: a,b\r\n\r\n",
    "a port that is none": "GET /hello HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "half an address": "GET /hello HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "a whole address as target": f"GET http://a/hello HTTP/1.1\r\n{HOST}\r\n",
    "an asterisk as target": f"OPTIONS * HTTP/1.1\r\n{HOST}\r\n",
    "a tunnel": f"CONNECT a:80 HTTP/1.1\r\n{HOST}\r\n",
    "a raw letter in the path": f"GET /hell\xc3\xb6 HTTP/1.1\r\n{HOST}\r\n",
    "raw overlong UTF-8 in the path": f"GET /hello\xc0\xae HTTP/1.1\r\n{HOST}\r\n",
}
BODIES = {
    "a size of 2^64+5": "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size with many zeros": "00000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size in C": "0x5\r\nhello\r\n0\r\n\r\n",
    "a negative size": "-5\r\nhello\r\n0\r\n\r\n",
    "a blank before the size": " 5\r\nhello\r\n0\r\n\r\n",
    "no size": "\r\nhello\r\n0\r\n\r\n",
    "bare line feeds": "5\nhello\n0\n\n",
    "NUL in an extension": "5;a=\0\r\nhello\r\n0\r\n\r\n",
    "more than the size": "4\r\nhello\r\n0\r\n\r\n",
    "a size without an end": "5;" + "a" * 5000,
    "NUL in a trailer": "5\r\nhello\r\n0\r\nX-A: \0b\r\n\r\n",
    "NUL in a trailer's name": "5\r\nhello\r\n0\r\nX\0A: b\r\n\r\n",
    "a bare CR in a trailer": "5\r\nhello\r\n0\r\nX-A: b\rc\r\n\r\n",
    "a bare LF in a trailer": "5\r\nhello\r\n0\r\nX-A: b\n\r\n\r\n",
    "a request as trailer": "5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
    "a length as trailer": "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    "too many trailers": "0\r\n" + "X-A: b\r\n" * 200 + "\r\n",
}


@pytest.fixture(scope="module", params=["", "gunicorn_h1c"], ids=["c-parser", "python-parser"])
def site(request: pytest.FixtureRequest) -> Iterator[WorkerSite]:
    with WorkerSite("asgi3", protocol=Protocol.ASGI, without=request.param) as running:
        yield running


@pytest.fixture
def client(site: WorkerSite) -> Iterator[Client]:
    with site.client() as connected:
        yield connected


@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_means_two_things_is_refused(client: Client, name: str) -> None:
    client.send(HEADS[name])

    assert client.reply().status == 400
    assert client.ended()


@pytest.mark.parametrize("coding", ["gzip, chunked", "chunked, chunked", "identity", "xchunked"])
def test_no_coding_but_chunks_is_taken(client: Client, coding: str) -> None:
    client.send(f"POST /tell HTTP/1.1\r\n{HOST}Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n")

    assert client.reply().status in (400, 501)
    assert client.ended()


@pytest.mark.parametrize("name", BODIES)
def test_a_malformed_chunk_or_trailer_is_refused(client: Client, name: str) -> None:
    client.send(CHUNKED)
    client.send(BODIES[name])

    reply = client.reply()
    assert reply.status in (400, 431) and b"hello" not in reply.body


def test_chunks_may_come_in_any_pieces(client: Client) -> None:
    for letter in CHUNKED + "2;a=b\r\nhe\r\n3 ;c\r\nllo\r\n0\r\nX-A: b\r\n\r\n":
        client.send(letter)

    assert client.reply().json()["body"] == "hello"
    assert client.request("GET /hello").body == b"hello"


def test_what_comes_behind_chunks_is_the_next_request(client: Client) -> None:
    body = "5\r\nhello\r\n0\r\n\r\n"
    client.send(f"{CHUNKED}{body}GET /hello HTTP/1.1\r\n{HOST}\r\n{CHUNKED}{body}")

    assert client.reply().json()["body"] == "hello"
    assert client.reply().body == b"hello"
    assert client.reply().json()["body"] == "hello"


def test_a_large_chunked_body_arrives_whole(client: Client) -> None:
    letters = b"".join(b"%05d," % number for number in range(100_000))
    parts = [letters[at : at + 70_001] for at in range(0, len(letters), 70_001)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    client.send(CHUNKED.encode() + chunks + b"0\r\n\r\n")

    assert client.reply().json()["body"] == letters.decode()


def test_a_chunk_that_is_malformed_behind_an_answer_cuts_the_connection_only(client: Client) -> None:
    client.send(CHUNKED.replace("/tell", "/hello") + "5\r\nhello\r\n")
    assert client.reply().body == b"hello"
    client.send("nonsense\r\n")

    assert client.ended()


def test_what_waits_for_a_line_is_bounded() -> None:
    chunks = Chunks()
    chunks.feed(b"0" * 4000)
    with pytest.raises(ParseError):
        chunks.feed(b"0" * 100)
