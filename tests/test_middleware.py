"""What keeps a page of the portal to itself: whoever asks from elsewhere is refused, and nothing raises."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

HERE = "testserver"
SIGN_IN = "/portal/login"


def post(client: Client, **headers: str) -> int:
    """Send a form that would change something; 200 or 302 is what a page of ours gets."""
    return client.post("/portal/logout", headers=headers).status_code


@pytest.mark.parametrize(
    ("site", "refused"),
    [
        ("same-origin", False),
        ("same-site", True),
        ("cross-site", True),
        ("none", True),
        ("", True),
        ("SAME-ORIGIN", True),
    ],
)
def test_the_browser_says_which_site_sends(administrator: Client, site: str, refused: bool) -> None:
    assert (post(administrator, sec_fetch_site=site) == 403) is refused


OTHERS = [
    "null",
    "",
    "http://evil.example",
    f"http://{HERE}.evil.example",
    f"http://evil.example/{HERE}",
    f"http://evil.example@{HERE}:80@evil.example",
    f"http://{HERE}@evil.example",
    f"http://{HERE}:8000",
    f"{HERE}",
    f"//evil.example\\{HERE}",
    "http://[",
    "http://[::1",
    "http://]",
    "http://[v1.x]",
    "http://\ufb01",
    "http://a\u2100b",
    "x" * 10_000,
    "http://127.0.0.1, http://" + HERE,
]


@pytest.mark.parametrize("origin", OTHERS, ids=lambda origin: ascii(origin[:40]))
def test_a_form_of_another_origin_is_refused(administrator: Client, origin: str) -> None:
    assert post(administrator, origin=origin) == 403


def test_a_form_of_our_own_is_taken(administrator: Client) -> None:
    assert post(administrator, origin=f"http://{HERE}", sec_fetch_site="same-origin") == 302


def test_a_client_that_is_no_browser_says_neither(administrator: Client) -> None:
    assert post(administrator) == 302


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_every_method_that_changes_something_is_asked(administrator: Client, method: str) -> None:
    answer = getattr(administrator, method)("/portal/", headers={"sec-fetch-site": "same-site"})

    assert answer.status_code == 403


@pytest.mark.parametrize("site", ["same-site", "cross-site", "none"])
def test_a_link_from_elsewhere_may_lead_here(administrator: Client, site: str) -> None:
    assert administrator.get("/portal/", headers={"sec-fetch-site": site}).status_code == 200


HOSTS = [
    "evil.example",
    "testserver.evil.example",
    "testserver@evil.example",
    "testserver:evil",
    "",
    "testserver/../evil",
    "[::1",
    "a b",
    "\u2100",
    "testserver,evil.example",
]


@pytest.mark.parametrize("host", HOSTS, ids=ascii)
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_host_that_the_portal_does_not_know_is_refused_and_not_repeated(
    stranger: Client, host: str, method: str
) -> None:
    answer = getattr(stranger, method)(SIGN_IN, headers={"host": host, "origin": f"http://{host}"})

    assert answer.status_code in (400, 403)
    assert "evil" not in answer.content.decode()


# The session's cookie


def cookie_of(client: Client) -> str:
    return client.cookies["stoa_session"].value


def ask(header: str) -> Any:
    return Client().get("/portal/", headers={"cookie": header})


def test_one_session_cookie_is_signed_in(administrator: Client) -> None:
    for header in ("stoa_session={}", "a=b; stoa_session={}", "stoa_session={}; b"):
        assert ask(header.format(cookie_of(administrator))).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "stoa_session={}; stoa_session={}",
        "stoa_session={}; stoa_session=",
        "stoa_session={}; stoa_session",
        "stoa_session=; stoa_session={}",
        "stoa_session=x; stoa_session={}",
        "stoa_session={}; a=b; stoa_session=x",
        "stoa_session={};stoa_session =x",
        "stoa_session={};\tstoa_session=x",
        "stoa_session={}; stoa_session=x; stoa_session={}; stoa_session=y",
    ],
)
def test_two_session_cookies_are_signed_out(administrator: Client, header: str) -> None:
    answer = ask(header.replace("{}", cookie_of(administrator)))

    assert answer.status_code == 400
    assert "Your browser sends two session cookies" in answer.content.decode()
    assert answer["Clear-Site-Data"] == '"cookies"'


@pytest.mark.parametrize("value", ["", "x", "x" * 5000, "../../etc/passwd", "é", "a b", '"', "\x7f", "';--"])
def test_a_session_cookie_of_nobody_is_nobody(db: None, value: str) -> None:
    assert ask(f"stoa_session={value}").status_code == 302


def test_every_page_carries_the_headers(administrator: Client, stranger: Client) -> None:
    for answer in (administrator.get("/portal/"), stranger.get(SIGN_IN), stranger.get("/portal/nothing")):
        assert "default-src 'none'" in answer["Content-Security-Policy"]
        assert "unsafe" not in answer["Content-Security-Policy"]
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["Cross-Origin-Opener-Policy"] == answer["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Referrer-Policy"] == "same-origin"
        assert answer["Cache-Control"] in ("no-store", "max-age=0, no-cache, no-store, must-revalidate, private")
