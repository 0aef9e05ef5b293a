"""The ASGI worker, spoken to byte by byte, on the C parser and without it: scopes, connections, what comes after."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.patience import within
from tests.runtime.worker_site import Client, WorkerSite
from tests.waiting import stays_untrue, wait_for
from webapps.runtime.spec import Protocol

FRONT = ("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Port: 8443")
MALFORMED = "POST /tell HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
HELLO = "GET /hello HTTP/1.1\r\nHost: example.org\r\n\r\n"


@pytest.fixture(scope="module", params=["", "gunicorn_h1c"], ids=["c-parser", "python-parser"])
def site(request: pytest.FixtureRequest) -> Iterator[WorkerSite]:
    with WorkerSite("asgi3", protocol=Protocol.ASGI, without=request.param) as running:
        yield running


@pytest.fixture
def leaving() -> Iterator[WorkerSite]:
    with WorkerSite("asgi3", protocol=Protocol.ASGI) as running:
        yield running


@pytest.fixture
def client(site: WorkerSite) -> Iterator[Client]:
    with site.client() as connected:
        yield connected


# What the application is told


@pytest.mark.parametrize("unusual", [(), ("Connection: keep-alive",)], ids=["ordinary", "read-by-gunicorn"])
def test_the_scope_is_as_asgi_wants_it(client: Client, unusual: tuple[str, ...]) -> None:
    said = client.request("POST /te%6cl?a=%20b", b"body", *FRONT, *unusual).json()

    assert (said["method"], said["path"]) == ("POST", "/tell")
    assert (said["raw_path"], said["query_string"]) == ("/te%6cl", "a=%20b")
    assert (said["http_version"], said["scheme"], said["body"]) == ("1.1", "https", "body")
    assert (said["client"], said["server"]) == (["192.0.2.7", 0], ["example.org", 8443])
    assert ["host", "example.org"] in said["headers"]  # type: ignore[operator]


@pytest.mark.parametrize("host", ["[2001:db8::1]", "[2001:db8::1]:80"])
def test_a_server_may_have_an_address_of_the_sixth_version(client: Client, host: str) -> None:
    client.send(f"GET /tell HTTP/1.1\r\nHost: {host}\r\n\r\n")

    assert client.reply().json()["server"] == ["[2001:db8::1]", None]


def test_repeated_headers_are_told_one_by_one(client: Client) -> None:
    said = client.request("GET /tell", b"", "X-Own: 1", "X-Own: 2").json()

    assert [value for name, value in said["headers"] if name == "x-own"] == ["1", "2"]  # type: ignore[attr-defined]


def test_a_name_with_an_underscore_is_not_taken_for_one_with_a_hyphen(client: Client) -> None:
    client.send("GET /tell HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 192.0.2.9\r\n\r\n")
    reply = client.reply()

    assert reply.status == 400 or not [name for name, _ in reply.json()["headers"] if "_" in name]  # type: ignore[attr-defined]


def test_a_chunked_body_is_read(client: Client) -> None:
    reply = client.request("POST /tell", b"3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked")

    assert reply.json()["body"] == "abc"


def test_an_expected_continue_comes_when_the_body_is_asked_for(client: Client) -> None:
    client.send("POST /tell HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
    client.send("ab")

    assert client.reply().json()["body"] == "ab"


@pytest.mark.parametrize(
    "head",
    [
        "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /hel\x7flo HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "nonsense\r\n\r\n",
    ],
)
def test_what_is_malformed_is_refused_and_the_connection_closed(client: Client, head: str) -> None:
    client.send(head)

    assert client.reply().status == 400
    assert client.ended()


# Connections


def test_requests_follow_each_other_on_a_connection(client: Client) -> None:
    for _time in range(3):
        assert client.request("GET /hello").body == b"hello"
    assert client.is_open()


def test_requests_that_come_together_are_answered_in_order(client: Client) -> None:
    client.send(HELLO + HELLO.replace("hello", "parts") + HELLO)

    assert [client.reply().body[:5] for _time in range(3)] == [b"hello", b"one t", b"hello"]


def test_a_request_that_comes_again_is_told_as_before(client: Client) -> None:
    said = [client.request("GET /tell", b"", *FRONT).json() for _time in range(4)]

    assert said == said[:1] * 4
    assert client.request("GET /tell", b"", *FRONT, "X-Own: 1").json() != said[0]


def test_what_comes_behind_a_request_that_is_known_is_answered_after_it(client: Client) -> None:
    for _time in range(3):
        client.send(HELLO)
        assert client.reply().body == b"hello"
    slow = "GET /parts HTTP/1.1\r\nHost: known\r\n\r\n"
    for _time in range(3):
        client.send(slow)
        client.reply()

    client.send(slow)
    client.send(HELLO[:9])
    client.send(HELLO[9:] + slow + HELLO)

    assert [client.reply().body[:5] for _time in range(4)] == [b"one t", b"hello", b"one t", b"hello"]
    client.send(HELLO)
    assert client.reply().body == b"hello"
    assert client.is_open()


def test_what_comes_in_two_pieces_is_one_request(client: Client) -> None:
    for cut in (1, len(HELLO) // 2, len(HELLO) - 1):
        client.send(HELLO[:cut])
        wait_for(client.is_read)
        client.send(HELLO[cut:])
        assert client.reply().body == b"hello"


def wait_for_one_more(site: WorkerSite, words: str, before: int) -> None:
    wait_for(lambda: site.printed().count(words) > before, 10)


def test_a_known_request_whose_client_goes_is_over(site: WorkerSite) -> None:
    for _time in range(3):
        begun, over = (site.printed().count(words) for words in ("waits", "http.disconnect"))
        with site.client() as client:
            client.send("GET /waits HTTP/1.1\r\nHost: known\r\n\r\n")
            wait_for_one_more(site, "waits", begun)
        wait_for_one_more(site, "http.disconnect", over)


def test_a_request_whose_body_is_malformed_is_not_begun(site: WorkerSite, client: Client) -> None:
    begun = site.gauge.begun
    client.send(MALFORMED)

    assert client.reply().status == 400
    assert client.ended()
    assert site.gauge.begun == begun


def test_one_behind_another_whose_body_is_malformed_is_not_begun_either(site: WorkerSite, client: Client) -> None:
    begun = site.gauge.begun
    client.send(HELLO + MALFORMED)

    assert client.reply().body == b"hello"
    assert client.reply().status == 400
    assert client.ended()
    assert site.gauge.begun == begun + 1


def test_a_body_that_nobody_reads_is_not_the_next_request(client: Client) -> None:
    assert client.request("POST /hello", HELLO.encode()).body == b"hello"
    assert client.request("GET /tell").json()["path"] == "/tell"


def test_what_is_left_of_a_body_that_nobody_reads_ends_the_connection(client: Client) -> None:
    client.send("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nonly this")

    assert client.reply().body == b"hello"
    assert client.ended()


@pytest.mark.parametrize("line", ["GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close", "GET /hello HTTP/1.0"])
def test_the_last_request_of_a_connection_ends_it(client: Client, line: str) -> None:
    client.send(f"{line}\r\n\r\n")
    reply = client.reply()

    assert (reply.body, reply.headers["connection"]) == (b"hello", "close")
    assert client.ended()


def test_an_application_hears_that_its_client_has_gone(site: WorkerSite) -> None:
    with site.client() as client:
        client.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")
        site.wait_until_printed("waits")
    site.wait_until_printed("http.disconnect")


# Afterwards


def test_the_next_request_does_not_wait_for_what_goes_on_after_the_last_one(site: WorkerSite, client: Client) -> None:
    assert client.request("GET /afterwards").body == b"hello"
    assert client.request("GET /hello").body == b"hello"
    assert "finished" not in site.printed()
    (site.directory / "app" / "go").touch()
    site.wait_until_printed("finished")
    (site.directory / "app" / "go").unlink()


def test_what_goes_on_after_a_response_ends_neither_with_the_connection_nor_with_the_worker(
    leaving: WorkerSite,
) -> None:
    with leaving.client() as client:
        assert client.request("GET /afterwards").body == b"hello"
    leaving.terminate()
    wait_for(lambda: not leaving.is_accepting(), 10)
    # gunicorn would have cancelled it after 3 seconds; the worker's own grace is 30.
    assert stays_untrue(lambda: leaving.process.poll() is not None, 4)
    (leaving.directory / "app" / "go").touch()

    assert leaving.process.wait(within(10)) == 0
    assert "finished" in leaving.printed()


def test_who_leaves_says_so_on_each_connection(leaving: WorkerSite) -> None:
    with leaving.client() as client:
        assert "connection" not in client.request("GET /hello").headers
        leaving.terminate()
        wait_for(lambda: not leaving.is_accepting(), 10)
        assert client.request("GET /hello").headers["connection"] == "close"
        assert client.ended()
    assert leaving.process.wait(within(10)) == 0


# Counting


def test_a_request_counts_as_long_as_its_call_lasts_and_lifespan_is_none(leaving: WorkerSite) -> None:
    page = leaving.gauge
    assert (page.begun, page.ended) == (0, 0)
    with leaving.client() as client:
        client.request("GET /raises")
    wait_for(lambda: (page.begun, page.ended) == (1, 1), 10)
    with leaving.client() as client:
        assert client.request("GET /afterwards").body == b"hello"
        assert (page.begun, page.ended) == (2, 1)
        (leaving.directory / "app" / "go").touch()
        wait_for(lambda: page.ended == 2, 10)


# WebSockets


def test_a_websocket_is_told_its_client_counted_and_guarded(site: WorkerSite, client: Client) -> None:
    wait_for(lambda: site.gauge.begun == site.gauge.ended, 10)
    begun = site.gauge.begun
    client.send(client_handshake())
    answer = client.until(b"\r\n\r\n").lower()

    assert answer.startswith(b"http/1.1 101")
    assert b"x-own: 1" in answer
    assert b"x-accel" not in answer
    frame = client.until(b"}")
    assert json.loads(frame[frame.index(b"{") :]) == {"scheme": "wss", "client": ["192.0.2.7", 0]}
    assert site.gauge.begun == begun + 1
    client.sock.close()
    wait_for(lambda: site.gauge.ended == begun + 1, 10)


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("HTTP/1.1", "HTTP/1.0"),
        ("Connection: Upgrade\r\n", ""),
        ("Connection: Upgrade", "Connection: noupgrade"),
        ("Upgrade: websocket", "Upgrade: websockets"),
        ("GET ", "PUT "),
        ("Sec-WebSocket-Version", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\nSec-WebSocket-Version"),
    ],
)
def test_what_is_no_opening_of_a_websocket_is_an_ordinary_request(client: Client, said: str, instead: str) -> None:
    client.send(client_handshake("/hello").replace(said, instead, 1))

    assert client.reply().status in (200, 400)


def test_a_list_of_connection_options_may_have_the_upgrade(client: Client) -> None:
    client.send(client_handshake().replace("Connection: ", "Connection: keep-alive\r\nConnection: foo, "))

    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101")


def test_a_close_frame_arrives_although_the_client_goes_on_talking(site: WorkerSite, client: Client) -> None:
    client.send(client_handshake("/talk"))
    client.until(b"\r\n\r\n")
    client.send(frame(b"hello"))
    assert client.until(b"enough") == b"\x88\x08\x0f\xa0enough"
    client.send(frame(b"\x0f\xa0", 0x88))
    for _time in range(20):  # Nobody reads them, and yet none fails: the client has to find the end where it reads.
        client.send(frame(b"x" * 60_000))

    assert client.ended(within(10))


def test_an_answer_arrives_although_the_client_goes_on_sending(client: Client) -> None:
    client.send("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n")
    assert client.reply().body == b"hello"
    for _time in range(20):
        client.send(b"x" * 60_000)

    assert client.ended(within(10))


def frame(data: bytes, first: int = 0x82) -> bytes:
    """Return a client's frame, masked with nothing (RFC 6455, section 5.2)."""
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return bytes([first]) + length + bytes(4) + data


def client_handshake(path: str = "/ws") -> str:
    lines = [f"GET {path} HTTP/1.1", "Host: example.org", *FRONT, "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    return "\r\n".join(lines) + "\r\n\r\n"
