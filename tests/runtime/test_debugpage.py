"""The page with the traceback, in the place of what a framework answers where it has caught the exception itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import flask
import pytest

from webapps.runtime import caught, debugpage

Started = list[tuple[str, dict[str, str]]]


@pytest.fixture(autouse=True)
def _records() -> Iterator[None]:
    """Nothing looks at the records of other tests."""
    before = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(before)


def ask(application: Callable[..., Any], path: str = "/") -> tuple[str, dict[str, str], str]:
    """Ask as a server does; return status, headers and body."""
    environ: dict[str, Any] = {"PATH_INFO": path, "HTTP_ACCEPT": "text/html", "wsgi.file_wrapper": FileWrapper}
    setup_testing_defaults(environ)
    started: Started = []
    written: list[bytes] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        assert not started or exc_info
        started[:] = [(status, dict(headers))]
        return written.append

    response = application(environ, start)
    body = b"".join(response)
    if hasattr(response, "close"):
        response.close()
    return *started[0], (b"".join(written) + body).decode()


def site() -> flask.Flask:
    made = flask.Flask("site")

    @made.route("/")
    def _raises() -> str:
        raise ValueError("<b>no such page</b>")

    @made.route("/aborts")
    def _aborts() -> str:
        flask.abort(500)

    @made.route("/notes")
    def _notes() -> str:
        try:
            raise KeyError("noted")
        except KeyError:
            made.logger.exception("it goes on")
        return "all is well"

    return made


def test_an_exception_that_flask_has_caught_is_shown() -> None:
    status, headers, body = ask(debugpage.wsgi(site()))

    assert (status, headers["Content-Type"]) == ("500 Internal Server Error", "text/html; charset=utf-8")
    assert "in _raises" in body and "&lt;b&gt;no such page&lt;/b&gt;" in body


def test_the_page_stands_in_the_place_of_one_for_visitors() -> None:
    made = site()
    made.register_error_handler(500, lambda _error: ("We are sorry", 500))

    assert "in _raises" in ask(debugpage.wsgi(made))[2]


@pytest.mark.parametrize(
    ("path", "status"), [("/aborts", "500 INTERNAL SERVER ERROR"), ("/notes", "200 OK"), ("/x", "404 NOT FOUND")]
)
def test_what_is_no_exception_is_answered_as_the_application_does(path: str, status: str) -> None:
    found = ask(debugpage.wsgi(site()), path)

    assert found[0] == status and "Traceback" not in found[2]


def test_an_exception_is_of_one_request_only() -> None:
    application = debugpage.wsgi(site())
    ask(application)

    assert "Traceback" not in ask(application, "/aborts")[2]


def test_a_framework_with_a_page_of_its_own_shows_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caught, "is_shown", lambda: True)

    assert "Traceback" not in ask(debugpage.wsgi(site()))[2]


def test_djangos_own_page_is_known_by_its_setting(settings: Any) -> None:
    settings.DEBUG = True
    assert caught.is_shown()
    settings.DEBUG = False
    assert not caught.is_shown()


def test_what_is_written_goes_out_as_it_is() -> None:
    def application(_environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        start("500 Broken", [("X-Own", "1")])(b"one,")
        return [b"two"]

    assert ask(debugpage.wsgi(application)) == ("500 Broken", {"X-Own": "1"}, "one,two")


def test_a_head_without_a_body_goes_out() -> None:
    def application(_environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        start("500 Broken", [("X-Own", "1")])
        return []

    assert ask(debugpage.wsgi(application)) == ("500 Broken", {"X-Own": "1"}, "")


@pytest.mark.parametrize("raises", [True, False])
def test_an_exception_that_an_asgi_application_has_caught_is_shown(raises: bool) -> None:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        try:
            if raises:
                raise ValueError("no such page")
        except ValueError:
            logging.getLogger("site").exception("it failed")
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"We are sorry"})

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}

    async def ask_it() -> None:
        await debugpage.asgi(application)(scope, receive, send)

    asyncio.run(ask_it())

    assert sent[0]["status"] == 500
    assert (b"ValueError: no such page" in sent[1]["body"]) == raises
    assert (sent[1]["body"] == b"We are sorry") != raises
