"""Where things stand on the pages, in Chromium: what has the focus, what is newest and each link are to be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import Visitor, chromium
from tests.serving import Stoa

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

Arrive = Callable[..., Visitor]
BEHIND_THE_BAR = """() => {
    const bar = document.querySelector(".save-bar"), it = document.activeElement;
    return !bar.contains(it) && it.getBoundingClientRect().bottom > bar.getBoundingClientRect().top;
}"""
LAST_IS_SEEN = """() => {
    const box = document.querySelector(".log"), frame = box.getBoundingClientRect();
    const last = [...box.querySelectorAll(".line")].at(-1).getBoundingClientRect();
    return box.scrollHeight > box.clientHeight && last.bottom <= frame.bottom + 2 && last.top >= frame.top;
}"""
TOP = "line => line.getBoundingClientRect().top"
TALKATIVE = """
print(*(f"line {number}" for number in range(300)), sep="\\n", flush=True)


def application(environ, start_response):
    print("asked", flush=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def arrive(browser: Browser, stoa: Stoa) -> Iterator[Arrive]:
    visitors: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        visitors.append(Visitor(browser, stoa, **options))
        visitors[-1].sign_in()
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.leave()


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.className"))


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_what_has_the_focus_is_never_behind_the_bar_with_the_buttons(arrive: Arrive, width: int) -> None:
    page = arrive(viewport={"width": width, "height": 740}).page
    page.goto(page.url + "webapps/new")
    seen: list[str] = []
    while "btn-primary" not in focused(page) and len(seen) < 120:
        page.keyboard.press("Tab")
        seen.append(focused(page))
        assert not page.evaluate(BEHIND_THE_BAR), seen[-1]

    assert "id_namespace" in seen and "id_app_name" in seen


@pytest.fixture(scope="module")
def talkative(stoa: Stoa) -> str:
    """The label of an application that has printed more than a page shows at once."""
    stoa.create("/talkative", stoa.write("talkative", {"app.py": TALKATIVE}))
    stoa.eventually("/talkative/", text="hello")
    return "/talkative"


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("path", ["webapps/{pk}/", "log/applications?app=/talkative"])
def test_the_newest_line_is_seen_first(stoa: Stoa, arrive: Arrive, talkative: str, path: str, script: bool) -> None:
    page = arrive(java_script_enabled=script).page
    page.goto(page.url + path.format(pk=stoa.key_of(talkative)))

    page.locator(".log .line").last.wait_for()
    assert page.evaluate(LAST_IS_SEEN)


@pytest.mark.parametrize("path", ["webapps/{pk}/", "log/applications?app=/talkative"])
def test_a_line_that_comes_is_seen(stoa: Stoa, arrive: Arrive, talkative: str, path: str) -> None:
    page = arrive().page
    page.goto(page.url + path.format(pk=stoa.key_of(talkative)))
    hear_of_a_request(stoa, page)

    assert page.evaluate(LAST_IS_SEEN)


def test_who_looks_at_an_older_line_keeps_it(stoa: Stoa, arrive: Arrive, talkative: str) -> None:
    page = arrive().page
    page.goto(page.url + "log/applications?app=/talkative")
    older = page.locator(".log .line", has_text="line 150")
    older.evaluate("line => line.scrollIntoView()")
    place = older.evaluate(TOP)
    hear_of_a_request(stoa, page)

    assert abs(older.evaluate(TOP) - place) < 5


def hear_of_a_request(stoa: Stoa, page: Page) -> None:
    """Have the application print a line, and wait until the page has it."""
    lines = page.locator(".log .line", has_text="asked")
    before = lines.count()
    stoa.get("/talkative/")
    expect(lines).not_to_have_count(before)


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_each_link_of_the_navigation_is_seen(arrive: Arrive, width: int) -> None:
    page = arrive(viewport={"width": width, "height": 740}).page

    assert page.locator(".main-nav").evaluate("nav => nav.scrollWidth <= nav.clientWidth")
