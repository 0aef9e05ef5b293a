"""The main job as a person does it, in Chromium."""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import Visitor, chromium
from tests.serving import Stoa

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

APP = """
from flask import Flask

from notes import read

app = Flask(__name__)


@app.get("/")
def index():
    return f"<!doctype html><title>Notes</title><h1>{read()}</h1>"
"""
NOTES = """
def read():
    return "{words}"
"""
BROKEN = "def read(:\n"
HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
PAGES = (
    "",
    "?q=nothing-has-this-name",
    "webapps/new",
    "webapps/{pk}/",
    "webapps/{pk}/edit",
    "webapps/{pk}/roles",
    "webapps/{pk}/matching-roles",
    "webapps/{pk}/delete",
    "webapps/{pk}/install",
    "namespaces/",
    "namespaces/new",
    "namespaces/USER/edit",
    "namespaces/USER/delete",
    "log/applications",
    "log/stoa",
    "system",
    "users/",
    "users/new",
    "users/1/",
    "users/1/delete",
    "roles/",
    "roles/new",
    "roles/1/",
    "resources/",
    "resources/new",
    "options",
    "locks",
    "password",
)

Arrive = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def arrive(browser: Browser, stoa: Stoa) -> Iterator[Arrive]:
    """Open windows; each of them has to end without a complaint."""
    visitors: list[Visitor] = []

    def arrived(**options: Any) -> Visitor:
        visitors.append(Visitor(browser, stoa, **options))
        return visitors[-1]

    yield arrived
    for visitor in visitors:
        visitor.leave()


@pytest.fixture(scope="module")
def taken(stoa: Stoa) -> Path:
    """The directory of /browser/taken."""
    directory = stoa.write("browser/taken", {"app.py": HELLO, "helper.py": ""})
    stoa.create("/browser/taken", directory)
    return directory


@pytest.fixture
def visitor(arrive: Arrive) -> Visitor:
    """The administrator, signed in."""
    somebody = arrive()
    somebody.sign_in()
    return somebody


def notes(words: str) -> dict[str, str]:
    return {"notes.py": NOTES.format(words=words)}


def make_namespace(visitor: Visitor, name: str) -> None:
    """Make a namespace on the interpreter of the tests, which has Flask."""
    visitor.open("namespaces/")
    visitor.follow("Create Namespace")
    visitor.field("Name").fill(name)
    visitor.page.locator("#id_interpreter").fill(sys.executable)
    visitor.press("Save")
    expect(visitor.page.get_by_text(f"Created the namespace {name}.")).to_be_visible()


def create(visitor: Visitor, name: str, namespace: str, app_name: str, callable_name: str) -> None:
    """Fill in the General tab and save."""
    visitor.open()
    visitor.follow("Create Web Application")
    visitor.field("Name").fill(name)
    visitor.field("Namespace").select_option(namespace)
    visitor.field("Application Name").fill(app_name)
    visitor.field("Callable Name").fill(callable_name)
    open_to_all(visitor)
    visitor.press("Save")
    expect(visitor.heading(name)).to_be_visible()


def open_to_all(visitor: Visitor) -> None:
    """Tick Unauthenticated and nothing else: signing in has tests of its own."""
    for box in visitor.page.locator("input[name=authe_enabled]").all():
        box.set_checked(box.get_attribute("value") == "64")


def shows(visitor: Visitor, path: str, words: str) -> None:
    """Look at an application in the browser."""
    answer = visitor.page.goto(visitor.applications + path)
    assert answer and answer.ok, answer and answer.status
    expect(visitor.page.get_by_text(words)).to_be_visible()
    visitor.page.go_back()


def test_save_a_web_application_and_it_is_live_until_it_is_deleted(stoa: Stoa, visitor: Visitor) -> None:
    directory = stoa.write("browser/notes", {"app.py": APP, **notes("First note")})
    page = visitor.page
    make_namespace(visitor, "BROWSER")

    # Create: live under its name.
    create(visitor, "/browser/notes", "BROWSER", "app", "app")
    expect(visitor.badge()).to_have_text("Running")
    expect(page.locator(".properties")).to_contain_text(str(directory))
    page.locator(".lead").get_by_role("link").click()
    expect(page.get_by_role("heading", name="First note")).to_be_visible()
    assert page.url == visitor.applications + "/browser/notes/"
    page.go_back()

    # Break it: the old one goes on, and the page says why.
    stoa.write("browser/notes", {"notes.py": BROKEN})
    visitor.follow("Edit")
    visitor.press("Save")
    expect(page.locator(".status-card .reason")).to_contain_text("generation 2 did not start")
    expect(page.get_by_label("Traceback")).to_contain_text("SyntaxError")
    expect(page.get_by_label("Traceback")).to_contain_text("notes.py")
    expect(page.get_by_text("What served before goes on serving")).to_be_visible()
    shows(visitor, "/browser/notes/", "First note")

    # Mend it.
    stoa.write("browser/notes", notes("Second note, mended"))
    visitor.press("Reload")
    expect(page.get_by_label("Traceback")).to_have_count(0)
    expect(page.locator(".status-card .facts")).to_contain_text("Generation3")
    shows(visitor, "/browser/notes/", "Second note, mended")

    # Off and on.
    visitor.press("Disable")
    expect(visitor.badge()).to_have_text("Disabled")
    stoa.eventually("/browser/notes/", status=404)
    visitor.press("Enable")
    expect(visitor.badge()).to_have_text("Running")
    stoa.eventually("/browser/notes/", text="Second note")

    # Another name.
    visitor.follow("Edit")
    expect(page.locator("#id_name_helptext")).to_contain_text("the old one answers 404")
    visitor.field("Name").fill("/browser/renamed")
    visitor.press("Save")
    expect(page.get_by_text("The address has changed: /browser/notes answers 404")).to_be_visible()
    stoa.eventually("/browser/renamed/", text="Second note")
    stoa.eventually("/browser/notes/", status=404)

    # Gone, but for its files.
    visitor.follow("Delete")
    expect(page.get_by_text("The files stay")).to_be_visible()
    visitor.press("Delete")
    expect(page.get_by_text("Deleted /browser/renamed.")).to_be_visible()
    stoa.eventually("/browser/renamed/", status=404)
    answer = page.goto(visitor.applications + "/browser/renamed/")
    assert answer and answer.status == 404
    assert (directory / "app.py").exists()


def test_without_javascript_everything_is_a_page(stoa: Stoa, arrive: Arrive) -> None:
    stoa.write("browser/plain", {"app.py": HELLO})
    visitor = arrive(java_script_enabled=False)
    visitor.sign_in()

    create(visitor, "/browser/plain", "USER", "app", "application")
    stoa.eventually("/browser/plain/", text="hello")
    visitor.page.reload()
    expect(visitor.badge()).to_have_text("Running")

    visitor.follow("Whole log")
    expect(visitor.page.locator("#log")).to_contain_text("is running")
    expect(visitor.page.locator("#follow")).to_be_hidden()
    visitor.press("Refresh")
    expect(visitor.page.locator("#log")).to_contain_text("is running")

    visitor.open()
    visitor.follow("/browser/plain")
    visitor.follow("Delete")
    visitor.press("Delete")
    stoa.eventually("/browser/plain/", status=404)


def test_without_javascript_roles_are_given(stoa: Stoa, arrive: Arrive) -> None:
    stoa.create("/browser/roles", stoa.write("browser/roles", {"app.py": HELLO}))
    visitor = arrive(java_script_enabled=False)
    visitor.sign_in()
    page = visitor.page
    visitor.follow("/browser/roles")
    pk = re.findall(r"webapps/(\d+)/", page.url)[0]

    visitor.open("roles/new")
    visitor.field("Name").fill("Clerk")
    visitor.field("See web applications, namespaces and logs").check()
    visitor.press("Save")
    expect(page.get_by_text("Saved the role Clerk.")).to_be_visible()

    visitor.open("users/new")
    visitor.page.locator("#id_username").fill("pat")
    visitor.field("Clerk").check()
    visitor.press("Save")
    password = page.locator(".made").inner_text()

    visitor.open(f"webapps/{pk}/matching-roles")
    visitor.field("Match role 1").fill("Clerk")
    visitor.field("Granted roles 1").fill("Reader, Writer")
    visitor.press("Save")
    expect(page.locator(".properties")).to_contain_text("Clerk → Reader, Writer")

    colleague = arrive(java_script_enabled=False)
    colleague.open(f"webapps/{pk}/")
    colleague.page.get_by_label("User name").fill("pat")
    colleague.page.get_by_label("Password").fill(password)
    colleague.press("Sign in")
    expect(colleague.heading("/browser/roles")).to_be_visible()
    expect(colleague.page.get_by_role("link", name="Edit", exact=True)).to_have_count(0)
    expect(colleague.page.get_by_role("link", name="Security", exact=True)).to_have_count(0)


def test_a_keyboard_is_enough_to_sign_in_and_save(stoa: Stoa, arrive: Arrive) -> None:
    stoa.write("browser/keys", {"app.py": HELLO})
    visitor = arrive()
    visitor.open()
    keyboard = visitor.page.keyboard
    expect(visitor.page.get_by_label("User name")).to_be_focused()
    for word, key in (("admin", "Tab"), ("secret-of-the-test", "Enter")):
        keyboard.type(word)
        keyboard.press(key)
    expect(visitor.heading("Web Applications")).to_be_visible()

    visitor.tab_to("main a[href$='/webapps/new']")
    keyboard.press("Enter")
    expect(visitor.field("Name")).to_be_focused()
    keyboard.type("/browser/keys")
    visitor.tab_to("#id_namespace")
    keyboard.type("USER")
    visitor.tab_to("#id_app_name")
    keyboard.type("app")
    for method in (64, 32, 16384):  # Unauthenticated on; Password and Login Cookie, which a new one has, off.
        visitor.tab_to(f"input[name=authe_enabled][value='{method}']")
        keyboard.press("Space")
    visitor.tab_to(".save-bar button[type=submit]")
    keyboard.press("Enter")

    expect(visitor.heading("/browser/keys")).to_be_visible()
    stoa.eventually("/browser/keys/", text="hello")


def test_requirements_are_installed_from_the_page_with_a_clear_end(stoa: Stoa, visitor: Visitor) -> None:
    directory = stoa.write("browser/needs", {"app.py": "import browser_tiny\n" + HELLO})
    wheel = make_wheel(directory)
    stoa.write("browser/needs", {"requirements.txt": f"browser-tiny @ {wheel.as_uri()}\n"})
    page = visitor.page
    create(visitor, "/browser/needs", "USER", "app", "application")
    expect(visitor.badge()).to_have_text("Failed")
    expect(page.locator(".status-card")).to_contain_text("browser_tiny")

    visitor.follow("Install its requirements")
    visitor.press("Install into USER")
    expect(page.locator("[data-poll] .badge")).to_have_text("Done")
    expect(page.get_by_label("The installer’s lines")).to_contain_text("browser-tiny")
    stoa.eventually("/browser/needs/", text="hello")

    stoa.write("browser/needs", {"requirements.txt": f"gone @ {wheel.parent.as_uri()}/gone-1-py3-none-any.whl\n"})
    page.reload()
    visitor.press("Install into USER")
    expect(page.locator("[data-poll] .badge")).to_have_text("Failed")
    expect(page.locator("[data-poll]")).to_contain_text("Nothing has changed.")
    assert stoa.get("/browser/needs/").text == "hello"


def make_wheel(directory: Path) -> Path:
    """Make a package that needs no index."""
    path = directory / "browser_tiny-1-py3-none-any.whl"
    about = "browser_tiny-1.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("browser_tiny.py", "")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: browser-tiny\nVersion: 1\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return path


def test_an_asgi_callable_declared_as_wsgi_has_a_remedy_of_one_click(stoa: Stoa, visitor: Visitor) -> None:
    source = """
async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"asynchronous"})
"""
    stoa.write("browser/async", {"app.py": source})
    create(visitor, "/browser/async", "USER", "app", "application")
    expect(visitor.badge()).to_have_text("Failed")

    visitor.press("Set Python Protocol Type to asgi")

    expect(visitor.badge()).to_have_text("Running")
    stoa.eventually("/browser/async/", text="asynchronous")


def test_a_missing_directory_is_made_with_a_hello_application(stoa: Stoa, visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("webapps/new")
    visitor.field("Name").fill("/browser/fresh")
    expect(visitor.field("WSGI App Directory")).to_have_value(str(stoa.home / "csp/browser/fresh"))
    visitor.field("Namespace").select_option("USER")
    visitor.field("Application Name").fill("app")
    open_to_all(visitor)
    visitor.press("Save")
    expect(page.locator("#div_id_directory .invalid-feedback")).to_contain_text("There is no directory")

    # Enter in a field saves; it does not take the offer.
    with page.expect_navigation():
        visitor.field("Description").press("Enter")
    expect(page.locator("#div_id_directory .invalid-feedback")).to_contain_text("There is no directory")
    assert not (stoa.home / "csp/browser/fresh").exists()

    visitor.press("Make it and save")

    expect(visitor.badge()).to_have_text("Running")
    stoa.eventually("/browser/fresh/", text="Hello from /browser/fresh")


def test_the_log_follows_what_an_application_prints(stoa: Stoa, visitor: Visitor) -> None:
    source = HELLO.replace("    start", "    print('path', environ['PATH_INFO'], flush=True)\n    start", 1)
    stoa.write("browser/chatty", {"app.py": source})
    create(visitor, "/browser/chatty", "USER", "app", "application")
    stoa.eventually("/browser/chatty/", text="hello")

    visitor.follow("Whole log")
    expect(visitor.page.locator("#log")).to_contain_text("is running")
    stoa.get("/browser/chatty/while-somebody-looks")

    expect(visitor.page.locator("#log")).to_contain_text("path /while-somebody-looks")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 1920])
def test_every_page_fits_its_window_in_both_color_schemes(stoa: Stoa, arrive: Arrive, width: int, scheme: Any) -> None:
    name = "/browser/" + "long-" * 8 + f"{width}-{scheme}"
    stoa.create(name, stoa.write(name[1:], {"app.py": "raise RuntimeError('" + "x" * 300 + "')\n"}))
    stoa.wait_for_state(name, "failed")
    visitor = arrive(viewport={"width": width, "height": 740}, color_scheme=scheme)
    visitor.open()
    fits(visitor, scheme)
    visitor.sign_in()
    visitor.follow(name)
    pk = re.findall(r"webapps/(\d+)/", visitor.page.url)[0]

    for path in PAGES:
        visitor.open(path.format(pk=pk))
        fits(visitor, scheme)


def fits(visitor: Visitor, scheme: str) -> None:
    """Look for sideways scrolling, and for the scheme's paper."""
    page = visitor.page
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, page.url
    red, *_ = map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor")))
    assert (red < 100) == (scheme == "dark"), page.url


@pytest.mark.parametrize(
    ("field", "given", "words"),
    [
        ("name", "no-slash", "begins with “/”"),
        ("name", "/portal/mine", "Stoa’s own"),
        ("name", "/" + "x" * 64, "at most 64"),
        ("name", "/a b", "“a b” has something else"),
        ("name", "/browser/taken", "is taken"),
        ("directory", "/nowhere/at/all", "There is no directory /nowhere/at/all"),
        ("directory", "{file}", "This is a file, not a directory"),
        ("directory", "/etc", "belongs to the operating system"),
        ("app_name", "elsewhere", "The modules there are: app, helper"),
        ("callable_name", "not a name", "Give a callable’s name"),
        ("namespace", "", "required"),
    ],
)
def test_bad_input_is_answered_at_its_field(taken: Path, visitor: Visitor, field: str, given: str, words: str) -> None:
    visitor.open("webapps/new")
    right = {"name": "/browser/other", "directory": str(taken), "app_name": "app", "namespace": "USER"}
    for name, value in (right | {field: given.format(file=taken / "app.py")}).items():
        box = visitor.page.locator(f"#id_{name}")
        if name == "namespace":
            box.select_option(label=value or "Choose a namespace")
        else:
            box.evaluate("box => box.removeAttribute('maxlength')")
            box.fill(value)

    visitor.press("Save")

    expect(visitor.page.locator(f"#div_id_{field} .invalid-feedback")).to_contain_text(words)
    expect(visitor.page.get_by_text("Nothing is saved yet.")).to_be_visible()
    visitor.open("?q=/browser/other")
    expect(visitor.page.get_by_text("Nothing matches")).to_be_visible()
