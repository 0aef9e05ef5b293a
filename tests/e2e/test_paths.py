"""Hostile paths and headers through the real front, as raw bytes, so that no client makes them harmless."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.serving import Stoa

ECHO = """
import json

def application(environ, start_response):
    read = environ["wsgi.input"].read()
    shown = {key: value for key, value in environ.items() if isinstance(value, str)}
    body = json.dumps({"word": "WORD", "environ": shown, "read": len(read)}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""

ANSWERS = """
HEADERS = [
    ("Content-Type", "text/plain"),
    ("X-Accel-Redirect", "/-/static/404.html"),
    ("X-Accel-Expires", "100"),
    ("X-Accel-Limit-Rate", "1"),
    ("X-Accel-Charset", "koi8-r"),
    ("X-Accel-Buffering", "yes"),
    ("Service-Worker-Allowed", "/"),
    ("Clear-Site-Data", '"*"'),
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    ("Alt-Svc", 'h3="elsewhere.example:443"'),
    ("NEL", "{}"),
    ("Report-To", "{}"),
    ("Set-Cookie", "stoa_session=stolen; Path=/"),
    ("Set-Cookie", " STOA_login=; Max-Age=0; Path=/"),
    ("Set-Cookie", "__Host-stoa_session=stolen; Path=/; Secure"),
    ("Set-Cookie", "own=1; Path=/"),
    ("Location", "http://a1/elsewhere"),
    ("X-Own", "kept"),
]

def application(environ, start_response):
    start_response("200 OK", HEADERS)
    return [b"the application's own answer"]
"""


@dataclass(frozen=True)
class Raw:
    """An answer as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def word(self) -> str:
        return str(self.told.get("word", ""))

    @property
    def path(self) -> str:
        environ = self.told["environ"]
        return f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}"

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


def send(port: int, request: bytes) -> Raw:
    """Send bytes, read until the front closes, and take the answer apart."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sender = threading.Thread(target=_send_all, args=(sock, request), daemon=True)
        sender.start()
        answer = b""
        try:
            while part := sock.recv(65536):
                answer += part
        except ConnectionResetError:
            pass  # The front answered before it had read all, and said so.
        sender.join(20)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
    told = json.loads(body) if ("Content-Type", "application/json") in headers else {}
    return Raw(int(lines[0].split()[1]), headers, body, told)


def _send_all(sock: socket.socket, request: bytes) -> None:
    try:
        sock.sendall(request)
    except OSError:
        pass  # Refused before the end.


def get(port: int, target: bytes, *headers: str, host: str = "stoa.test") -> Raw:
    lines = [b"GET " + target + b" HTTP/1.1", f"Host: {host}".encode(), b"Connection: close"]
    return send(port, b"\r\n".join([*lines, *(line.encode() for line in headers), b"", b""]))


@pytest.fixture(scope="module")
def port(stoa: Stoa) -> Iterator[int]:
    """Two applications, one below the other, one beside them, and files below the first."""
    names = {"/p/one": "one", "/p/one/two": "two", "/p/three": "three"}
    for name, word in names.items():
        stoa.create(name, stoa.write("paths/" + word, {"app.py": ECHO.replace("WORD", word)}))
    stoa.write("paths/one", {"static/style.css": "one"})
    files = stoa.write("paths/files", {"index.html": "files", "page.html": "page"})
    stoa.create("/p/one/files", files, DispatchClass="", Path=files, ServeFiles=1, WSGIAppName="")
    stoa.create("/p/answers", stoa.write("paths/answers", {"app.py": ANSWERS}))
    for name, word in names.items():
        stoa.eventually(f"{name}/", text=f'"word": "{word}"')
    stoa.eventually("/p/one/files/page.html", text="page")
    stoa.eventually("/p/answers/")
    yield stoa.port
    for name in (*names, "/p/one/files", "/p/answers"):
        stoa.merge(f"DeleteApplication:Name={name}")


REFUSED = (400, 404)

# The target as it is sent, and what is right: who answers with SCRIPT_NAME|PATH_INFO, or a refusal.
PATHS: list[tuple[bytes, str | tuple[int, ...]]] = [
    (b"/p/one/", "one /p/one|/"),
    (b"/p/one/x", "one /p/one|/x"),
    (b"/p/one/two/", "two /p/one/two|/"),
    (b"/p/one/two/x", "two /p/one/two|/x"),
    (b"/p/one/twofold", "one /p/one|/twofold"),
    (b"/p/one/tw", "one /p/one|/tw"),
    (b"/p/three/x?/p/one/", "three /p/three|/x"),
    # Below the name, everything is the application's, as it was sent.
    (b"/p/one/a%2Fb", "one /p/one|/a/b"),
    (b"/p/one//a///b", "one /p/one|//a///b"),
    (b"/p/one/a/./b/../c", "one /p/one|/a/./b/../c"),
    (b"/p/one/%2e%2e%2fone/x", "one /p/one|/../one/x"),
    (b"/p/one/a%20b%25", "one /p/one|/a b%"),
    (b"/p/one/;a=b/c;d", "one /p/one|/;a=b/c;d"),
    (b"/p/one/a\\b", "one /p/one|/a\\b"),
    (b"/p/one/\\..\\two/", "one /p/one|/\\..\\two/"),
    (b"/p/one/..%5Ctwo/", "one /p/one|/..\\two/"),
    (b"/p/one/%0d%0aX-Evil:%201", "one /p/one|/\r\nX-Evil: 1"),
    (b"/p/one/caf\xc3\xa9", REFUSED),  # RFC 3986: to be encoded, as every client does.
    (b"/p/one/caf%C3%A9", "one /p/one|/caf\xc3\xa9"),
    (b"/p/one/%FF", "one /p/one|/\xff"),
    (b"/p/one/TWO/", "one /p/one|/TWO/"),
    (b"/p/one/two./", "one /p/one|/two./"),
    (b"/p/one/two;x/", "one /p/one|/two;x/"),
    (b"/p/one/" + b"a" * 20_000, "one /p/one|/" + "a" * 20_000),
    # The name itself has one spelling.
    (b"/p/%6fne/", REFUSED),
    (b"/%70/one/x", REFUSED),
    (b"/p%2Fone/x", REFUSED),
    (b"/p%2fone%2fx", REFUSED),
    (b"/p/one%2Fx", REFUSED),
    (b"/p/one%3Fx", REFUSED),
    (b"//p/one/x", REFUSED),
    (b"/p//one/x", REFUSED),
    (b"///p///one///x", REFUSED),
    (b"/./p/one/x", REFUSED),
    (b"/p/./one/x", REFUSED),
    (b"/%2e/p/one/x", REFUSED),
    (b"/x/../p/one/x", REFUSED),
    (b"/p/x/%2e%2e/one/x", REFUSED),
    (b"/p/three/../one/x", REFUSED),
    (b"/p/three/%2e%2e/one/x", REFUSED),
    (b"/p/three/..%2fone/x", REFUSED),
    (b"/P/ONE/x", REFUSED),
    (b"/p/One/x", REFUSED),
    (b"/p/one./x", REFUSED),
    (b"/p/one.", REFUSED),
    (b"/p/one;x/", REFUSED),
    (b"/p;x/one/", REFUSED),
    (b"/p\\one\\x", REFUSED),
    (b"\\p\\one\\x", REFUSED),
    (b"/p/one\\x", REFUSED),
    (b"/p/one%00/x", REFUSED),
    (b"/p/one/%00", REFUSED),
    (b"/p/one%20/x", REFUSED),
    (b"/p/one#/../three/", REFUSED),
    (b"/p/one\x01/x", REFUSED),
    (b"/p/one/\x01", REFUSED),
    (b"/p/one/\x7f", REFUSED),
    (b"/p/one/%zz", REFUSED),
    (b"/p/one/%", REFUSED),
    (b"/../../../etc/passwd", REFUSED),
    (b"/p/one/../../../etc/passwd", REFUSED),
    (b"p/one/x", REFUSED),
    (b"*", REFUSED),
    # One application below another: both spellings lead to the same one, or to none.
    (b"/p/one/%74wo/x", REFUSED),
    (b"/p/one//two/x", REFUSED),
    (b"/p/one/./two/x", REFUSED),
    (b"/p/one/x/../two/x", REFUSED),
    (b"/p/one/two%2Fx", REFUSED),
    (b"/p/one%2Ftwo/x", REFUSED),
    (b"/p/one/two/../x", "one /p/one|/two/../x"),
    (b"/p/one/two/%2e%2e/x", "one /p/one|/two/../x"),
    (b"/p/one/two/../two/x", "two /p/one/two|/../two/x"),
    # Files below an application.
    (b"/p/one//files/page.html", REFUSED),
    (b"/p/one/%66iles/page.html", REFUSED),
    (b"/p/one/files%2Fpage.html", REFUSED),
    (b"/p/one/x/../files/page.html", REFUSED),
    (b"/p/one/files/../x", "one /p/one|/files/../x"),
    (b"/p/one/files/../../../etc/passwd", REFUSED),
    (b"/p/one/files/..%2f..%2f..%2f..%2fetc/passwd", REFUSED),
    # Absolute form (RFC 9112, 3.2.2).
    (b"http://stoa.test/p/one/x", "one /p/one|/x"),
    (b"http://stoa.test:80/p/one/x", "one /p/one|/x"),
    (b"http://evil.test/p/one/x", REFUSED),
    (b"http://stoa.test//p/one/x", REFUSED),
    (b"http://stoa.test/p/three/../one/x", REFUSED),
    (b"http:///p/one/x", REFUSED),
]


@pytest.mark.parametrize(("target", "right"), PATHS, ids=lambda value: repr(value)[:60])
def test_a_path_leads_to_the_right_application_or_to_none(
    port: int, target: bytes, right: str | tuple[int, ...]
) -> None:
    answer = get(port, target)

    if isinstance(right, str):
        assert answer.status == 200
        assert f"{answer.word} {answer.path}" == right
    else:
        assert answer.status in right
        assert answer.word == ""
        assert b"<h1>" in answer.body or answer.status == 400


def test_a_path_that_is_too_long_gets_a_page(port: int) -> None:
    answer = get(port, b"/p/one/" + b"a" * 100_000)

    assert answer.status == 414
    assert b"too long" in answer.body


def test_headers_that_are_too_long_get_a_page(port: int) -> None:
    answer = get(port, b"/p/one/", f"Cookie: {'a' * 100_000}")

    assert answer.status == 431
    assert b"too many headers" in answer.body


@pytest.mark.parametrize("version", [b" HTTP/1.0", b""])
def test_an_old_request_without_a_host_is_answered(port: int, version: bytes) -> None:
    ending = b"\r\n\r\n" if version else b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(b"GET /p/one/x" + version + ending)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))

    told = json.loads(answer.rpartition(b"\r\n\r\n")[2])
    assert told["environ"]["PATH_INFO"] == "/x"
    assert told["environ"]["HTTP_HOST"] == f"127.0.0.1:{port}"
    assert told["environ"]["SERVER_PORT"] == str(port)


def test_the_name_alone_is_only_redirected_to_itself(port: int) -> None:
    for query in (b"", b"?a=%2F%0d%0aX-Evil:1", b"?//evil.test"):
        answer = get(port, b"/p/one" + query)

        assert answer.status == 307
        assert answer.header("location") == [("/p/one/" + query.decode())]
        assert answer.header("x-evil") == []


# What a client says, and the variable that must not show it.
LIES = [
    ("X-Forwarded-For: 6.6.6.6", "HTTP_X_FORWARDED_FOR", "127.0.0.1"),
    ("x-forwarded-for: 6.6.6.6", "REMOTE_ADDR", "127.0.0.1"),
    ("X-Real-IP: 6.6.6.6", "HTTP_X_REAL_IP", "127.0.0.1"),
    ("X-Forwarded-Proto: https", "wsgi.url_scheme", "http"),
    ("X-FORWARDED-PROTO: https", "HTTP_X_FORWARDED_PROTO", "http"),
    ("X-Forwarded-Ssl: on", "wsgi.url_scheme", "http"),
    ("X-Forwarded-Protocol: ssl", "wsgi.url_scheme", "http"),
    ("X-Forwarded-Host: evil.test", "HTTP_X_FORWARDED_HOST", "stoa.test:8123"),
    ("X-Forwarded-Port: 1", "HTTP_X_FORWARDED_PORT", "8123"),
    ("X-Forwarded-Port: 1", "SERVER_PORT", "8123"),
    ("X-Forwarded-Prefix: /evil", "HTTP_X_FORWARDED_PREFIX", None),
    ("X-Forwarded-Prefix: /evil", "SCRIPT_NAME", "/p/one"),
    ("X-Forwarded-Server: evil", "HTTP_X_FORWARDED_SERVER", None),
    ("X-Forwarded-Scheme: https", "HTTP_X_FORWARDED_SCHEME", None),
    ("X-Forwarded-User: root", "HTTP_X_FORWARDED_USER", None),
    ("X-Forwarded-Uri: /evil", "HTTP_X_FORWARDED_URI", None),
    ("X-Scheme: https", "HTTP_X_SCHEME", None),
    ("Front-End-Https: on", "HTTP_FRONT_END_HTTPS", None),
    ("Forwarded: for=6.6.6.6;proto=https", "HTTP_FORWARDED", None),
    ("Remote-User: root", "HTTP_REMOTE_USER", None),
    ("REMOTE-USER: root", "HTTP_REMOTE_USER", None),
    ("Remote_User: root", "HTTP_REMOTE_USER", None),
    ("X_Forwarded_Proto: https", "wsgi.url_scheme", "http"),
    ("X_Forwarded-Proto: https", "HTTP_X_FORWARDED_PROTO", "http"),
    ("Remote-User: root", "REMOTE_USER", None),
    ("X-Remote-User: root", "HTTP_X_REMOTE_USER", None),
    ("Remote-Groups: admin", "HTTP_REMOTE_GROUPS", None),
    ("Proxy: http://evil.test", "HTTP_PROXY", None),
    ("X-Accel-Redirect: /x", "HTTP_X_ACCEL_REDIRECT", None),
    ("X-Accel-Mapping: /=/", "HTTP_X_ACCEL_MAPPING", None),
    ("X-Sendfile-Type: X-Accel-Redirect", "HTTP_X_SENDFILE_TYPE", None),
    ("X-Original-URL: /admin", "HTTP_X_ORIGINAL_URL", None),
    ("X-Rewrite-URL: /admin", "HTTP_X_REWRITE_URL", None),
    ("SCRIPT_NAME: /evil", "SCRIPT_NAME", "/p/one"),
    ("SCRIPT_NAME: /evil", "HTTP_SCRIPT_NAME", None),
    ("Script-Name: /evil", "HTTP_SCRIPT_NAME", None),
    ("PATH_INFO: /evil", "PATH_INFO", "/x"),
    ("Upgrade: h2c", "HTTP_UPGRADE", None),
    ("X-Own: kept", "HTTP_X_OWN", "kept"),
]


@pytest.mark.parametrize(("line", "variable", "right"), LIES, ids=lambda value: str(value)[:40])
def test_what_the_front_says_is_believed_and_nobody_else(
    port: int, line: str, variable: str, right: str | None
) -> None:
    answer = get(port, b"/p/one/x", line, line, host="stoa.test:8123")

    assert answer.status == 200
    told = answer.told["environ"].get(variable)
    assert told == right or (variable == "HTTP_X_OWN" and told == "kept,kept")
    assert "evil" not in json.dumps({key: answer.told["environ"][key] for key in ("SCRIPT_NAME", "PATH_INFO")})


@pytest.mark.parametrize(
    ("host", "port_told"), [("stoa.test:8123", "8123"), ("stoa.test", "80"), ("[::1]:9", "9"), ("[::1]", "80")]
)
def test_the_host_arrives_with_its_port(port: int, host: str, port_told: str) -> None:
    environ = get(port, b"/p/one/", host=host).told["environ"]

    assert environ["HTTP_HOST"] == host
    assert environ["SERVER_PORT"] == port_told


@pytest.mark.parametrize(
    "lines",
    [
        ["Host: a.test", "Host: b.test"],
        ["Host: a/b"],
        ["Host: a b"],
        ["Content-Length: 1", "Transfer-Encoding: chunked"],
        ["Content-Length: 1", "Content-Length: 2"],
        ["Content-Length: -1"],
        ["Transfer-Encoding: chunked, chunked"],
    ],
    ids=str,
)
def test_a_request_that_means_two_things_is_refused(port: int, lines: list[str]) -> None:
    host = [] if lines[0].startswith("Host") else ["Host: stoa.test"]
    text = "\r\n".join(["POST /p/one/ HTTP/1.1", *host, *lines, "Connection: close", "", "0\r\n\r\n"])

    assert send(port, text.encode()).status in (400, 501)


def test_a_hosted_response_cannot_steer_the_front_or_the_browser(port: int) -> None:
    answer = get(port, b"/p/answers/")

    names = {name.lower() for name, _value in answer.headers}
    assert answer.status == 200
    assert b"the application's own answer" in answer.body
    assert not {name for name in names if name.startswith("x-accel")}
    assert not names & {
        "service-worker-allowed",
        "clear-site-data",
        "strict-transport-security",
        "alt-svc",
        "nel",
        "report-to",
    }
    assert answer.header("set-cookie") == ["own=1; Path=/"]
    assert answer.header("location") == ["http://a1/elsewhere"]
    assert answer.header("content-type") == ["text/plain"]
    assert answer.header("x-own") == ["kept"]


def post(port: int, path: str, body: bytes, *headers: str) -> Raw:
    lines = [f"POST {path} HTTP/1.1", "Host: stoa.test", "Connection: close", *headers, "", ""]
    return send(port, "\r\n".join(lines).encode() + body)


def limit(stoa: Stoa, name: str, size: int) -> None:
    """Change Largest request body, which no merge line has."""
    found = f"from webapps.models import WebApp; app = WebApp.objects.get(name={name!r}); "
    stoa.command("shell", "--no-imports", "-c", found + f"app.max_body = {size}; app.save()")


def chunked(size: int) -> bytes:
    block = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    return block * (size // 0x10000) + b"0\r\n\r\n"


def test_a_chunked_upload_arrives_with_its_length(port: int) -> None:
    answer = post(port, "/p/one/", chunked(1 << 20), "Transfer-Encoding: chunked")

    assert answer.status == 200
    assert answer.told["read"] == 1 << 20
    assert answer.told["environ"]["CONTENT_LENGTH"] == str(1 << 20)
    assert "HTTP_TRANSFER_ENCODING" not in answer.told["environ"]


@pytest.mark.parametrize("path", ["/p/small/", "/p/small", "/p/small/static/x"])
@pytest.mark.parametrize("way", ["sized", "chunked"])
def test_a_body_beyond_the_limit_gets_a_page(stoa: Stoa, port: int, path: str, way: str) -> None:
    if "/p/small" not in stoa.status():
        stoa.create("/p/small", stoa.write("paths/small", {"app.py": ECHO}))
        limit(stoa, "/p/small", 1 << 20)
    stoa.eventually("/p/small/")

    if way == "sized":
        large = post(port, path, b"x" * (2 << 20), f"Content-Length: {2 << 20}")
    else:
        large = post(port, path, chunked(2 << 20), "Transfer-Encoding: chunked")

    assert large.status == 413
    assert b"too large" in large.body
    assert post(port, path, b"x", "Content-Length: 1").told["read"] == 1


def test_a_failed_application_says_so_whatever_the_size(stoa: Stoa, port: int) -> None:
    stoa.create("/p/failed", stoa.write("paths/failed", {"app.py": "1 / 0\n"}))
    stoa.eventually("/p/failed/", status=503)

    answer = post(port, "/p/failed/", b"x" * (2 << 20), f"Content-Length: {2 << 20}")

    assert answer.status == 503
    assert answer.header("retry-after") == ["5"]
    assert answer.header("cache-control") == ["no-store"]


def test_what_the_front_refuses_is_in_the_access_log_with_its_application(stoa: Stoa, port: int) -> None:
    get(port, b"/p/one/x%00logged")
    get(port, b"/p//one/logged-twice")
    get(port, b"/nowhere/logged")

    log = (stoa.home / "log" / "access.log").read_text()
    assert '/nowhere/logged HTTP/1.1" 404 ' in log
    assert ' /p/one 127.0.0.1 "GET /p//one/logged-twice HTTP/1.1" 400 ' in log
