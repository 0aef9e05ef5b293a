"""Where things stand on the pages, in Chromium: what has the focus, what is newest and each link are to be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.browser import Visitor, chromium
from tests.serving import Stoa

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

Arrive = Callable[..., Visitor]
BEHIND_THE_BAR = """() => {
    const bar = document.querySelector(".save-bar"), it = document.activeElement;
    return !bar.contains(it) && it.getBoundingClientRect().bottom > bar.getBoundingClientRect().top;
}"""


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
    seen = []
    while "btn-primary" not in focused(page) and len(seen) < 120:
        page.keyboard.press("Tab")
        seen.append(focused(page))
        assert not page.evaluate(BEHIND_THE_BAR), seen[-1]

    assert "id_namespace" in seen and "id_app_name" in seen
