"""What an application is told, what its response may say, and how bodies go both ways."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.front_site import DEADLINE, Site, asgi, binaries, files, read, wsgi
from tests.waiting import wait_for
from webapps.runtime.front_http import CLEARED
from webapps.runtime.spec import Files, ServeFiles

PAGES = {
    400: "This address is not understood",
    404: "There is no application at this address",
    413: "That is too large",
    502: "The application broke off",
    503: "The application is not running",
    504: "The application took too long",
}


@pytest.fixture(scope="module", params=binaries(), ids=lambda binary: binary.words)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("headers") / "site", request.param)
    (site.root / "x.css").write_text("p {}")
    for number in (1, 2, 3, 4):
        site.backend(number)
    site.portal()
    static = Files(ServeFiles.ALWAYS, str(site.root))
    try:
        site.serve(
            wsgi(1, "/wsgi", max_body=100_000, files=static),
            asgi(2, "/asgi", max_body=100_000),
            wsgi(3, "/failed", failed=True, files=static),
            wsgi(4, "/closed", open=False, files=static),
            wsgi(5, "/gone"),
            wsgi(6, "/slow", request_timeout=1),
            files(7, "/closed-files", site.root, open=False),
            files(8, "/secured", site.root, ServeFiles.SECURED, open=False),
            USER="/wsgi",
        )
        site.backend(6)
        yield site
    finally:
        site.stop()


def test_the_application_is_told_who_asks_and_how(site: Site) -> None:
    told = site.get("/wsgi/").told

    authority = f"127.0.0.1:{site.port}"
    assert told["host"] == told["x-forwarded-host"] == authority
    assert told["x-forwarded-for"] == told["x-real-ip"] == "127.0.0.1"
    assert (told["x-forwarded-proto"], told["x-forwarded-port"]) == ("http", str(site.port))
    assert "connection" not in told
    assert "upgrade" not in told


@pytest.mark.parametrize(
    ("host", "port"), [("a.example", "80"), ("a.example:81", "81"), ("[::1]", "80"), ("[::1]:82", "82")]
)
def test_the_host_keeps_its_port(site: Site, host: str, port: str) -> None:
    told = site.get("/wsgi/", host=host).told

    assert (told["host"], told["x-forwarded-port"]) == (host, port)


OVERWRITTEN = {
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Proto": "http",
    "X-Real-IP": "127.0.0.1",
}


@pytest.mark.parametrize("name", OVERWRITTEN)
@pytest.mark.parametrize("spelling", [str, str.lower, str.upper])
def test_nobody_else_is_believed(site: Site, name: str, spelling: Any) -> None:
    answer = site.get("/wsgi/", [(spelling(name), "forged"), (spelling(name), "again")])

    assert [value for key, value in answer.seen["headers"] if key.lower() == name.lower()] == [OVERWRITTEN[name]]


@pytest.mark.parametrize("name", CLEARED.split())
@pytest.mark.parametrize("spelling", [str, str.upper])
def test_a_header_that_only_a_front_may_send_is_dropped(site: Site, name: str, spelling: Any) -> None:
    assert "forged" not in site.get("/wsgi/", {spelling(name): "forged"}).text


@pytest.mark.parametrize("name", ["X_Forwarded_For", "X_FORWARDED_PROTO", "X.Real.IP", "X-Forwarded_Host"])
def test_no_other_spelling_gets_through(site: Site, name: str) -> None:
    assert "forged" not in site.get("/wsgi/", {name: "forged"}).text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "Basic eDp5"),
        ("Cookie", "a=b; c=d"),
        ("Accept", "text/x"),
        ("X-Custom", "kept"),
        ("If-None-Match", '"x"'),
        ("Range", "bytes=0-1"),
        ("Referer", "http://x/"),
        ("Origin", "http://x"),
        ("X-CSRFToken", "t"),
    ],
)
def test_what_a_client_says_arrives(site: Site, name: str, value: str) -> None:
    assert site.get("/wsgi/", {name: value}).told[name.lower()] == value


@pytest.mark.parametrize("path", ["/wsgi/", "/asgi/"])
@pytest.mark.parametrize("upgrade", ["h2c", "websocket, h2c", "x"])
def test_nothing_but_a_websocket_is_an_upgrade(site: Site, path: str, upgrade: str) -> None:
    told = site.get(path, {"Upgrade": upgrade, "HTTP2-Settings": "AAAA"}).told

    assert "upgrade" not in told


@pytest.mark.parametrize("path", ["/wsgi/", "/asgi/"])
@pytest.mark.parametrize(
    ("version", "connection"),
    [("1.0", "close, Upgrade"), ("1.1", "close"), ("1.1", "close, noupgrade"), ("1.1", "close, x-upgrade")],
)
def test_an_upgrade_is_one_of_http_1_1_that_the_connection_asks_for(
    site: Site, path: str, version: str, connection: str
) -> None:
    lines = [f"GET {path} HTTP/{version}", "Host: a", f"Connection: {connection}", "Upgrade: websocket", "", ""]
    told = site.raw("\r\n".join(lines).encode()).told

    assert "upgrade" not in told and "upgrade" not in told.get("connection", "")


@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, Upgrade", "upgrade,keep-alive", "a , upgrade , b"])
def test_the_connection_may_have_other_options(site: Site, connection: str) -> None:
    with site.connect() as sock:
        lines = ["GET /asgi/ws HTTP/1.1", "Host: a", f"Connection: {connection}", "Upgrade: websocket", "", ""]
        sock.sendall("\r\n".join(lines).encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")


HIDDEN = [
    *("X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Charset", "X-Accel-Buffering"),
    *(
        "Service-Worker-Allowed",
        "Clear-Site-Data",
        "Strict-Transport-Security",
        "Alt-Svc",
        "NEL",
        "Report-To",
    ),
]


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("path", ["/wsgi/", "/asgi/", "/wsgi/static/none"])
def test_a_hosted_response_cannot_steer_front_or_browser(site: Site, name: str, path: str) -> None:
    for value in ("/-/pages/503.html", "1", "0"):
        answer = site.get(path, how={"headers": [[name, value], [name.upper(), value]]})
        assert (answer.status, answer[name]) == (200, "")
        assert answer.seen["app"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Set-Cookie", "a=b; Path=/wsgi"),
        ("Location", "/elsewhere"),
        ("Content-Type", "text/html"),
        ("Cache-Control", "max-age=7"),
        ("Expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("ETag", '"x"'),
        ("Vary", "Cookie"),
        ("Access-Control-Allow-Origin", "*"),
        ("X-Frame-Options", "DENY"),
        ("Link", "</x>; rel=preload"),
    ],
)
def test_what_an_application_says_arrives_unchanged(site: Site, name: str, value: str) -> None:
    assert site.get("/wsgi/", how={"headers": [[name, value]]})[name] == value


@pytest.mark.parametrize(
    "status", ["400 Bad", "403 No", "404 Not", "413 Big", "418 Tea", "500 Oh", "502 B", "503 S", "504 T"]
)
@pytest.mark.parametrize("path", ["/wsgi/", "/asgi/", "/wsgi/static/none"])
def test_an_applications_own_error_page_is_its_own(site: Site, path: str, status: str) -> None:
    answer = site.get(path, how={"status": status})

    assert answer.status == int(status.split()[0])
    assert answer.seen["app"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/unknown", 404),
        ("/failed/x", 503),
        ("/failed", 503),
        ("/failed/static/none", 503),
        ("/gone/", 502),
        ("/%66ailed/", 400),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_stoa_answers_with_a_page_of_its_own(site: Site, path: str, status: int, method: str) -> None:
    answer = site.ask(method, path, body=b"x" * 200_000 if method == "POST" and status != 502 else b"")

    assert answer.status == status
    assert PAGES[status] in answer.text
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"
    assert answer["Retry-After"] == ("5" if status in (502, 503) else "")
    assert site.get("/-/static/front.css").status == 200


@pytest.mark.parametrize("path", ["/closed/", "/closed/x", "/closed/static/none", "/secured/", "/secured/x.css"])
def test_a_gate_that_does_not_answer_lets_nobody_in(site: Site, path: str) -> None:
    for method in ("GET", "POST", "HEAD", "OPTIONS"):
        answer = site.ask(method, path)

        assert answer.status == 503
        assert answer["Retry-After"] == "5"
        assert method == "HEAD" or "The door does not answer" in answer.text


@pytest.mark.parametrize("path", ["/closed/static/x.css", "/closed-files/x.css"])
def test_files_that_ignore_the_security_are_served_without_a_gate(site: Site, path: str) -> None:
    assert site.get(path).text == "p {}"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("application/problem+json, */*", "application/json"),
        ("text/html,application/json;q=0.9", "text/html"),
        ("*/*", "text/html"),
    ],
)
def test_a_program_gets_json(site: Site, accept: str, kind: str) -> None:
    answer = site.get("/failed/", {"Accept": accept})

    assert (answer.status, answer["Content-Type"].split(";")[0]) == (503, kind)


def test_head_of_a_page_has_no_body(site: Site) -> None:
    answer = site.ask("HEAD", "/failed/")

    assert (answer.status, answer.body) == (503, b"")


def test_files_of_a_failed_application_are_served(site: Site) -> None:
    assert site.get("/failed/static/x.css").text == "p {}"


def test_an_application_that_takes_too_long_gets_the_page(site: Site) -> None:
    answer = site.get("/slow/", how={"hang": True})

    assert answer.status == 504
    assert PAGES[504] in answer.text


@pytest.mark.parametrize("path", ["/wsgi/", "/asgi/", "/wsgi/static/x", "/wsgi"])
def test_a_body_beyond_the_applications_limit_is_refused(site: Site, path: str) -> None:
    assert site.ask("POST", path, body=b"x" * 100_000).seen["length"] == 100_000

    answer = site.ask("POST", path, body=b"x" * 100_001)

    assert answer.status == 413
    assert PAGES[413] in answer.text


def test_a_wsgi_body_arrives_whole_and_with_its_length(site: Site) -> None:
    answer = site.raw(
        b"POST /wsgi/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n"
    )

    assert (answer.told["content-length"], answer.seen["length"]) == ("8", 8)
    assert "transfer-encoding" not in answer.told


def test_an_asgi_body_arrives_as_it_comes(site: Site) -> None:
    backend = site.backends[2]
    backend.begun.clear()
    with site.connect() as sock, sock.makefile("rb") as file:
        sock.sendall(b"POST /asgi/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        sock.sendall(b"5\r\nhello\r\n")
        assert backend.begun.wait(DEADLINE)

        sock.sendall(b"3\r\nyou\r\n0\r\n\r\n")

        answer = read(file.read())
    assert (answer.told["transfer-encoding"], answer.seen["length"]) == ("chunked", 8)


def test_a_wsgi_application_never_waits_for_a_slow_client(site: Site) -> None:
    backend = site.backends[1]
    backend.begun.clear()
    with site.connect() as sock, sock.makefile("rb") as file:
        sock.sendall(b"POST /wsgi/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 50000\r\n\r\n")
        sock.sendall(b"x" * 49_999)
        assert site.get("/asgi/").status == 200
        assert not backend.begun.is_set()

        sock.sendall(b"x")

        assert read(file.read()).seen["length"] == 50_000


@pytest.mark.parametrize(("path", "number"), [("/wsgi/", 1), ("/asgi/", 2), ("/wsgi/static/none", 1)])
def test_a_response_of_unknown_length_is_passed_on_as_it_comes(site: Site, path: str, number: int) -> None:
    """The instance marks such a response by X-Accel-Buffering: no."""
    with site.connect() as sock, sock.makefile("rb") as file:
        how = '{"pieces": ["one", "two"], "headers": [["X-Accel-Buffering", "no"]]}'
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Test: {how}\r\n\r\n".encode())
        while (line := file.readline()) != b"\r\n":
            assert not line.lower().startswith(b"x-accel")

        assert (file.readline(), file.readline()) == (b"3\r\n", b"one\r\n")
        site.backends[number].released.set()
        assert (file.readline(), file.readline(), file.readline()) == (b"3\r\n", b"two\r\n", b"0\r\n")


@pytest.mark.parametrize("path", ["/asgi/ws", "/wsgi/ws"])
def test_a_websocket_goes_through(site: Site, path: str) -> None:
    with site.connect() as sock:
        sock.sendall(
            f"GET {path}?%2F HTTP/1.1\r\nHost: a\r\n"
            "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        assert head.startswith(b"HTTP/1.1 101 ")

        sock.sendall(b"\x81\x02hi")
        assert sock.recv(4, socket.MSG_WAITALL) == b"\x81\x02hi"


def test_expect_100_continue_is_answered(site: Site) -> None:
    answer = site.ask("POST", "/wsgi/", {"Expect": "100-continue"}, b"x" * 10)

    assert answer.seen["length"] == 10


def test_a_namespace_leads_to_its_default_application(site: Site) -> None:
    answer = site.get("/-/ns/USER/?a=b")

    assert (answer.status, answer["Location"]) == (302, "/wsgi/?a=b")


def test_each_request_has_its_line_in_the_access_log(site: Site) -> None:
    site.get("/wsgi/logged%0A?secret=x", host="a")
    site.get("/failed/logged")
    site.get("/unknown-logged")

    found: dict[str, list[str]] = {}

    def all_there() -> bool:
        lines = site.access_log.read_text().splitlines() if site.access_log.exists() else []
        found.update({line.split()[4]: line.split() for line in lines if len(line.split()) > 4 and "logged" in line})
        return len(found) >= 3

    wait_for(all_there, 10, lambda: str(found))
    assert found["/wsgi/logged%0A"][1:6] == ["/wsgi", "127.0.0.1", "GET", "/wsgi/logged%0A", "200"]
    assert found["/failed/logged"][1:6] == ["/failed", "127.0.0.1", "GET", "/failed/logged", "503"]
    assert found["/unknown-logged"][1:6] == ["-", "127.0.0.1", "GET", "/unknown-logged", "404"]
    assert all(len(line) == 9 and line[8] == "-" for line in found.values())


# The portal's origin


def test_the_portal_is_passed_on_and_strips_nothing(site: Site) -> None:
    answer = site.get(
        "/portal/a%2Fb?x",
        portal=True,
        how={"headers": [["Clear-Site-Data", '"*"'], ["Strict-Transport-Security", "max-age=1"]]},
    )

    assert (answer.seen["app"], answer.seen["line"]) == ("portal", "GET /portal/a%2Fb?x HTTP/1.1")
    assert answer.told["x-forwarded-for"] == "127.0.0.1"
    assert answer.told["x-forwarded-port"] == str(site.portal_port)
    assert (answer["Clear-Site-Data"], answer["Strict-Transport-Security"]) == ('"*"', "max-age=1")


@pytest.mark.parametrize("path", ["/%70ortal/", "//portal/", "/x/../portal/", "/portal%2Flogin"])
def test_the_portal_has_one_spelling(site: Site, path: str) -> None:
    assert site.get(path, portal=True).status == 400


@pytest.mark.parametrize(("path", "place"), [("/", "/portal/"), ("/portal", "/portal/"), ("/portal?x", "/portal/?x")])
def test_the_portals_origin_leads_to_the_portal(site: Site, path: str, place: str) -> None:
    answer = site.get(path, portal=True)

    assert (answer.status, answer["Location"]) == (302, place)


@pytest.mark.parametrize("path", ["/wsgi/", "/wsgi/x%2Fy?z", "/closed/", "/favicon.ico", "//evil.example/x"])
def test_a_hosted_name_on_the_portals_origin_leads_to_the_applications(site: Site, path: str) -> None:
    answer = site.get(path, portal=True)

    assert (answer.status, answer["Location"]) == (302, f"http://127.0.0.1:{site.port}{path}")


@pytest.mark.parametrize(
    ("path", "place"), [("/-/portal", "/portal/"), ("/portal", "/portal/"), ("/portal/x?y", "/portal/x?y")]
)
def test_the_applications_origin_leads_to_the_portal(site: Site, path: str, place: str) -> None:
    answer = site.get(path)

    assert (answer.status, answer["Location"]) == (302, f"http://127.0.0.1:{site.portal_port}{place}")


def test_the_first_page_says_what_this_is(site: Site) -> None:
    answer = site.get("/")

    assert answer.status == 404
    assert "Web applications are served here" in answer.text
    assert 'href="/-/portal"' in answer.text


def test_a_body_beyond_20_mb_is_too_much_for_the_portal(site: Site) -> None:
    with site.connect(portal=True) as sock:
        sock.sendall(b"POST /portal/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 20971521\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_portal_that_does_not_answer_is_said(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", binaries()[0])
    try:
        site.serve()
        answer = site.get("/portal/", portal=True)
        assert (answer.status, answer["Retry-After"]) == (502, "5")
        assert "The portal is not answering" in answer.text
        assert site.get("/-/static/front.css", portal=True)["Content-Type"] == "text/css; charset=utf-8"
    finally:
        site.stop()


# Trusted proxies and public origins


@pytest.fixture(params=binaries(), ids=lambda binary: binary.words)
def behind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    site = Site(
        tmp_path / "site",
        request.param,
        trusted_proxies=("127.0.0.1", "10.0.0.0/8"),
        apps_url="https://apps.example",
        portal_url="https://portal.example:8443",
    )
    site.backend(1)
    try:
        site.serve(wsgi(1, "/a"))
        yield site
    finally:
        site.stop()


def test_a_trusted_proxy_is_believed(behind: Site) -> None:
    told = behind.get(
        "/a/",
        {"X-Forwarded-For": "6.6.6.6, 192.0.2.7, 10.1.1.1", "X-Forwarded-Proto": "https"},
        host="apps.example",
    ).told

    assert told["x-forwarded-for"] == told["x-real-ip"] == "192.0.2.7"
    assert (told["x-forwarded-proto"], told["x-forwarded-port"], told["host"]) == (
        "https",
        "443",
        "apps.example",
    )


@pytest.mark.parametrize("scheme", ["javascript", "https,http", "", "HTTPS"])
def test_a_trusted_proxys_scheme_is_one_of_two(behind: Site, scheme: str) -> None:
    assert behind.get("/a/", {"X-Forwarded-Proto": scheme}).told["x-forwarded-proto"] in ("http", "https")


def test_public_origins_are_used_in_redirects(behind: Site) -> None:
    assert behind.get("/-/portal")["Location"] == "https://portal.example:8443/portal/"
    assert behind.get("/a/?x", portal=True)["Location"] == "https://apps.example/a/?x"
