"""What nginx matched and what the application is told is one path (design.md, rule 7)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runtime.front_site import Site, asgi, binaries, files, wsgi
from webapps.runtime.spec import Files, ServeFiles


@pytest.fixture(scope="module", params=binaries(), ids=lambda binary: binary.words)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("paths")
    static = root / "static"
    static.mkdir()
    (static / "a b.txt").write_text("a file")
    (static / "x.css").write_text("p {}")
    site = Site(root / "site", request.param)
    for number in range(1, 10):
        site.backend(number)
    try:
        site.serve(
            wsgi(1, "/app", files=Files(ServeFiles.ALWAYS, str(static))),
            wsgi(2, "/app/sub"),
            asgi(3, "/live"),
            wsgi(4, "/dot.ted"),
            wsgi(5, "/app", host="one.example"),
            wsgi(6, "/app/sub/deep", host="two.example"),
            wsgi(7, "/Case"),
            wsgi(8, "/tilde~-_.x"),
            files(10, "/files", static),
        )
        yield site
    finally:
        site.stop()


# path as sent -> (application, path that it is told), or a status of Stoa's own.
TABLE: dict[str, tuple[str, str] | int] = {
    "/app/": ("1", "/app/"),
    "/app/x": ("1", "/app/x"),
    "/app/x?y=%2F&z": ("1", "/app/x?y=%2F&z"),
    "/app/?": ("1", "/app/?"),
    "/app/sub/": ("2", "/app/sub/"),
    "/app/sub/x": ("2", "/app/sub/x"),
    "/app/subway": ("1", "/app/subway"),
    "/live/x": ("3", "/live/x"),
    "/dot.ted/": ("4", "/dot.ted/"),
    "/tilde~-_.x/": ("8", "/tilde~-_.x/"),
    # Whole segments, and as they are written.
    "/apple": 404,
    "/apple/": 404,
    "/ap": 404,
    "/APP/": 404,
    "/case/": 404,
    "/Case/": ("7", "/Case/"),
    "/dotxted/": 404,
    "/app./": 404,
    "/app.": 404,
    "/": 404,
    "/unknown": 404,
    # Below the name everything arrives as it was sent.
    "/app/a%2Fb": ("1", "/app/a%2Fb"),
    "/app/a%2fb": ("1", "/app/a%2fb"),
    "/app//double//": ("1", "/app//double//"),
    "/app/%C3%A9%41%7e": ("1", "/app/%C3%A9%41%7e"),
    "/app/a%25b": ("1", "/app/a%25b"),
    "/app/a%3Fb": ("1", "/app/a%3Fb"),
    "/app/a;b=c": ("1", "/app/a;b=c"),
    "/app/./x": ("1", "/app/./x"),
    "/app/x/../y": ("1", "/app/x/../y"),
    "/app/sub/../../app/sub/x": ("2", "/app/sub/../../app/sub/x"),
    "/app/sub/../x": ("1", "/app/sub/../x"),
    "/app/x/%2e%2e/y": ("1", "/app/x/%2e%2e/y"),
    "/app/trailing.": ("1", "/app/trailing."),
    "/app/%0d%0aX:y": ("1", "/app/%0d%0aX:y"),
    "/app/a\\b": ("1", "/app/a\\b"),
    "/app/%5c..%5c": ("1", "/app/%5c..%5c"),
    '/app/"$uri{}': ("1", '/app/"$uri{}'),
    # The name as it matched only after decoding or tidying up.
    "/%61pp/": 400,
    "/%61pp/x": 400,
    "/app%2Fx": 400,
    "/app%2f": 400,
    "//app/": 400,
    "/./app/": 400,
    "/x/../app/": 400,
    "/app/x/../sub/y": 400,
    "/app/%73ub/": 400,
    "/app//sub/": 400,
    "/app/sub%2Fx": 400,
    "/live/../app/": 400,
    "/live/%2e%2e/app/": 400,
    "/app/..%2flive/": 400,
    "/unknown/../app/": 400,
    # Out of everything.
    "/..": 400,
    "/../app/": 400,
    "/app/../..": 400,
    "/%2e%2e/app/": 400,
    "/app/%00": 400,
    "/%00": 400,
    "/app/%": 400,
    "/app/%zz": 400,
    "/app#/x": 400,
    # Stoa's own.
    "/-/": 404,
    "/-/pages/404.html": 404,
    "/-/static/": 404,
    "/-/static/../pages/503.html": 404,
    "/-/ns/NONE/": 404,
}


@pytest.mark.parametrize("path", TABLE)
def test_a_request_path(site: Site, path: str) -> None:
    wanted = TABLE[path]

    answer = site.get(path)

    if isinstance(wanted, int):
        assert answer.status == wanted, answer
        assert not answer["Location"]
    else:
        assert answer.status == 200, answer
        assert (answer.seen["app"], answer.seen["line"]) == (wanted[0], f"GET {wanted[1]} HTTP/1.1")


@pytest.mark.parametrize("path", ["/app", "/app/sub", "/live", "/tilde~-_.x", "/files"])
@pytest.mark.parametrize("query", ["", "?a=b&c=%2F", "?"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_look_at_a_name_is_sent_to_the_name_with_a_slash(site: Site, path: str, query: str, method: str) -> None:
    answer = site.ask(method, path + query)

    assert (answer.status, answer["Location"]) == (308, path + "/" + query.rstrip("?"))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_any_other_method_reaches_the_application_at_its_name(site: Site, method: str) -> None:
    answer = site.ask(method, "/app?x")

    assert answer.seen["line"] == f"{method} /app?x HTTP/1.1"


@pytest.mark.parametrize("path", ["/%61pp", "/x/../app", "//app"])
def test_a_name_that_only_decoding_makes_is_not_redirected(site: Site, path: str) -> None:
    assert site.get(path).status == 400


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/app/static/none%2Fa//b", "/app/static/none%2Fa//b"),
        ("/app/static/%2e/none?x=%2F", "/app/static/%2e/none?x=%2F"),
        ("/app/%73tatic/none", "/app/%73tatic/none"),
        ("/app/static/", "/app/static/"),
        ("/app/static", "/app/static"),
        ("/app/static/..%2fx", "/app/static/..%2fx"),
    ],
)
def test_a_file_that_is_not_there_is_asked_for_as_it_was_sent(site: Site, path: str, seen: str) -> None:
    assert site.get(path).seen["line"] == f"GET {seen} HTTP/1.1"


def test_a_file_is_found_by_any_spelling_below_the_name(site: Site) -> None:
    for path in (
        "/app/static/a%20b.txt",
        "/app/%73tatic/a%20b.txt",
        "/app//static//a%20b.txt",
        "/files/a%20b.txt",
    ):
        assert site.get(path).text == "a file", path
    for path in ("/%61pp/static/a%20b.txt", "//files/a%20b.txt", "/x/../files/a%20b.txt"):
        assert site.get(path).status == 400, path


@pytest.mark.parametrize(
    ("line", "host", "app"),
    [
        # The host that chose the server is the host that the application is told.
        ("http://one.example/app/x", "two.example", "5"),
        ("HTTP://ONE.example/app/x", "two.example", "5"),
        ("http://two.example:81/app/x", "one.example", "1"),
    ],
)
def test_an_absolute_request_line_decides_the_host(site: Site, line: str, host: str, app: str) -> None:
    answer = site.get(line, host=host)

    assert (answer.seen["app"], answer.seen["line"]) == (app, "GET /app/x HTTP/1.1")
    assert answer.told["host"] == line.split("/")[2]


def test_an_absolute_line_cannot_smuggle_a_path(site: Site) -> None:
    assert site.get("http://x/%61pp/").status == 400
    assert site.get("http://x/../app/").status == 400
    assert site.get("http://x").status == 404


@pytest.mark.parametrize(
    ("host", "path", "app"),
    [
        ("one.example", "/app/", "5"),
        ("ONE.Example:8000", "/app/", "5"),
        ("one.example.", "/app/", "5"),
        # Below one of the host's own names nothing of any host's shows through.
        ("one.example", "/app/sub/", "5"),
        ("one.example", "/live/", "3"),
        ("two.example", "/app/", "1"),
        ("two.example", "/app/sub/", "2"),
        ("two.example", "/app/sub/deep/", "6"),
        ("three.example", "/app/sub/deep/", "2"),
        ("sub.one.example", "/app/", "1"),
    ],
)
def test_host_before_path(site: Site, host: str, path: str, app: str) -> None:
    answer = site.get(path, host=host)

    assert answer.seen["app"] == app
    assert answer.told["host"] == host


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /app/ HTTP/1.1\r\n\r\n",
        b"GET /app/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /app/ HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET /app/ x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /app/\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET app/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"get /app/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /app/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"GET /app/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"GET /app/ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_a_request_that_is_none_gets_400(site: Site, request_: bytes) -> None:
    answer = site.raw(request_)

    assert answer.status == 400
    assert "This address is not understood" in answer.text


def test_http_1_0_without_a_host_is_served(site: Site) -> None:
    answer = site.raw(b"GET /app/ HTTP/1.0\r\n\r\n")

    assert answer.told["host"] == f"127.0.0.1:{site.port}"


@pytest.mark.parametrize(
    "request_", [b"TRACE /app/ HTTP/1.1\r\nHost: a\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"]
)
def test_methods_for_proxies_are_refused(site: Site, request_: bytes) -> None:
    assert site.raw(request_).status in (400, 405)


def test_a_line_that_is_too_long_is_refused(site: Site) -> None:
    assert site.get("/app/" + "x" * 20000).status == 414
    assert site.get("/app/", {"Cookie": "x" * 20000}).status == 431
