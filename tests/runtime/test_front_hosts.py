"""All hosts are one server: what they are asked for is answered as it is where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.front_site import Answer, Gate, Site, asgi, binaries, files, read, wsgi
from tests.runtime.test_front_config import FINE, SETTINGS
from tests.runtime.test_paths import TABLE
from webapps.runtime.front_config import render
from webapps.runtime.spec import Files, Route, ServeFiles

#: A host with the same routes as any host has, one with a route that is in nobody's way, one without any.
OWN, FALLS_BACK, NONE = "own.example", "other.example", "none.example"
#: What the routes of OWN have more in their numbers than those for any host.
MORE = 20
#: What a parameter of nginx's map is called, what its reader takes for a tab or a line's end, the longest.
NAMES = ["default", "hostnames", "include", "volatile", "t.example", "n.example", "r", "stoa", ".".join(["a" * 62] * 4)]
DENIED = 418


def served(static: Path, more: int = 0, host: str = "") -> list[Route]:
    """Return the routes of test_paths and some of each other kind, all of one host."""
    return [
        wsgi(1 + more, "/app", host=host, files=Files(ServeFiles.ALWAYS, str(static))),
        wsgi(2 + more, "/app/sub", host=host),
        asgi(3 + more, "/live", host=host),
        wsgi(4 + more, "/dot.ted", host=host),
        wsgi(5 + more, "/gated", host=host, open=False, files=Files(ServeFiles.SECURED, str(static))),
        wsgi(6 + more, "/failed", host=host, failed=True),
        wsgi(7 + more, "/Case", host=host),
        wsgi(8 + more, "/tilde~-_.x", host=host),
        wsgi(9 + more, "/small", host=host, max_body=10),
        files(10 + more, "/files", static, host=host),
        files(11 + more, "/cached", static, ServeFiles.CACHED, host=host),
        files(12 + more, "/secured", static, ServeFiles.SECURED, host=host, open=False),
    ]


@pytest.fixture(scope="module", params=binaries(), ids=lambda binary: binary.words)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Gate]]:
    root = tmp_path_factory.mktemp("hosts")
    static = root / "static"
    (static / "folder").mkdir(parents=True)
    (static / "evil.example").mkdir()
    for name in ("index.html", "a b.txt", "x.css", ".hidden", "x.py", "folder/index.html"):
        (static / name).write_text("a file")
    site = Site(root / "site", request.param)
    for number in (*range(1, 10), *range(1 + MORE, 10 + MORE), 41, 42):
        site.backend(number)
    gate = site.gate()
    apart = [wsgi(41, "/apart", host=FALLS_BACK), files(44, "/", static, host="root.example")]
    named = [wsgi(50 + number, "/named", host=host, failed=True) for number, host in enumerate(NAMES)]
    beside = [*named, wsgi(42, "/app/sub/deep", host="deep.example"), wsgi(43, "/", host="down.example", failed=True)]
    try:
        site.serve(*served(static), *served(static, MORE, OWN), *apart, *beside, USER="/app")
        yield site, gate
    finally:
        site.stop()


@pytest.fixture
def gate(whole: tuple[Site, Gate]) -> Gate:
    whole[1].enter()
    whole[1].asked.clear()
    return whole[1]


@pytest.fixture
def site(whole: tuple[Site, Gate], gate: Gate) -> Site:
    return whole[0]


def told(answer: Answer, host: str) -> tuple[Any, ...]:
    """Return what can be compared of an answer: the application is named as that for any host."""
    if not answer.body.startswith(b'{"app"'):
        return answer.status, answer["Location"], answer.body, answer["Content-Type"], answer["Cache-Control"]
    name, seen = answer.seen["app"], answer.seen
    number = int(name) - MORE if host == OWN and name.isdigit() else name
    headers = [[key, value] for key, value in seen["headers"] if value.split(":")[0] not in (OWN, FALLS_BACK, NONE)]
    return answer.status, str(number), seen["line"], headers


def same(site: Site, method: str, path: str, **more: Any) -> tuple[Any, ...]:
    """Ask each kind of host for the same, and return the answer of the one that has no routes."""
    answers = {host: told(site.ask(method, path, host=host, **more), host) for host in (NONE, OWN, FALLS_BACK)}
    assert answers[OWN] == answers[FALLS_BACK] == answers[NONE]
    return answers[NONE]


@pytest.mark.parametrize("path", TABLE)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_means_the_same_on_every_host(site: Site, path: str, method: str) -> None:
    same(site, method, path)


@pytest.mark.parametrize("path", TABLE)
def test_a_path_means_the_same_in_an_absolute_request_line(site: Site, path: str) -> None:
    for host in (OWN, FALLS_BACK):
        absolute = told(site.get(f"http://{host}{path}", host=NONE), host)
        assert absolute == told(site.get(path, host=host), host)


OTHERS = [
    *("/app", "/app?x=%2F&y", "/app/static/x.css", "/app/static/none%2Fa//b?c", "/app/static/a%20b.txt", "/app/static"),
    *("/app/static/", "/app/%73tatic/none", "/app/static/.hidden", "/app/static/x.py", "/app/static/folder"),
    *("/gated/", "/gated/static/x.css", "/gated/static/none", "/failed/", "/failed/x", "/secured/", "/secured/x.css"),
    *("/files", "/files?a", "/files/", "/files/x.css", "/files/.hidden", "/files/none", "/files/folder/"),
    *("/files/folder", "/files/folder?a=b%2Fc", "/files/x/../folder", "/files//folder", "/files/%66older"),
    *("/cached/x.css", "/cached/folder/", "/app/a%0Ab", "/app/a%0A/sub/%0A", "/app/%3Fx?y", "/app/%3F", "/app/a+b%20c"),
    *("/app/&a=b", "/app/$1", "/app/%24uri", "/app/%7E%C3%BC", "/live/%0A?%0A", "/dot.ted/..;/x", "/app/?a?b"),
    *("/-/gate", "/-/gate/files", "/-/pages/", "/-//pages/404.html"),
    *("/%2D/gate", "/%2D/pages/404.html", "/app/../-/gate", "//-/gate", "/-", "/-x", "/-/portal", "/-/ns/USER/"),
    *("/-/ns/USER/?a=b", "/-/static/front.css", "/portal", "/portal/", "/portal/x?y", "/portalx", "/%70ortal/x"),
    *("/app/own/1/x", "/app//own/1/x", "/app/-/gate", "/app/portal/x"),
    # The places of the hosts' routes: nobody gets there by their names.
    *(
        path.format(number)
        for number in range(7)
        for path in (
            *("//own/{}", "//own/{}/", "//own/{}/app/", "//own/{}/app/static/x.css", "//own/{}/files/x.css"),
            *("/own/{}/app/", "///own/{}/app/", "/%2Fown/{}/app/", "%2F%2Fown/{}/app/", "/./own/{}/app/"),
            *("/x/..//own/{}/app/", "/x/../%2fown/{}/app/", "/./%2E//own/{}/app/", "/{}/app/"),
            *("//own/{}/-/pages/404.html", "//own/{}/-/gate", "//own/{0}//own/{0}/app/", "/\\own/{}/app/"),
        )
    ),
]


@pytest.mark.parametrize("path", OTHERS)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_everything_else_is_the_same_too(site: Site, path: str, accept: str) -> None:
    if path.startswith(("/files", "/cached")) and "older" in path and not path.endswith("/"):
        assert site.get(path, host=OWN)["Location"].endswith(("older/", "older/?a=b%2Fc"))
        return
    same(site, "GET", path, headers={"Accept": accept})


@pytest.mark.parametrize("path", ["/gated/", "/gated/x", "/gated/static/x.css", "/gated/static/none", "/secured/x.css"])
def test_nobody_enters_by_another_host(site: Site, gate: Gate, path: str) -> None:
    gate.refuse()

    for host in (OWN, FALLS_BACK):
        answer = site.get(path, host=host)
        assert answer.status == (404 if "static" in path or "x.css" in path else DENIED)
        assert answer.body != b"a file"


def test_the_gate_is_asked_about_the_application_of_the_host(site: Site, gate: Gate) -> None:
    for host in (OWN, FALLS_BACK):
        site.get("/gated/x?y=%2F", host=host)

    assert [told["stoa-app"] for _path, told in gate.asked] == [str(5 + MORE), "5"]


@pytest.mark.parametrize(
    ("host", "path", "location"),
    [
        (OWN, "/files/folder", "/files/folder/"),
        (OWN, "/files/folder?a=b%2Fc", "/files/folder/?a=b%2Fc"),
        (OWN, "/cached/%66older", "/cached/%66older/"),
        (FALLS_BACK, "/files/folder", "/files/folder/"),
        ("root.example", "/folder", "/folder/"),
        ("root.example", "///folder?x", "/folder/?x"),
        ("root.example", "//evil.example", "/evil.example/"),
    ],
)
def test_a_directory_without_a_slash_leads_to_that_with_one(site: Site, host: str, path: str, location: str) -> None:
    answer = site.get(path, host=host)

    assert (answer.status, answer["Location"]) == (301, location)


@pytest.mark.parametrize(
    ("host", "path", "app"),
    [
        ("deep.example", "/app/sub/deep", "42"),
        ("deep.example", "/app/sub/deep/x", "42"),
        ("deep.example", "/app/sub/deeper/x", "2"),
        ("deep.example", "/app/x", "1"),
        (FALLS_BACK, "/apart/x", "41"),
        (FALLS_BACK, "/live/x", "3"),
    ],
)
def test_what_a_host_has_is_before_what_any_host_has(site: Site, host: str, path: str, app: str) -> None:
    assert site.ask("POST", path, host=host, body=b"x" * 100_000).seen["app"] == app


def test_at_the_root_of_a_host_nothing_else_is_left_but_what_is_stoas(site: Site) -> None:
    for path in ("/", "/app/x", "/files/x.css", "/-"):
        assert site.get(path, host="down.example").status == 503
    assert site.get("/portal/", host="down.example").status == 302
    assert site.get("/-/ns/USER/", host="down.example")["Location"] == "/app/"
    assert site.get("/-/x", host="down.example").status == 404


def test_a_body_may_be_as_large_as_on_every_host(site: Site) -> None:
    assert same(site, "POST", "/small/", body=b"x" * 11)[0] == 413
    assert same(site, "POST", "/small/", body=b"x" * 10)[0] == 200


@pytest.mark.parametrize("host", [OWN, FALLS_BACK])
def test_a_websocket_opens_on_a_host(site: Site, host: str) -> None:
    with site.connect() as sock:
        head = f"GET /live/x%2Fy HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        sock.sendall(head.encode())
        assert read(sock.recv(4096)).status == 101
        sock.sendall(b"echo")
        assert sock.recv(4096) == b"echo"


def test_a_request_that_names_no_host_has_none(site: Site) -> None:
    for name in ("stoa.invalid", "STOA.invalid:80"):
        assert site.get("/app/", host=name).seen["app"] == "1"
        assert site.get("/apart/", host=name).status == 404


@pytest.mark.parametrize("host", NAMES)
def test_a_host_may_have_any_name(site: Site, host: str) -> None:
    assert site.get("/named/", host=host).status == 503
    assert site.get("/app/", host=host).seen["app"] == "1"


@pytest.mark.parametrize("hosts", [1, 10, 100])
def test_each_host_costs_its_own_routes_only(hosts: int) -> None:
    routes = [wsgi(number, f"/app{number}") for number in range(200)]
    own = [wsgi(1000 + number, "/own", host=f"h{number}.example") for number in range(hosts)]

    alone, text = render(SETTINGS, routes).text, render(SETTINGS, [*routes, *own]).text

    of_a_route = len(render(SETTINGS, [FINE]).text) - len(render(SETTINGS, []).text)
    assert len(text) < 2.1 * len(alone) + 2 * hosts * of_a_route
