"""A person at a browser: Debian's Chromium, watched for what no page of Stoa may do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.patience import within
from tests.serving import Stoa

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever name a page asks for, nothing is looked up outside this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE ::1",
)
#: This machine, by all its names.
HERE = ("127.0.0.1", "localhost", "::1")
PATIENCE = within(20) * 1000
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
    console.error(`Content-Security-Policy: ${event.violatedDirective} ${event.blockedURI}`));
"""


def chromium_path() -> str:
    """Return where Chromium is; skip without it, but never in CI."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    if os.environ.get("CI") == "true":
        raise RuntimeError("Chromium is missing; in CI the browser tests are never skipped")
    pytest.skip("Chromium is missing: apt-get install chromium")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium; it and the driver's loop are gone at the end."""
    path = chromium_path()
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Somebody who looks at Stoa; ``leave`` says what went wrong behind the pages."""

    def __init__(self, browser: Browser, stoa: Stoa, **options: Any) -> None:
        self.stoa = stoa
        self.portal = f"http://localhost:{stoa.portal_port}/portal/"
        self.applications = f"http://127.0.0.1:{stoa.port}"
        self.scripted = bool(options.get("java_script_enabled", True))
        self.context: BrowserContext = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE)
        if self.scripted:
            self.context.add_init_script(REPORT_VIOLATIONS)
        self.problems: list[str] = []
        self.context.on("request", lambda request: self._asked(request.url))
        self.context.on("console", self._said)
        self.context.on("weberror", lambda error: self.problems.append(f"uncaught: {error.error}"))
        self.page: Page = self.context.new_page()

    def _asked(self, url: str) -> None:
        if urlsplit(url).hostname not in HERE:
            self.problems.append(f"a request left the machine: {url}")

    def _said(self, message: ConsoleMessage) -> None:
        """Note what a page of the portal complains of; a hosted application may do as it likes."""
        if message.type in ("error", "warning") and not message.location["url"].startswith(self.applications):
            self.problems.append(f"console: {message.text} ({message.location['url']})")

    def leave(self) -> None:
        """Close the window, and fail with what was seen behind the pages."""
        self.context.close()
        assert not self.problems, "\n".join(self.problems)

    def open(self, path: str = "") -> None:
        """Open a page of the portal."""
        self.page.goto(self.portal + path)

    def sign_in(self) -> None:
        """Sign in as the administrator, from wherever the sign-in page was reached."""
        self.open()
        self.page.get_by_label("User name").fill("admin")
        self.page.get_by_label("Password").fill("secret-of-the-test")
        self.press("Sign in")
        expect(self.heading("Web Applications")).to_be_visible()

    def heading(self, words: str) -> Any:
        """Return the page's heading."""
        return self.page.get_by_role("heading", level=1, name=words, exact=True)

    def field(self, label: str) -> Any:
        """Return a field by its label."""
        return self.page.get_by_label(label, exact=True)

    def press(self, words: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=words, exact=True).click()

    def follow(self, words: str) -> None:
        """Follow a link of the page's content."""
        self.page.locator("main").get_by_role("link", name=words, exact=True).click()

    def badge(self) -> Any:
        """Return the state that the application's page shows."""
        return self.page.locator(".status-card .badge")

    def tab_to(self, selector: str, most: int = 80) -> None:
        """Press Tab until something has the focus, as somebody without a mouse does."""
        wanted = self.page.locator(selector)
        for _ in range(most):
            if wanted.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{selector} is not reached by {most} presses of Tab")
