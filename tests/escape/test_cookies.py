"""A hosted page has Chromium ask another port, where its own application listens: no cookie of Stoa's comes along.

Cookies know no ports (RFC 6265, section 8.5). The portal's are at a name of their own, ``localhost``; so they stay away
even from an application that may listen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, expect

from tests.accounts import host
from tests.e2e.browser import Visitor, chromium
from tests.serving import CHECKOUT, Stoa, free_port
from tests.waiting import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

APP = {"app.py": (CHECKOUT / "tests" / "fixtureapps" / "ports" / "app.py").read_text()}
HOSTS = ("127.0.0.1", "localhost", "[::1]")
HELLO = {
    "app.py": "def application(environ, start_response):\n"
    "    start_response('200 OK', [('Content-Type', 'text/html')])\n"
    "    return [b'<!doctype html><title>x</title><h1>Hello</h1>']\n"
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def open_house() -> Iterator[Stoa]:
    """A Stoa without walls: any application listens where it likes."""
    with Stoa(STOA_WALLS="0") as stoa:
        host(stoa, "ports", APP)
        stoa.create("/asks", stoa.write("asks", HELLO), AutheEnabled=32 | 16384)
        stoa.eventually("/asks/", 401)
        yield stoa


@pytest.fixture
def visitor(open_house: Stoa, browser: Browser) -> Iterator[Visitor]:
    """Somebody who is signed in to the portal and to an application."""
    somebody = Visitor(browser, open_house)
    somebody.sign_in()
    somebody.page.goto(f"{somebody.applications}/asks/")
    expect(somebody.heading("Hello")).to_be_visible()
    yield somebody
    somebody.problems = [words for words in somebody.problems if "status of 404" not in words]
    somebody.leave()


def met(stoa: Stoa, way: str, port: int) -> object:
    answer = stoa.get(f"/ports/?do={way}&port={port}")
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def heard(stoa: Stoa) -> list[str]:
    """Return the requests that the application was sent at its ports."""
    found = met(stoa, "kept", 0)
    assert isinstance(found, list)
    return found


def test_a_page_that_asks_other_ports_gets_no_cookie_of_the_portals(visitor: Visitor, open_house: Stoa) -> None:
    port = free_port()
    assert met(open_house, "bind4", port) == met(open_house, "bind6", port) == port
    mark = f"/portal/{port}"
    asked = [("page", f"http://{name}:{port}{mark}") for name in HOSTS]

    visitor.page.goto(f"{visitor.applications}/ports/?{urlencode(asked)}")

    wait_for(lambda: len([text for text in heard(open_house) if mark in text]) >= len(HOSTS), 20)
    requests = [text for text in heard(open_house) if mark in text]
    assert not [text for text in requests if "stoa_session" in text]
    others = [text for text in requests if f"Host: 127.0.0.1:{port}" not in text]
    assert len(others) == 2 and not [text for text in others if "stoa_" in text]


@pytest.mark.parametrize("name", HOSTS)
def test_the_portals_cookie_is_at_its_own_name_however_it_was_opened(
    browser: Browser, open_house: Stoa, name: str
) -> None:
    visitor = Visitor(browser, open_house)
    visitor.page.goto(f"http://{name}:{open_house.portal_port}/portal/")
    visitor.page.get_by_label("User name").fill("admin")
    visitor.page.get_by_label("Password").fill("secret-of-the-test")
    visitor.press("Sign in")

    expect(visitor.heading("Web Applications")).to_be_visible()
    assert visitor.page.url.startswith(f"http://localhost:{open_house.portal_port}/")
    assert {cookie["domain"] for cookie in visitor.context.cookies()} == {"localhost"}
    visitor.leave()


def test_an_application_that_is_opened_by_the_portals_name_is_shown_at_its_own(
    browser: Browser, open_house: Stoa
) -> None:
    visitor = Visitor(browser, open_house)
    visitor.page.goto(f"http://localhost:{open_house.port}/ports/?page=x")

    assert visitor.page.url == f"{visitor.applications}/ports/?page=x"
    visitor.problems.clear()
    visitor.leave()


@pytest.mark.parametrize("name", HOSTS)
def test_scripts_are_answered_by_each_name(open_house: Stoa, name: str) -> None:
    for portal, path in ((False, "/ports/"), (True, "/portal/login")):
        port = open_house.portal_port if portal else open_house.port
        answer = open_house.ask("GET", path, portal=portal, headers={"Host": f"{name}:{port}"})
        assert answer.status == 200, (name, path)


def test_where_one_host_carries_both_they_come_along_and_stoa_says_so(browser: Browser) -> None:
    stoa = Stoa(STOA_WALLS="0")
    stoa.environment["STOA_PORTAL_URL"] = f"http://127.0.0.1:{stoa.portal_port}"
    with stoa:
        assert [line for line in stoa.output if line.startswith("Warning: Portal and applications have one host name")]
        assert "have one host name" in stoa.command("status").stdout
        host(stoa, "ports", APP)
        port = free_port()
        assert met(stoa, "bind4", port) == port
        visitor = Visitor(browser, stoa)
        visitor.portal = f"http://127.0.0.1:{stoa.portal_port}/portal/"
        visitor.sign_in()
        visitor.page.goto(f"{visitor.applications}/ports/?page=http://127.0.0.1:{port}/portal/")

        wait_for(lambda: heard(stoa), 20)
        assert "stoa_session" in heard(stoa)[0]
        visitor.problems.clear()
        visitor.leave()


def test_behind_walls_the_page_has_nobody_to_ask(browser: Browser) -> None:
    with Stoa() as stoa:
        host(stoa, "ports", APP)
        if not {line["name"]: line for line in stoa.live()["walls"]}["TCP ports that the namespace does not name"][
            "holds"
        ]:
            pytest.skip("this machine keeps nobody from ports")
        port = free_port()
        for way in ("bind4", "bind6", "listen4", "listen6"):
            assert isinstance(met(stoa, way, port), str)
        visitor = Visitor(browser, stoa)
        visitor.sign_in()
        asked = [("page", f"http://{name}:{port}/portal/") for name in HOSTS]
        visitor.page.goto(f"{visitor.applications}/ports/?{urlencode(asked)}")

        assert heard(stoa) == []
        visitor.problems.clear()
        visitor.leave()
