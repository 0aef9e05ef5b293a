"""One behaviour of PEP 3333 below each path, for tests/runtime/test_worker.py."""

import gzip
import hashlib
import io
import json
import os
import sys
import threading
import time

TEXT = [("Content-Type", "text/plain")]
closed = []
hold = threading.Event()
here = os.path.dirname(os.path.abspath(__file__))


class Closing:
    """An iterable that notes that it was closed."""

    def __init__(self, parts, name):
        self.parts, self.name = parts, name

    def __iter__(self):
        return iter(self.parts)

    def close(self):
        closed.append(self.name)


def environment(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({key: value for key, value in environ.items() if isinstance(value, (str, bool))}).encode()]


def hello(environ, start_response):
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    return [b"hello"]


def parts(environ, start_response):
    start_response("200 OK", TEXT)
    return iter([b"one,", b"", b"two,", bytearray(b"three")])


def several(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"one,", b"two"]


def nothing(environ, start_response):
    start_response("200 OK", TEXT)
    return iter([])


def late(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"first,"
    hold.wait(20)
    yield b"second"


def release(environ, start_response):
    hold.set()
    return hello(environ, start_response)


def status(environ, start_response):
    wanted, _, length = environ["QUERY_STRING"].partition(",")
    start_response(wanted.replace("_", " "), [("Content-Length", length)] if length else [])
    return [b"body"]


def write(environ, start_response):
    send = start_response("200 OK", TEXT)
    send(b"written,")
    send(b"")
    return Closing([b"returned"], "write")


def write_whole(environ, start_response):
    send = start_response("200 OK", [*TEXT, ("Content-Length", "10")])
    send(b"written,")
    return [b"ab"]


def closing(environ, start_response):
    start_response("200 OK", TEXT)
    return Closing([b"closing"], environ["QUERY_STRING"])


def closing_breaks(environ, start_response):
    start_response("200 OK", TEXT)

    def body():
        yield b"begun"
        raise RuntimeError("in the middle")

    return Closing(body(), environ["QUERY_STRING"])


def closing_fails(environ, start_response):
    start_response("200 OK", TEXT)
    result = Closing([b"whole"], "")
    result.close = None
    return result


def endless(environ, start_response):
    start_response("200 OK", TEXT)

    def body():
        while True:
            yield b"x" * 65536

    return Closing(body(), environ["QUERY_STRING"])


def was_closed(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"yes" if environ["QUERY_STRING"] in closed else b"no"]


def replaced(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    try:
        raise ValueError("before the headers were sent")
    except ValueError:
        start_response("503 Sorry", TEXT, sys.exc_info())
    return [b"sorry"]


def too_late(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"begun"
    try:
        raise ValueError("after the headers were sent")
    except ValueError:
        start_response("500 Oh", TEXT, sys.exc_info())
    yield b"never"


def twice(environ, start_response):
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b"never"]


def never_started(environ, start_response):
    return [b"never"]


def lazy(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"lazy"


def raises(environ, start_response):
    raise RuntimeError("on purpose")


def leaves(environ, start_response):
    sys.exit(3)


def none(environ, start_response):
    start_response("200 OK", TEXT)


def text(environ, start_response):
    start_response("200 OK", TEXT)
    return {"str": "text", "list": ["text"], "parts": iter(["text"]), "two": [b"a", "b"]}[environ["QUERY_STRING"]]


def one_bytes(environ, start_response):
    start_response("200 OK", TEXT)
    return b"whole"


HEADERS = {
    "split": [("X-Bad", "a\r\nSet-Cookie: stolen=1")],
    "lf": [("X-Bad", "a\nb")],
    "cr": [("X-Bad", "a\rb")],
    "nul": [("X-Bad", "a\0b")],
    "name": [("X-Bad\r\nX-Worse", "1")],
    "space": [("X Bad", "1")],
    "colon": [("X-Bad:", "1")],
    "empty": [("", "1")],
    "int": [("X-Bad", 1)],
    "bytes": [(b"X-Bad", b"1")],
    "wide": [("X-Bad", "\u20ac")],
    "chunked": [("Transfer-Encoding", "chunked")],
    "upgrade": [("Upgrade", "h2c")],
    "trailer": [("Trailer", "X-Sum")],
    "length": [("Content-Length", "five")],
    "negative": [("Content-Length", "-1")],
    "lengths": [("Content-Length", "5"), ("Content-Length", "6")],
}


def bad_headers(environ, start_response):
    start_response("200 OK", HEADERS[environ["QUERY_STRING"]])
    return [b"never"]


def good_headers(environ, start_response):
    start_response(
        "200 OK",
        [
            ("X-Accel-Redirect", "/secret"),
            ("x-accel-buffering", "yes"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "stoa_session=x"),
            ("Set-Cookie", "__Host-stoa_session=x"),
            ("Connection", "keep-alive"),
            ("Keep-Alive", "timeout=5"),
            ("X-Latin", "caf\xe9\ttab"),
            ("X-Empty", ""),
        ],
    )
    return iter([b"good"])


def long_body(environ, start_response):
    start_response("200 OK", [("Content-Length", "4")])
    return iter([b"12", b"3456", b"78"]) if environ["QUERY_STRING"] else [b"12345678"]


def short_body(environ, start_response):
    start_response("200 OK", [("Content-Length", "8")])
    return iter([b"12", b"34"]) if environ["QUERY_STRING"] else [b"1234"]


def large(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"large" * 100_000]


# Bodies of requests


def echo(environ, start_response):
    start_response("200 OK", TEXT)
    return [environ["wsgi.input"].read()]


def digest(environ, start_response):
    found, stream = hashlib.sha256(), environ["wsgi.input"]
    while block := stream.read(10_000):
        found.update(block)
    start_response("200 OK", TEXT)
    return [found.hexdigest().encode()]


def read_in_ways(environ, start_response):
    stream = environ["wsgi.input"]
    found = [stream.read(3), stream.readline(2), stream.readline(), stream.readlines(1), next(iter(stream)), *stream]
    found += [stream.read(), stream.readline(), stream.read(5)]
    start_response("200 OK", TEXT)
    return [repr(found).encode()]


def unread(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"unread"]


def partly(environ, start_response):
    start_response("200 OK", TEXT)
    return [environ["wsgi.input"].read(4)]


kept = []


def keeps_its_input(environ, start_response):
    kept.append(environ["wsgi.input"])
    start_response("200 OK", TEXT)
    return [b"kept"]


def reads_the_kept(environ, start_response):
    start_response("200 OK", TEXT)
    return [repr(kept.pop().read()).encode()]


# Files


def file(environ, start_response):
    size, kind, offset = environ["QUERY_STRING"].split(",")
    path = os.path.join(here, f"file-{threading.get_ident()}-{size}")
    data = bytes(range(256)) * (int(size) // 256)
    with open(path, "wb") as made:
        made.write(gzip.compress(data) if kind == "gzip" else data)
    opened = {"gzip": gzip.open, "plain": open, "raw": lambda p, m: open(p, m, 0), "memory": lambda p, m: io.BytesIO(data)}[kind](path, "rb")
    os.unlink(path)
    opened.seek(int(offset))
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](opened, 5000)


def promised_file(environ, start_response):
    with open(__file__, "rb") as source:
        size = len(source.read())
    start_response("200 OK", [("Content-Length", str(size + int(environ["QUERY_STRING"])))])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))


# Trouble


def hang(environ, start_response):
    time.sleep(600)


def wait(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))
    start_response("200 OK", [*TEXT, ("Content-Length", "6")])
    return [b"waited"]


def closes_the_listener(environ, start_response):
    import socket

    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            found = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        with found:
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                os.close(fd)
    return hello(environ, start_response)


def closes_stderr(environ, start_response):
    sys.stderr.close()
    raise RuntimeError("said to nobody")


def app(environ, start_response):
    name = environ["PATH_INFO"].partition("/")[2] or "environment"
    return globals()[name](environ, start_response)
