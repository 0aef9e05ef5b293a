"""Origins: a way back is a path of the applications' own, and no header names a host that nobody knows."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest

from portal.gate.origins import LONGEST_WAY, Origins, host_of, same_authority, way_back

OWN = [
    "/",
    "/app",
    "/app/",
    "/app/a?b=c&d=%2F",
    "/app/%2F%2Fevil",
    "/app//x",
    "/.//evil.example",
    "/app/\\evil",
    "/@evil",
]
DISGUISED = [
    "",
    "app",
    "//evil.example",
    "//evil.example/app/",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "/\\/evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "http://evil.example/",
    "https:evil.example",
    "http:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "@evil.example",
    ".evil.example",
    ":8080/",
    ":80@evil.example/",
    " /app",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nLocation: //evil.example",
    "/app\r\nSet-Cookie: a=b",
    "/app\n",
    "/app\0",
    "/app x",
    "\t//evil.example",
    "\x00//evil.example",
    "/\x7f/",
    "/é",
    "/\u2028",
    "／／evil.example",
    "/／evil.example\udcff",
    "/" + "a" * LONGEST_WAY,
    "?next=//evil.example",
    "#//evil.example",
    "/%2fevil.example",
    "/%2F%2Fevil.example",
    "/%5cevil.example",
    "/%5C/evil.example",
    "/a%0d%0aLocation:x",
    "/a%00",
    "/a%7f",
    "/a%1b[2J?x",
]


@pytest.mark.parametrize("path", OWN)
def test_a_path_of_ours_is_the_way_back(path: str) -> None:
    assert way_back(path, "/app") == path
    assert urlsplit(urljoin("http://apps.example/x", path)).netloc == "apps.example"


@pytest.mark.parametrize("path", DISGUISED, ids=lambda path: ascii(path[:30]))
@pytest.mark.parametrize("mount", ["", "/app"])
def test_what_could_lead_elsewhere_leads_to_the_application(path: str, mount: str) -> None:
    assert way_back(path, mount) == f"{mount}/"


ORIGINS = Origins("http://apps.example:8000", "https://portal.example", frozenset({"localhost", "127.0.0.1", "[::1]"}))
UNKNOWN = [
    "",
    "evil.example",
    "evil.example:8000",
    "apps.example.evil.example",
    "localhost.evil.example",
    "localhost@evil.example",
    "evil.example@localhost",
    "localhost:8000@evil.example",
    "localhost/evil.example",
    "localhost\\evil.example",
    "localhost#evil",
    "localhost?evil",
    "localhost:80:80",
    "localhost:evil",
    "localhost:-1",
    "127.1",
    "2130706433",
    "127.0.0.1.nip.example",
    "::1",
    "[::1].evil.example",
    "[::1",
    "[evil.example]",
    "[::ffff:127.0.0.1]",
    "local host",
    "localhost\r\nX: y",
    "localhost\0",
    "ｌｏｃａｌｈｏｓｔ",
    "localhost%00",
    "\udcff",
    "a" * 10_000,
]
KNOWN = {
    "localhost": "localhost",
    "LOCALHOST": "localhost",
    "localhost:8000": "localhost",
    "localhost.": "localhost",
    "localhost.:8000": "localhost",
    " localhost ": "localhost",
    "127.0.0.1:1": "127.0.0.1",
    "[::1]": "[::1]",
    "[::1]:8080": "[::1]",
}


@pytest.mark.parametrize("asked", UNKNOWN, ids=lambda asked: ascii(asked[:30]))
def test_a_host_that_nobody_knows_is_not_named(asked: str) -> None:
    assert ORIGINS.of_application("", asked) == "http://apps.example:8000"
    assert ORIGINS.of_portal(asked) == "https://portal.example"


@pytest.mark.parametrize("asked", KNOWN)
def test_a_known_host_keeps_scheme_and_port_of_the_public_address(asked: str) -> None:
    assert ORIGINS.of_application("", asked) == f"http://{KNOWN[asked]}:8000"
    assert ORIGINS.of_portal(asked) == f"https://{KNOWN[asked]}"


@pytest.mark.parametrize("asked", ["", "localhost", "evil.example", "one.example:1"])
def test_an_application_with_a_host_has_that_one(asked: str) -> None:
    assert ORIGINS.of_application("one.example", asked) == "http://one.example:8000"


def test_another_applications_host_is_an_origin_for_those_of_any_host_but_never_the_portals() -> None:
    assert ORIGINS.of_application("", "One.Example:8000", {"one.example"}) == "http://one.example:8000"
    assert ORIGINS.of_portal("one.example") == "https://portal.example"


@pytest.mark.parametrize(
    ("asked", "host"),
    [
        ("a.example", "a.example"),
        ("A.b:1", "a.b"),
        ("a:", "a"),
        ("[::1]:1", "[::1]"),
        ("a:b", ""),
        ("[a]x", ""),
        ("", ""),
    ],
)
def test_the_host_of_an_authority(asked: str, host: str) -> None:
    assert host_of(asked) == host


@pytest.mark.parametrize(
    ("origin", "asked", "same"),
    [
        ("http://a.example:8000", "a.example:8000", True),
        ("http://a.example:8000", "A.EXAMPLE:8000", True),
        ("http://a.example:8000", "a.example", False),
        ("http://a.example:8000", "a.example:8001", False),
        ("http://a.example", "a.example", True),
        ("http://a.example", "a.example:80", True),
        ("http://a.example", "a.example:443", False),
        ("https://a.example", "a.example:443", True),
        ("https://a.example", "a.example:80", False),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://a.example", "a.example.evil", False),
        ("http://a.example", "", False),
    ],
)
def test_whether_a_host_header_names_an_origin(origin: str, asked: str, same: bool) -> None:
    assert same_authority(origin, asked) is same
