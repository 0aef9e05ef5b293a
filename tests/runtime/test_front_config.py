"""The configuration as a value: nothing that a person chooses can add a directive to it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runtime.front_site import asgi, files, wsgi
from webapps.runtime.front_config import FrontSettings, render
from webapps.runtime.front_routes import RouteRefused, check
from webapps.runtime.nginx import Binary
from webapps.runtime.spec import Files, Protocol, Route, ServeFiles

SETTINGS = FrontSettings(
    run_dir=Path("/run"),
    static_dir=Path("/static"),
    access_log=Path("/log/access.log"),
    binary=Binary("/nginx", (1, 31, 3)),
    apps_listen=("127.0.0.1", 8000),
    portal_listen=("127.0.0.1", 8080),
)
FINE = wsgi(1, "/fine")

NAMES = [
    *("", "a", "a/b", "//", "/a//b", "/a/", "/.", "/..", "/a/.", "/a/..", "/./a", "/a/../b"),
    *(
        "/a b",
        "/a;",
        "/a{",
        "/a}",
        "/a#",
        "/a$uri",
        "/a'",
        '/a"',
        "/a\\",
        "/a\n",
        "/a\r",
        "/a\t",
        "/a\0",
        "/a?b",
    ),
    *(
        "/a%41",
        "/a*",
        "/a(",
        "/a)",
        "/a[",
        "/a|b",
        "/a^",
        "/a+",
        "/é",
        "/a\u2028",
        "/a\x85",
        "/ａ",
        "/a:b",
        "/a@b",
        "/a=b",
    ),
    *("/a; } server { listen 1; ", '/a"; }', "/a\\\\", "/a\n}", "/" + "a" * 64),
    *("/portal", "/portal/x", "/Portal", "/-", "/-/x", "/-/static"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_not_plain_is_refused(name: str) -> None:
    rendered = render(SETTINGS, [replace(FINE, id=2, name=name), FINE])

    assert list(rendered.refused) == [2]
    assert rendered.text == render(SETTINGS, [FINE]).text


@pytest.mark.parametrize(
    "name", ["/", "/a", "/a/b", "/A.b_c~d-e/0", "/...", "/.a", "/a.", "/-a", "/portals", "/x/portal", "/x/-"]
)
def test_a_plain_name_is_taken(name: str) -> None:
    assert not render(SETTINGS, [replace(FINE, name=name)]).refused


HOSTS = [
    *(
        "a b",
        "a;",
        "a{",
        "a}",
        "a\n",
        "a\0",
        '"a"',
        "*.a",
        "~a",
        "~^.*$",
        ".a",
        "a.",
        "a..b",
        "-a",
        "a-",
        "a:80",
        "a/b",
        "a_b",
    ),
    *("$host", "é.example", "a" * 64, ".".join(["a" * 60] * 5), "default_server", "a; } server { listen 1"),
]


@pytest.mark.parametrize("host", [host for host in HOSTS if host != "default_server"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    rendered = render(SETTINGS, [replace(FINE, id=2, host=host), FINE])

    assert list(rendered.refused) == [2]
    assert rendered.text == render(SETTINGS, [FINE]).text


@pytest.mark.parametrize(
    "socket", ["", "/etc/passwd", "apps/../portal.sock", "portal.sock", "apps/1.sock; }", "apps/1.sock\n"]
)
def test_a_socket_of_somebody_else_is_refused(socket: str) -> None:
    with pytest.raises(RouteRefused, match="is not a socket"):
        check(replace(FINE, socket=socket))


@pytest.mark.parametrize("path", ["/x; }", "/x\n}", '/quo"ted', "/$somebody", "/é", "/\udcff"])
@pytest.mark.parametrize("serve", list(ServeFiles))
def test_a_directory_is_never_written(path: str, serve: ServeFiles) -> None:
    routes = [files(1, "/f", Path(path), serve), asgi(2, "/a", files=Files(serve, path))]

    rendered = render(SETTINGS, routes)

    assert not rendered.refused
    assert path not in rendered.text
    rendered.text.encode("ascii")


def test_of_two_with_one_name_the_first_is_taken() -> None:
    rendered = render(
        SETTINGS,
        [
            FINE,
            replace(FINE, id=2),
            replace(FINE, id=3, host="h.example"),
            replace(FINE, id=4, host="H.example"),
        ],
    )

    assert rendered.refused == {
        2: "/fine is the name of application 1 already",
        4: "H.example/fine is the name of application 3 already",
    }


def test_every_limit_is_a_number() -> None:
    route = replace(FINE, max_body=-5, request_timeout=-1, files=Files(ServeFiles.CACHED, "/x", -3))

    text = render(SETTINGS, [route]).text

    assert "client_max_body_size 0;" in text
    assert "proxy_read_timeout 1s;" in text
    assert 'Cache-Control "no-cache"' in text


def test_a_default_that_is_not_plain_is_left_out() -> None:
    defaults = {
        "USER": "/a",
        "%SYS": "/",
        "BAD;": "/b",
        "X": "/b; }",
        "Y": "//evil.example",
        "Z": "https://x",
    }

    text = render(SETTINGS, [], defaults).text

    assert re.findall(r'"/-/ns/([^"]*)/" (\S+);', text) == [("%SYS", "/"), ("USER", "/a/")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"apps_url": "https://x; }"},
        {"portal_url": "javascript:x"},
        {"portal_url": "https://user@x"},
        {"apps_url": "https://x/path"},
        {"trusted_proxies": ("10.0.0.0/8; }",)},
        {"trusted_proxies": ("proxy.example",)},
        {"access_log": Path("/log/a b")},
        {"apps_listen": ("x;", 80)},
        {"portal_listen": ("", 80)},
    ],
)
def test_a_setting_that_is_wrong_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        render(replace(SETTINGS, **wrong), [])  # type: ignore[arg-type]


def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    text = render(replace(SETTINGS, apps_listen=("::1", 8000)), [], generation=7).text

    assert "listen [::1]:8000 default_server" in text
    assert text.startswith("# generation 7\n")


def test_an_old_nginx_is_not_told_what_it_does_not_know() -> None:
    old = replace(SETTINGS, binary=Binary("/nginx", (1, 22, 1), frozenset({"http_uwsgi"})))

    assert "keepalive_min_timeout 10s;" in render(SETTINGS, []).text
    assert "keepalive_min_timeout" not in render(old, []).text
    assert "uwsgi" not in render(old, []).text


def test_a_trial_listens_on_nothing_that_anybody_uses() -> None:
    real, trial = (render(SETTINGS, [FINE], trial=trial).text.splitlines() for trial in (False, True))

    different = [(a.strip(), b.strip()) for a, b in zip(real, trial, strict=True) if a != b]
    assert all(a.startswith("listen ") and b.startswith("listen unix:front/trial-") for a, b in different)
    assert len(different) == 3


def test_headers_are_set_once_however_many_routes_there_are() -> None:
    routes = [Route(n, f"/a{n}", "", Protocol.WSGI, f"apps/{n}.sock") for n in range(50)]

    assert render(SETTINGS, routes).text.count("proxy_set_header Host $") == 1


def test_patterns_are_compiled() -> None:
    """A request meets half a dozen of them; interpreted, they cost 2.4 of the front's 22 µs."""
    assert "pcre_jit on;" in render(SETTINGS, []).text.splitlines()
