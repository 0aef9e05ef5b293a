"""The WSGI worker, spoken to byte by byte: PEP 3333 point by point, connections, leaving, hanging."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import pytest

from tests.patience import within
from tests.runtime.worker_site import APPS, Client, WorkerSite
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def site() -> Iterator[WorkerSite]:
    with WorkerSite() as running:
        yield running


@pytest.fixture(scope="module")
def below() -> Iterator[WorkerSite]:
    """One that answers every path below /below with its environ."""
    with WorkerSite("environment", "/below") as running:
        yield running


@pytest.fixture
def client(site: WorkerSite) -> Iterator[Client]:
    with site.client() as connected:
        yield connected


# The environ


def test_the_environ_is_as_pep_3333_wants_it(client: Client) -> None:
    environ = client.request("GET /environment?a=%20b", b"", "X-Own: some thing", "Cookie: a=1", "Cookie: b=2").json()

    assert environ["REQUEST_METHOD"] == "GET"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/environment")
    assert environ["QUERY_STRING"] == "a=%20b"
    assert environ["RAW_URI"] == environ["REQUEST_URI"] == "/environment?a=%20b"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("example.org", "80")
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["wsgi.url_scheme"] == "http"
    assert (environ["wsgi.multithread"], environ["wsgi.multiprocess"], environ["wsgi.run_once"]) == (True, False, False)
    assert environ["HTTP_X_OWN"] == "some thing"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert "" not in environ


def test_client_scheme_and_port_are_those_that_the_front_says(client: Client) -> None:
    environ = client.request(
        *("GET /environment", b"", "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Port: 8443")
    ).json()

    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["HTTPS"]) == ("192.0.2.7", "https", "on")
    assert environ["SERVER_PORT"] == "8443"


def test_a_name_with_an_underscore_cannot_stand_for_another(client: Client) -> None:
    environ = client.request("GET /environment", b"", "X_Forwarded_For: 192.0.2.7", "Content_Length: 3").json()

    assert environ["REMOTE_ADDR"] == ""
    assert "CONTENT_LENGTH" not in environ and "HTTP_CONTENT_LENGTH" not in environ


def test_an_application_sees_itself_below_its_name(below: WorkerSite) -> None:
    for target, path in {"/below/": "/", "/below": "", "/below/a%2Fb": "/a/b", "/below/below": "/below"}.items():
        environ = below.ask(f"GET {target}").json()
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/below", path)


@pytest.mark.parametrize("elsewhere", ["/", "/belo", "/belowstairs", "/other/below/", "//below/"])
def test_a_path_elsewhere_is_refused(below: WorkerSite, elsewhere: str) -> None:
    assert below.ask(f"GET {elsewhere}").status == 400


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/environment/../x", None),
        ("//environment", None),
        ("/environment%3Fa", None),
        ("/%65nvironment", "/environment"),
    ],
)
def test_a_path_arrives_decoded_once_and_otherwise_as_it_was_sent(
    client: Client, target: str, path: str | None
) -> None:
    reply = client.request(f"GET {target}")

    assert reply.status == (200 if path else 500)
    assert not path or reply.json()["PATH_INFO"] == path


def test_wsgirefs_validator_has_nothing_to_say() -> None:
    with WorkerSite("validated") as validated, validated.client() as client:
        assert client.request("GET /").body == b"one,two"
        assert client.request("HEAD /").status == 200
        assert client.request("GET /write").body == b"written,returned"
        assert client.request("GET /nothing").status == 204
        assert client.request("POST /upload", b"one\ntwo\nthree", "Content-Type: text/plain").body == b"one\ntwo\nthree"
        assert client.request("GET /file").body == (APPS / "validated" / "app.py").read_bytes()
        assert "Error" not in validated.printed()


# Responses


def test_a_response_of_known_length_says_it(client: Client) -> None:
    reply = client.request("GET /several")

    assert (reply.headers["content-length"], reply.body) == ("7", b"one,two")
    assert "transfer-encoding" not in reply.headers and "x-accel-buffering" not in reply.headers


def test_a_response_of_unknown_length_is_chunked_and_passed_on_as_it_comes(client: Client) -> None:
    reply = client.request("GET /parts")

    assert (reply.headers["transfer-encoding"], reply.headers["x-accel-buffering"]) == ("chunked", "no")
    assert reply.body == b"one,two,three"
    assert client.request("GET /hello").body == b"hello"


def test_a_part_is_sent_before_the_next_is_made(client: Client, site: WorkerSite) -> None:
    client.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"first," in client.until(b"first,\r\n")

    site.ask("GET /release")

    assert client.until(b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"


def test_an_empty_response_has_length_zero(client: Client) -> None:
    assert client.request("GET /nothing").headers["content-length"] == "0"


def test_a_large_response_arrives_whole(client: Client) -> None:
    assert client.request("GET /large").body == b"large" * 100_000


@pytest.mark.parametrize("path", ["/hello", "/parts", "/several", "/lazy", "/write", "/large", "/nothing"])
def test_head_has_no_body(client: Client, path: str) -> None:
    assert client.request(f"HEAD {path}").status == 200
    assert client.request("GET /hello").body == b"hello"


def test_head_ends_a_response_without_end_and_closes_it(client: Client) -> None:
    assert client.request("HEAD /endless?head").status == 200
    assert client.request("GET /was_closed?head").body == b"yes"


@pytest.mark.parametrize(("status", "length"), [("204 No Content", None), ("304 Not Modified", "4")])
def test_204_and_304_have_no_body(client: Client, status: str, length: str | None) -> None:
    reply = client.request(f"GET /status?{status.replace(' ', '_')},4")

    assert (reply.status, reply.headers.get("content-length")) == (int(status[:3]), length)
    assert client.request("GET /hello").body == b"hello"


@pytest.mark.parametrize("status", ["100_Continue", "101_Upgrade", "20_OK", "ok", "2000_OK", "200OK", ""])
def test_a_status_that_is_none_is_answered_with_500(client: Client, status: str) -> None:
    assert client.request(f"GET /status?{status}").status == 500


def test_write_sends_at_once_and_goes_before_what_is_returned(client: Client) -> None:
    assert client.request("GET /write").body == b"written,returned"
    assert client.request("GET /was_closed?write").body == b"yes"
    assert client.request("GET /write_whole").body == b"written,ab"


def test_http_1_0_is_answered_unchunked_and_closed(client: Client) -> None:
    client.send("GET /parts HTTP/1.0\r\n\r\n")

    reply = client.reply()

    assert (reply.body, reply.headers["connection"]) == (b"one,two,three", "close")
    assert "transfer-encoding" not in reply.headers


def test_a_connection_is_closed_when_the_front_wants_so(client: Client) -> None:
    reply = client.request("GET /hello", b"", "Connection: close")

    assert (reply.body, reply.headers["connection"]) == (b"hello", "close")
    assert client.ended()


def test_a_connection_is_kept_over_many_requests_even_pipelined(client: Client) -> None:
    one = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"

    client.send(one * 50)

    assert [client.reply().body for _ in range(50)] == [b"abc"] * 50
    assert client.is_open()


def test_a_request_that_comes_byte_by_byte_is_answered(client: Client) -> None:
    for byte in b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
        client.send(bytes([byte]))

    assert client.reply().body == b"abc"
    assert client.request("GET /hello").body == b"hello"


# Headers that applications send


@pytest.mark.parametrize(
    "kind",
    "split lf cr nul name space colon empty int bytes wide chunked upgrade trailer length negative lengths".split(),
)
def test_headers_that_no_application_may_send_are_500_and_logged(client: Client, site: WorkerSite, kind: str) -> None:
    before = site.printed().count("WrongHeader")

    reply = client.request(f"GET /bad_headers?{kind}")

    assert (reply.status, reply.body) == (500, b"Internal Server Error\n")
    assert "stolen" not in str(reply.raw)
    wait_for(lambda: site.printed().count("WrongHeader") > before, 5, site.printed)
    assert client.request("GET /hello").body == b"hello"


def test_what_would_steer_the_front_or_is_stoas_is_left_out(client: Client) -> None:
    reply = client.request("GET /good_headers")

    assert reply.headers["set-cookie"] == "a=1"
    assert "x-accel-redirect" not in reply.headers and reply.headers["x-accel-buffering"] == "no"
    assert "connection" not in reply.headers and "keep-alive" not in reply.headers
    assert b"X-Latin: caf\xe9\ttab\r\n" in reply.raw and b"X-Empty: \r\n" in reply.raw


# Lengths


@pytest.mark.parametrize("query", ["", "?parts"])
def test_a_body_is_cut_off_at_its_length(client: Client, site: WorkerSite, query: str) -> None:
    assert client.request(f"GET /long_body{query}").body == b"1234"
    assert client.request("GET /hello").body == b"hello"
    site.wait_until_printed("sent more than its Content-Length")


def test_a_body_that_is_too_short_is_an_error_while_it_can_be_said(client: Client) -> None:
    assert client.request("GET /short_body").status == 500
    assert client.request("GET /hello").body == b"hello"


def test_a_body_that_turns_out_too_short_ends_the_connection(client: Client, site: WorkerSite) -> None:
    reply = client.request("GET /short_body?parts")

    assert reply.cut and client.ended()
    site.wait_until_printed("4 bytes less than its Content-Length")


# Errors


def test_headers_can_be_replaced_before_they_are_sent(client: Client) -> None:
    reply = client.request("GET /replaced")

    assert (reply.status, reply.body) == (503, b"sorry")
    assert "x-first" not in reply.headers


def test_an_error_after_the_headers_cuts_the_response_off(client: Client, site: WorkerSite) -> None:
    reply = client.request("GET /too_late")

    assert reply.status == 200 and reply.cut and client.ended()
    site.wait_until_printed("ValueError: after the headers were sent")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/raises?secret=1", "Error handling request GET /raises"),
        ("/leaves", "SystemExit: 3"),
        ("/twice", "twice without exc_info"),
        ("/never_started", "before it called start_response"),
        ("/none", "the application answered NoneType"),
        ("/text?str", "PEP 3333 requires bytes, and the application answered str: encode it"),
        ("/text?list", "PEP 3333 requires bytes, and the application answered a part of type str: encode it"),
        ("/text?parts", "a part of type str: encode it"),
        ("/text?two", "a part of type str: encode it"),
    ],
)
def test_what_an_application_does_wrong_is_500_and_named(
    client: Client, site: WorkerSite, path: str, words: str
) -> None:
    reply = client.request(f"GET {path}")

    assert (reply.status, reply.headers.get("connection")) == (500, None)
    site.wait_until_printed(words)
    assert client.request("GET /hello").body == b"hello"


def test_bytes_without_a_list_are_sent_whole(client: Client) -> None:
    assert client.request("GET /one_bytes").body == b"whole"


def test_close_is_called_whatever_happens(client: Client, site: WorkerSite) -> None:
    assert client.request("GET /closing?whole").body == b"closing"
    assert site.ask("GET /closing_breaks?broken").cut
    for name in ("whole", "broken"):
        assert client.request(f"GET /was_closed?{name}").body == b"yes"


def test_an_error_in_close_does_not_spoil_the_response(client: Client) -> None:
    assert client.request("GET /closing_fails").body == b"whole"
    assert client.request("GET /hello").body == b"hello"


def test_a_client_that_goes_away_ends_its_response(site: WorkerSite) -> None:
    with site.client() as leaving:
        leaving.send("GET /endless?gone HTTP/1.1\r\nHost: a\r\n\r\n")
        leaving.until(b"x" * 1000)

    wait_for(lambda: site.ask("GET /was_closed?gone").body == b"yes", 10, "close() is called")


def test_an_application_that_closes_stderr_goes_on() -> None:
    with WorkerSite() as site, site.client() as client:
        assert client.request("GET /closes_stderr").status == 500
        assert client.request("GET /hello").body == b"hello"


# Bodies of requests

BODY = b"one\ntwo\nthree\nfour"
CHUNKS = b"4;name=value\r\none\n\r\n0A\r\ntwo\nthree\n\r\n4\r\nfour\r\n0\r\nX-Sum: 1\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_can_be_read_in_all_ways_and_never_past_its_end(client: Client, chunked: bool) -> None:
    headers = ["Transfer-Encoding: chunked"] if chunked else []
    expected = [b"one", b"\n", b"two\n", [b"three\n"], b"four", b"", b"", b""]

    reply = client.request("POST /read_in_ways", CHUNKS if chunked else BODY, *headers)

    assert reply.body == repr(expected).encode()
    assert client.request("GET /hello").body == b"hello"


def test_a_large_body_that_comes_in_pieces_is_read_lazily(client: Client) -> None:
    body = bytes(range(256)) * 4000
    client.send(f"POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n")
    for start in range(0, len(body), 100_000):
        client.send(body[start : start + 100_000])

    assert client.reply().body == hashlib.sha256(body).hexdigest().encode()


@pytest.mark.parametrize("path", ["/unread", "/partly", "/raises"])
@pytest.mark.parametrize("chunked", [False, True])
def test_what_is_not_read_is_read_before_the_next_request(client: Client, path: str, chunked: bool) -> None:
    body = b"GET /raises HTTP/1.1\r\n\r\n" * 20_000
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body

    reply = client.request(f"POST {path}", sent, *(["Transfer-Encoding: chunked"] if chunked else []))

    assert reply.body in (b"unread", body[:4], b"Internal Server Error\n")
    assert client.request("GET /hello").body == b"hello"


def test_a_stream_that_is_kept_does_not_read_the_next_request(client: Client) -> None:
    body = b"x" * 100_000
    assert client.request("POST /keeps_its_input", body).body == b"kept"

    assert client.request("POST /reads_the_kept", b"the next one's").body == b"b''"


@pytest.mark.parametrize(
    "chunks",
    [
        *(
            b"x\r\n",
            b"\r\n",
            b"-1\r\n",
            b"+3\r\nabc\r\n",
            b" 3\r\nabc\r\n",
            b"3 \r\nabc\r\n",
            b"0x3\r\nabc\r\n",
            b"3\nabc\n",
        ),
        *(b"3\r\nabcd\r\n", b"3\r\nabc\n", b"3\r\nabc\r\n0\r\nno colon\r\n\r\n", b"3;a=\x00\r\nabc\r\n", b"3\nabc\n"),
        *(b"3;a\rb\r\nabc\r\n", b"1" * 16 + b"\r\n", b"3;" + b"a" * 5000 + b"\r\n", b"0\r\n" + b"a: b\r\n" * 200),
    ],
)
def test_malformed_chunks_are_refused_and_the_connection_closed(client: Client, chunks: bytes) -> None:
    client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"\r\n" * 3)

    reply = client.reply()

    assert reply.status in (400, 431) and reply.headers["connection"] == "close"
    assert client.ended()


def test_100_continue_is_said_when_the_body_is_read(client: Client) -> None:
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"

    client.send("body")

    assert client.reply().body == b"body"
    assert client.request("GET /hello").body == b"hello"


def test_100_continue_is_not_said_when_nobody_reads(client: Client) -> None:
    client.send("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")

    reply = client.reply()

    assert (reply.status, reply.headers["connection"]) == (200, "close")
    assert client.ended()


def test_a_body_that_is_cut_off_is_an_error_of_the_application_alone(site: WorkerSite) -> None:
    with site.client() as leaving:
        leaving.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\nonly this")

    assert site.ask("GET /hello").body == b"hello"


# Files


@pytest.mark.parametrize("kind", ["plain", "raw", "gzip", "memory"])
@pytest.mark.parametrize(("size", "offset"), [(512, 0), (512, 100), (4 << 20, 0), (4 << 20, 1000), (0, 0)])
def test_a_file_arrives_whole_from_where_it_stands(client: Client, kind: str, size: int, offset: int) -> None:
    reply = client.request(f"GET /file?{size},{kind},{offset}")

    assert reply.body == (bytes(range(256)) * (size // 256))[offset:]
    assert ("content-length" in reply.headers) == (kind in ("plain", "raw") or size == 0)
    assert client.request("GET /hello").body == b"hello"


def test_a_file_of_which_a_part_is_promised_is_cut_and_one_too_short_is_an_error(client: Client) -> None:
    source = (APPS / "pep3333" / "app.py").read_bytes()

    assert client.request("GET /promised_file?-100").body == source[:-100]
    assert client.request("GET /promised_file?1").status == 500
    assert client.request("HEAD /promised_file?0").headers["content-length"] == str(len(source))
    assert client.request("GET /hello").body == b"hello"


# Connections and threads


def test_many_idle_connections_take_no_thread(site: WorkerSite) -> None:
    clients = [site.client() for _ in range(200)]
    for each in clients:
        assert each.request("GET /hello").body == b"hello"

    assert all(each.request("GET /hello").body == b"hello" for each in reversed(clients))

    for each in clients:
        each.sock.close()


def test_one_slow_request_holds_up_nobody() -> None:
    with WorkerSite() as site, site.client() as slow, site.client() as quick:
        slow.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
        slow.until(b"first,")

        assert quick.request("GET /hello").body == b"hello"
        assert slow.is_waiting()

        quick.request("GET /release")
        slow.until(b"second")


# Leaving


def test_told_to_leave_it_answers_every_connection_once_more_and_closes_none_unasked() -> None:
    with WorkerSite(threads=3) as site, site.client() as idle, site.client() as busy, site.client() as streaming:
        assert idle.request("GET /hello").status == 200
        busy.send("GET /wait?0.5 HTTP/1.1\r\nHost: a\r\n\r\n")
        streaming.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
        streaming.until(b"first,\r\n")

        site.terminate()
        reply = busy.reply()

        assert (reply.body, reply.headers["connection"]) == (b"waited", "close")
        assert busy.ended()
        assert idle.is_open() and site.process.poll() is None
        last = idle.request("GET /release")
        assert (last.body, last.headers["connection"]) == (b"hello", "close")
        assert streaming.until(b"0\r\n\r\n").startswith(b"6\r\nsecond")
        # Its head had been sent before: it has not been told, so it may ask once more.
        assert streaming.is_open()
        assert streaming.request("POST /echo", b"once more").headers["connection"] == "close"
        assert site.process.wait(within(10)) == 0


def test_told_to_leave_it_accepts_nothing_more_and_goes_with_the_last_connection() -> None:
    with WorkerSite() as site, site.client() as kept:
        assert kept.request("GET /hello").status == 200
        assert site.is_accepting()
        site.terminate()
        site.terminate()  # Told twice, it leaves all the same.
        wait_for(lambda: not site.is_accepting())
        with site.client() as queued:
            queued.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            assert kept.request("GET /wait?0.3").headers["connection"] == "close"
            assert site.process.wait(within(10)) == 0
            assert queued.is_open()

            site.start()

            assert queued.reply().body == b"hello"


def test_a_front_that_closes_its_connections_lets_it_go() -> None:
    with WorkerSite() as site:
        clients = [site.client() for _ in range(5)]
        for each in clients:
            each.request("GET /hello")
        site.terminate()
        assert site.process.poll() is None
        for each in clients:
            each.sock.close()

        assert site.process.wait(within(10)) == 0


# Trouble


def test_a_process_whose_threads_all_hang_ends_and_says_where() -> None:
    with WorkerSite(threads=2, timeout=1) as site, site.client() as one, site.client() as two, site.client() as three:
        one.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        assert three.request("GET /wait?2").body == b"waited"
        assert site.process.poll() is None

        two.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")

        assert site.process.wait(within(15)) == 75
        assert "all 2 threads were busy for more than 1 s" in site.printed()
        assert 'app.py", line' in site.printed() and "time.sleep(600)" in site.printed()


def test_streams_that_come_on_or_wait_for_the_client_do_not_hang() -> None:
    with WorkerSite(threads=1, timeout=1) as site, site.client() as slow:
        slow.send("GET /endless?slow HTTP/1.1\r\nHost: a\r\n\r\n")
        slow.until(b"x" * 1000)
        began = time.monotonic()

        wait_for(lambda: time.monotonic() - began > 3.5, 5)

        assert site.process.poll() is None
        assert slow.until(b"x" * 1000)


def test_one_that_closes_the_listening_socket_is_ended_so_that_another_takes_its_place() -> None:
    with WorkerSite() as site:
        assert site.ask("GET /closes_the_listener").body == b"hello"
        with site.client() as queued:
            queued.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            assert site.process.wait(within(15)) == 75
            assert "a thread of the worker ended" in site.printed()

            site.start()

            assert queued.reply().body == b"hello"


def test_requests_are_counted_for_the_supervisor() -> None:
    with WorkerSite(threads=2) as site, site.client() as one, site.client() as two:
        two.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: site.gauge.begun == 1, 10)
        for path in ("/hello", "/raises", "/nothing-there"):
            one.request(f"GET {path}")
        one.send("NONSENSE\r\n\r\n")
        one.rest()

        wait_for(lambda: (site.gauge.begun, site.gauge.ended) == (4, 3), 10)
        assert site.gauge.last_beat > 0


def test_a_long_answer_shows_that_it_goes_on() -> None:
    with WorkerSite(threads=1) as site, site.client() as client:
        client.send("GET /endless?slow HTTP/1.1\r\nHost: a\r\n\r\n")
        client.until(b"x" * 1000)
        before = site.gauge.movements

        wait_for(lambda: site.gauge.movements > before, 10)


def test_what_an_application_replaces_of_the_standard_library_is_not_what_the_worker_uses() -> None:
    with WorkerSite("patched", threads=3) as site:
        with site.client() as first, site.client() as second, site.client() as third:
            for waiting in (first, second):
                waiting.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            assert third.request("POST /", b"x" * 100_000).body == b"100000"
            third.request("GET /go")
            assert [waiting.reply().body for waiting in (first, second)] == [b"0", b"0"]
        with site.client() as client:
            until = time.monotonic() + 2.5  # So long that one thread serves alone.
            while time.monotonic() < until:
                assert client.request("GET /").body == b"0"
        site.terminate()

        assert site.process.wait(within(20)) == 0, site.printed()
        assert site.gauge.begun == site.gauge.ended
