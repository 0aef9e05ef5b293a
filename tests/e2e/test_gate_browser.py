"""Signing in to applications as a person does it, and what script in a hosted page can do about it: nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import signing
from tests.e2e.browser import Visitor, chromium
from tests.e2e.test_gate import LOGIN_COOKIE, PASSWORD, UNAUTHENTICATED
from tests.serving import Stoa
from tests.waiting import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    who = environ.get("REMOTE_USER", "nobody in particular")
    return [f"<!doctype html><title>x</title><h1>Hello {who} at {environ['PATH_INFO']}</h1>".encode()]
"""
# A page of somebody who means harm: it has a service worker, and asks for the widest scope there is.
EVIL = """
WORKER = b"self.addEventListener('fetch', e => e.respondWith(new Response('caught')))"

def application(environ, start_response):
    if environ["PATH_INFO"] == "/worker.js":
        start_response("200 OK", [("Content-Type", "text/javascript"), ("Service-Worker-Allowed", "/")])
        return [WORKER]
    start_response("200 OK", [("Content-Type", "text/html"),
                              ("Set-Cookie", "stoa_login=made-up; Path=/"), ("Set-Cookie", "own=1; Path=/")])
    return [b"<!doctype html><title>evil</title><h1>Evil</h1>"]
"""
READS = """async (portal) => {
    const seen = {};
    const tried = async (name, what) => {
        try { seen[name] = await what(); } catch (error) { seen[name] = "refused"; }
    };
    await tried("fetch", async () => (await fetch(portal, {credentials: "include"})).text());
    await tried("opaque", async () => (await fetch(portal, {credentials: "include", mode: "no-cors"})).type);
    await tried("post", async () => (await fetch(portal + "options", {
        method: "POST", credentials: "include", mode: "no-cors",
        headers: {"Content-Type": "application/x-www-form-urlencoded"}, body: "session_timeout=61"})).type);
    await tried("frame", async () => {
        const frame = document.createElement("iframe");
        frame.src = portal;
        document.body.append(frame);
        await new Promise((done) => { frame.onload = done; setTimeout(done, 3000); });
        return frame.contentDocument ? frame.contentDocument.body.innerText : "closed";
    });
    await tried("worker at the root", async () => {
        await navigator.serviceWorker.register("worker.js", {scope: "/"});
        return "registered";
    });
    await tried("worker of its own", async () => {
        await navigator.serviceWorker.register("worker.js");
        return "registered";
    });
    return seen;
}"""

Arrive = Callable[..., Visitor]


@pytest.fixture(scope="module")
def gated() -> Iterator[Stoa]:
    with Stoa() as stoa:
        hello, evil = stoa.write("hello", {"app.py": HELLO}), stoa.write("evil", {"app.py": EVIL})
        both = PASSWORD | LOGIN_COOKIE
        for name, bits, more in (
            ("/one", both, {}),
            ("/two", both, {}),
            ("/alone", PASSWORD, {}),
            ("/also-alone", PASSWORD, {}),
            ("/group/a", PASSWORD, {"GroupById": "pair"}),
            ("/group/b", PASSWORD, {"GroupById": "pair"}),
            ("/reports", both, {"Resource": "Reports"}),
            ("/ldap", 2048, {}),
        ):
            stoa.create(name, hello, AutheEnabled=bits, **more)
        stoa.create("/evil", evil, AutheEnabled=UNAUTHENTICATED)
        signing.user(stoa, "ann")
        stoa.eventually("/evil/", text="Evil")
        yield stoa


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def arrive(gated: Stoa, browser: Browser) -> Iterator[Arrive]:
    visitors: list[Visitor] = []

    def somebody(**options: Any) -> Visitor:
        visitors.append(Visitor(browser, gated, **options))
        return visitors[-1]

    yield somebody
    for visitor in visitors:
        # That a page is refused is what these tests are about; nothing else may be complained of.
        visitor.problems = [words for words in visitor.problems if "status of 4" not in words]
        visitor.leave()


def fill(page: Page, name: str, password: str) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def asked_for_a_password(page: Page) -> None:
    expect(page.get_by_role("heading", level=1, name="Sign in", exact=True)).to_be_visible()
    assert "/portal/enter?" in page.url


@pytest.mark.parametrize("scripted", [True, False])
def test_somebody_signs_in_and_is_where_they_wanted_to_be(arrive: Arrive, scripted: bool) -> None:
    visitor = arrive(java_script_enabled=scripted)
    page, apps = visitor.page, visitor.applications
    page.goto(f"{apps}/one/some/page?a=b")
    asked_for_a_password(page)
    expect(page.get_by_text("/one", exact=True)).to_be_visible()

    fill(page, "ann", "wrong")
    expect(page.get_by_role("alert")).to_contain_text("do not match")
    fill(page, "ann", signing.PASSWORD)
    expect(page.get_by_role("heading")).to_have_text("Hello ann at /some/page")
    assert page.url == f"{apps}/one/some/page?a=b"

    # The Login Cookie lets into what allows it; a password alone is asked for by each.
    page.goto(f"{apps}/two/")
    expect(page.get_by_role("heading")).to_have_text("Hello ann at /")
    page.goto(f"{apps}/alone/")
    asked_for_a_password(page)
    fill(page, "ann", signing.PASSWORD)
    expect(page.get_by_role("heading")).to_have_text("Hello ann at /")
    page.goto(f"{apps}/also-alone/")
    asked_for_a_password(page)

    page.goto(f"{apps}/-/leave")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading")).to_have_text("You are signed out")
    for name in ("/one/", "/alone/"):
        page.goto(apps + name)
        asked_for_a_password(page)


def test_two_tabs_that_ask_at_once_both_come_back(arrive: Arrive) -> None:
    visitor = arrive()
    first, second = visitor.page, visitor.context.new_page()
    first.goto(f"{visitor.applications}/one/a")
    second.goto(f"{visitor.applications}/alone/b")
    fill(first, "ann", signing.PASSWORD)
    expect(first.get_by_role("heading")).to_have_text("Hello ann at /a")

    fill(second, "ann", signing.PASSWORD)
    expect(second.get_by_role("alert")).to_contain_text("in another tab")
    fill(second, "ann", signing.PASSWORD)
    expect(second.get_by_role("heading")).to_have_text("Hello ann at /b")


def test_a_group_shares_a_sign_in(arrive: Arrive) -> None:
    visitor = arrive()
    page, apps = visitor.page, visitor.applications
    page.goto(f"{apps}/group/a/")
    fill(page, "ann", signing.PASSWORD)
    expect(page.get_by_role("heading")).to_have_text("Hello ann at /")

    page.goto(f"{apps}/group/b/")
    expect(page.get_by_role("heading")).to_have_text("Hello ann at /")
    page.goto(f"{apps}/alone/")
    asked_for_a_password(page)


def test_who_signs_out_of_the_portal_is_out_of_the_applications(arrive: Arrive) -> None:
    visitor = arrive()
    page, apps = visitor.page, visitor.applications
    visitor.sign_in()
    page.goto(f"{apps}/one/")
    expect(page.get_by_role("heading")).to_have_text("Hello admin at /")

    visitor.open()
    page.locator(".user-menu summary").click()
    visitor.press("Sign out")
    expect(page.get_by_label("User name")).to_be_visible()
    wait_for(lambda: "/portal/enter?" in (page.goto(f"{apps}/one/"), page.url)[1], 5, "still signed in")
    asked_for_a_password(page)


def test_who_may_not_enter_is_told_why(arrive: Arrive, gated: Stoa) -> None:
    colleague = arrive()
    colleague.page.goto(f"{colleague.applications}/reports/")
    fill(colleague.page, "ann", signing.PASSWORD)
    expect(colleague.page.get_by_role("heading")).to_have_text("You may not enter")
    expect(colleague.page.locator("main")).to_contain_text("signed in as ann")
    expect(colleague.page.get_by_role("button", name="Sign out")).to_be_visible()

    stranger = arrive()
    stranger.page.goto(f"{stranger.applications}/ldap/")
    expect(stranger.page.get_by_role("heading")).to_have_text("Nobody may enter")
    expect(stranger.page.locator("main")).not_to_contain_text("LDAP")

    administrator = arrive()
    administrator.sign_in()
    administrator.page.goto(f"{administrator.applications}/one/")
    administrator.page.goto(f"{administrator.applications}/ldap/")
    expect(administrator.page.locator("main")).to_contain_text("Allowed Authentication Methods are: LDAP")


def test_too_many_wrong_passwords_lock_and_say_how_long(arrive: Arrive, gated: Stoa) -> None:
    signing.user(gated, "gus")
    page = arrive().page
    page.goto(f"http://127.0.0.1:{gated.port}/one/")
    for _attempt in range(5):
        fill(page, "gus", "wrong")
        page.wait_for_load_state()
    expect(page.get_by_role("heading", level=1)).to_have_text("Too many wrong passwords")
    expect(page.locator("main")).to_contain_text("minutes")


def test_script_in_a_hosted_page_cannot_touch_the_portal(arrive: Arrive, gated: Stoa) -> None:
    visitor = arrive()
    visitor.sign_in()
    page = visitor.page
    page.goto(f"{visitor.applications}/evil/")
    before = signing.run(gated, "result = Options.current().session_timeout")

    seen = page.evaluate(READS, visitor.portal)

    assert seen["fetch"] == "refused"
    assert seen["frame"] in ("closed", "")
    assert seen["worker at the root"] == "refused"
    assert seen["worker of its own"] == "registered"
    assert signing.run(gated, "result = Options.current().session_timeout") == before
    names = {cookie["name"]: cookie["value"] for cookie in visitor.context.cookies(visitor.applications + "/evil/")}
    assert names.get("own") == "1" and "made-up" not in names.values()
    assert "stoa" not in page.evaluate("document.cookie")

    # An opener sees nothing of a page of the portal.
    with page.expect_popup() as popup:
        page.evaluate("address => { window.other = window.open(address) }", visitor.portal)
    popup.value.wait_for_load_state()
    assert page.evaluate(
        "() => { try { return String(window.other.document.title) } catch (error) { return 'closed' } }"
    ) in ("closed", "")
    popup.value.close()

    # What the hosted page was refused is in the console, and that is as it should be.
    visitor.problems.clear()

    # What script adds is at the applications' name, which is not the portal's.
    page.evaluate("document.cookie = 'stoa_session=made-up; path=/portal/users/'")
    visitor.open("users/")
    expect(visitor.heading("Users")).to_be_visible()

    # Two session cookies count as none: nobody acts by the one that was added, and both are forgotten.
    added = {"name": "stoa_session", "value": "made-up", "domain": "localhost", "path": "/portal/users/"}
    visitor.context.add_cookies([added])  # type: ignore[list-item]
    visitor.open("users/")
    expect(visitor.heading("Your browser sends two session cookies")).to_be_visible()
    visitor.follow("Sign in")
    fill(page, "admin", "secret-of-the-test")
    expect(visitor.heading("Web Applications")).to_be_visible()
    visitor.open("users/")
    expect(visitor.heading("Users")).to_be_visible()
