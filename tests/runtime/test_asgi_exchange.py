"""What an ASGI application answers, and what becomes of it on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.runtime.worker_site import Client, Reply, WorkerSite
from webapps.runtime.spec import Protocol

SIZED = ["Content-Length", "5"]


@pytest.fixture(scope="module")
def site() -> Iterator[WorkerSite]:
    with WorkerSite("asgi3", protocol=Protocol.ASGI) as running:
        yield running


@pytest.fixture
def client(site: WorkerSite) -> Iterator[Client]:
    with site.client() as connected:
        yield connected


def answered(client: Client, *headers: list[str]) -> Reply:
    """Have an application answer with these headers."""
    return client.request("POST /headers", json.dumps(headers).encode())


def test_head_and_body_go_out_together(client: Client) -> None:
    reply = client.request("GET /hello")

    assert (reply.status, reply.body) == (200, b"hello")
    assert reply.headers == {"content-type": "text/plain", "content-length": "5"}


def test_a_body_of_unknown_length_is_chunked_and_passed_on_as_it_comes(client: Client) -> None:
    reply = client.request("GET /parts")

    assert reply.body == b"one two " + b"x" * 70_000
    assert (reply.headers["transfer-encoding"], reply.headers["x-accel-buffering"]) == ("chunked", "no")
    assert client.is_open()


def test_a_body_of_unknown_length_ends_with_the_connection_in_http_1_0(client: Client) -> None:
    client.send("GET /parts HTTP/1.0\r\n\r\n")
    reply = client.reply()

    assert reply.body == b"one two " + b"x" * 70_000
    assert "transfer-encoding" not in reply.headers


def test_an_application_may_use_its_buffer_again(client: Client) -> None:
    assert client.request("GET /reused").body == b"hello"


def test_a_head_has_the_length_and_no_body(client: Client) -> None:
    reply = client.request("HEAD /hello")

    assert reply.headers["content-length"] == "5"
    assert client.request("GET /hello").body == b"hello"


def test_no_content_has_neither_length_nor_body(client: Client) -> None:
    reply = client.request("GET /nothing_to_see")

    assert (reply.status, "content-length" in reply.headers) == (204, False)
    assert client.request("GET /hello").body == b"hello"


def test_what_is_more_than_the_length_is_cut_and_said(site: WorkerSite, client: Client) -> None:
    assert client.request("GET /too_long").body == b"hello"
    assert client.request("GET /hello").body == b"hello"
    site.wait_until_printed("/too_long: the application sent more")


def test_what_is_less_than_the_length_ends_the_connection(site: WorkerSite, client: Client) -> None:
    assert client.request("GET /too_short").cut
    site.wait_until_printed("/too_short: the application sent 2 bytes less")


@pytest.mark.parametrize("path", ["raises", "silent"])
def test_who_answers_nothing_is_answered_for(site: WorkerSite, client: Client, path: str) -> None:
    assert client.request(f"GET /{path}").status == 500
    assert client.ended()
    site.wait_until_printed({"raises": "RuntimeError: on purpose\n", "silent": "without completing"}[path])


def test_a_response_without_its_body_is_500_and_says_so(site: WorkerSite, client: Client) -> None:
    reply = client.request("GET /bodiless")

    assert (reply.status, reply.body) == (500, b"the application returned without a body for its response\n")
    assert client.ended()
    site.wait_until_printed("without completing its response")


@pytest.mark.parametrize(("line", "status"), [("HEAD /bodiless", 200), ("GET /bodiless?204", 204)])
def test_a_response_that_has_no_body_is_whole_without_one(client: Client, line: str, status: int) -> None:
    assert client.request(line).status == status
    assert client.request("GET /hello").body == b"hello"


def test_an_exception_before_anything_was_sent_is_500(site: WorkerSite, client: Client) -> None:
    assert client.request("GET /raises_started").status == 500
    assert client.ended()
    site.wait_until_printed("RuntimeError: on purpose, before the body")


def test_one_that_wants_to_leave_ends_its_own_request_only(site: WorkerSite, client: Client) -> None:
    assert client.request("GET /exits").status == 500
    site.wait_until_printed("SystemExit: 3")

    with site.client() as other:
        assert other.request("GET /hello").body == b"hello"
    assert site.process.poll() is None


def test_an_exception_within_a_response_cuts_it_off(site: WorkerSite, client: Client) -> None:
    assert client.request("GET /raises_late").cut
    site.wait_until_printed("RuntimeError: on purpose, late")


def test_an_exception_after_the_response_is_logged_and_harms_nobody(site: WorkerSite, client: Client) -> None:
    assert client.request("GET /raises_after").body == b"hello"
    assert client.request("GET /hello").body == b"hello"
    site.wait_until_printed("RuntimeError: on purpose, afterwards")


def test_a_response_is_not_started_twice(site: WorkerSite, client: Client) -> None:
    assert client.request("GET /twice").body == b"hello"
    site.wait_until_printed("refused: the response was started twice")


def test_early_hints_come_before_the_response(client: Client) -> None:
    client.send("GET /early HTTP/1.1\r\nHost: a\r\n\r\n")

    assert client.until(b"\r\n\r\n") == b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"
    assert client.reply().body == b"hello"


# What may not be said


@pytest.mark.parametrize(
    "header",
    [
        ["X-Accel-Redirect", "/secret"],
        ["x-accel-buffering", "yes"],
        ["Set-Cookie", "stoa_session=1"],
        ["set-cookie", " __Host-Stoa_x=1; Path=/"],
        ["SET-COOKIE", "__secure-STOA_x=1"],
        ["Set-Cookie", "=stoa_x=1"],
        ["Connection", "close"],
        ["Transfer-Encoding", "chunked"],
    ],
)
def test_what_would_steer_the_front_is_left_out(client: Client, header: list[str]) -> None:
    reply = answered(client, SIZED, header)

    assert (reply.headers, reply.body) == ({"content-length": "5"}, b"hello")
    assert client.is_open()


def test_everything_else_goes_on_as_it_was(client: Client) -> None:
    reply = answered(client, SIZED, ["Set-Cookie", "a=stoa_"], ["Set-Cookie", "b=\xff"], ["X-Own", ""])

    assert b"\r\nSet-Cookie: a=stoa_\r\nSet-Cookie: b=\xff\r\nX-Own: \r\n" in reply.raw


@pytest.mark.parametrize(
    "header",
    [["X-Own", "a\r\nX-Accel-Redirect: /x"], ["X-Own", "a\x00"], ["X Own", "a"], ["X-Own\r\nX", "a"], ["", "a"]],
)
def test_what_would_split_the_response_is_refused(site: WorkerSite, client: Client, header: list[str]) -> None:
    assert answered(client, SIZED, header).status == 500
    site.wait_until_printed("WrongHeader")


@pytest.mark.parametrize("length", ["6, 6", "-5", "five", "\u00b2"[:1]])
def test_a_length_is_one_number(client: Client, length: str) -> None:
    assert answered(client, ["Content-Length", length]).status == 500
