"""Large bodies: how many the front keeps at once, and what it says where there is no room for one."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.patience import within
from tests.runtime.front_site import DEADLINE, Answer, Gate, Site, asgi, binaries, read, wsgi
from tests.waiting import wait_for
from webapps.runtime.front_bodies import FEWEST, LARGEST, LEAST, MOST, answers, most

CHUNKED = "Transfer-Encoding: chunked"
DENIED = 418
LARGE = "Content-Length: 9999999"
#: So few, because the disk is so small.
ALL, ONE = FEWEST, FEWEST // 2


@pytest.fixture(scope="module", params=binaries(), ids=lambda binary: binary.words)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Gate]]:
    site = Site(tmp_path_factory.mktemp("bodies") / "site", request.param, disk=1 << 20, trusted_proxies=("127.0.0.1",))
    for number in range(1, 4):
        site.backend(number)
    gate = site.gate()
    try:
        site.serve(wsgi(1, "/open"), asgi(2, "/live"), wsgi(3, "/guarded", open=False, max_body=1 << 30))
        yield site, gate
    finally:
        site.stop()


@pytest.fixture
def site(whole: tuple[Site, Gate]) -> Site:
    whole[1].enter()
    return whole[0]


def begin(site: Site, path: str, length: str, client: str = "10.0.0.1") -> socket.socket:
    """Begin a request with a body that does not come, and wait until the front would have it, or answers."""
    sock = site.connect()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: a",
        f"X-Forwarded-For: {client}",
        length,
        "Expect: 100-continue",
        "Connection: close",
    ]
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    select.select([sock], [], [], within(DEADLINE))
    return sock


def refusal(sock: socket.socket) -> Answer:
    with sock, sock.makefile("rb") as file:
        return read(file.read())


@pytest.mark.parametrize("length", [CHUNKED, LARGE])
@pytest.mark.parametrize("path", ["/open/", "/guarded/"])
def test_one_client_may_keep_so_many_bodies_waiting_and_all_together_twice_that(
    site: Site, path: str, length: str
) -> None:
    with ExitStack() as stack:
        for client in ("10.0.0.1", "10.0.0.2"):
            for _ in range(ONE):
                stack.enter_context(begin(site, path, length, client))
            refused = refusal(begin(site, path, length, client))
            assert refused.status == 429 and refused["Retry-After"] == "5"
            assert "Too many uploads at once" in refused.text
        assert refusal(begin(site, path, length, "10.0.0.3")).status == 429
        # Small ones, and what is passed on as it comes, are not counted.
        small = {"X-Forwarded-For": "10.0.0.1"}
        assert site.ask("POST", path, small, b"x" * 100_000).seen["length"] == 100_000
        streamed = begin(site, "/live/", CHUNKED)
        streamed.sendall(b"5\r\nhello\r\n0\r\n\r\n")
        assert refusal(streamed).seen["length"] == 5

    # They have gone, and are not counted any more.
    wait_for(lambda: comes_in(site, path), DEADLINE)


def comes_in(site: Site, path: str) -> bool:
    sock = begin(site, path, CHUNKED)
    sock.sendall(b"5\r\nhello\r\n0\r\n\r\n")
    return refusal(sock).status == 200


def test_what_is_refused_at_the_door_is_not_kept(site: Site, whole: tuple[Site, Gate]) -> None:
    whole[1].refuse()
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    kept = 0
    with begin(site, "/guarded/", CHUNKED) as sock, sock.makefile("rb") as file:
        assert file.readline().startswith(b"HTTP/1.1 100") and file.readline() == b"\r\n"
        while not select.select([sock], [], [], 0.01)[0]:
            sock.sendall(piece)
            kept = max(kept, sum(sizes_of_bodies(site)))
        answer = read(file.readline() + b"\r\n")

    assert answer.status == DENIED and kept < 1 << 20


def sizes_of_bodies(site: Site, kind: str = "body") -> list[int]:
    """Return the sizes of the files that nginx keeps bodies in: they have no name any more."""
    found = []
    for pid in site.processes():
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                if f"front/tmp/{kind}" in os.readlink(f"/proc/{pid}/fd/{fd}"):
                    found.append(os.stat(f"/proc/{pid}/fd/{fd}").st_size)
            except OSError:
                continue
    return found


@pytest.mark.parametrize("path", ["/open/", "/guarded/"])
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_a_body_that_cannot_be_kept_is_503_with_a_page(site: Site, path: str, accept: str) -> None:
    bodies = site.run_dir / "front/tmp/body"
    shutil.move(bodies, bodies.with_name("away"))
    bodies.touch()  # Where nothing can be made, as on a full disk.
    try:
        answer = site.ask("POST", path, {"Accept": accept}, b"x" * 500_000)
    finally:
        bodies.unlink()
        shutil.move(bodies.with_name("away"), bodies)

    assert answer.status == 503 and answer["Retry-After"] == "5"
    assert "no room for this request" in answer.text
    assert accept != "application/json" or json.loads(answer.body)["error"]
    assert site.ask("POST", path, {}, b"x" * 500_000).seen["length"] == 500_000


def test_the_bound_follows_the_disk_and_the_largest_body() -> None:
    small, large = wsgi(1, "/a", max_body=1 << 20), wsgi(2, "/b", max_body=1 << 30)

    assert most(100 << 30, [small, large]) == 50
    assert most(1 << 30, [small, large]) == FEWEST
    assert most(1 << 40, [small]) == most(0, [large]) == MOST
    assert most(100 << 30, [small, replace(asgi(3, "/c"), max_body=1 << 40)]) == MOST


def test_of_an_answer_that_is_not_read_so_much_is_kept_and_who_is_slow_gets_all_of_it(site: Site) -> None:
    size, kept, got = 8 * LEAST, 0, 0
    with site.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        how = json.dumps({"size": size})
        sock.sendall(f"GET /open/ HTTP/1.1\r\nHost: a\r\nX-Test: {how}\r\nConnection: close\r\n\r\n".encode())
        wait_for(lambda: sum(sizes_of_bodies(site, "proxy")) >= LEAST // 2)
        while piece := sock.recv(1 << 18):
            kept, got = max(kept, sum(sizes_of_bodies(site, "proxy"))), got + len(piece)

    assert got > size
    assert kept <= LEAST + (1 << 18)


def test_the_bound_of_an_answer_follows_the_disk() -> None:
    found = ["".join(answers(disk)) for disk in (0, 1 << 20, 100_000 << 20, 1 << 50)]

    assert found == [f"proxy_max_temp_file_size {size}m;" for size in (LARGEST >> 20, LEAST >> 20, 25, LARGEST >> 20)]
