"""The page of an application with DEBUG that raised an exception: the traceback, and nothing that runs code.

It stands in the place of an answer with status 500, whether the exception reached the server or the framework has
caught and logged it.

Runs inside the application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

import html
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from . import caught
from .readiness import say

# A response with status 500 is held back up to this size: an exception may follow it (Starlette raises it again).
HELD = 1 << 20

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }}
pre {{ overflow-x: auto; padding: 1rem; border: 1px solid #8886; border-radius: .4rem; font-size: .85rem }}
h1 {{ font-size: 1.3rem; overflow-wrap: anywhere }} p {{ opacity: .8 }}
</style></head><body><h1>{title}</h1><p>{request}</p><pre>{text}</pre>
<p>This page is shown because DEBUG is ticked for this application. Save the mended file and load the page again.</p>
</body></html>
"""


def _traceback(error: BaseException) -> str:
    """Format an exception without the frames of Stoa's own that stand before the application's."""
    frames = error.__traceback__
    while frames and frames.tb_next and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


def page(error: BaseException, request: str, accept: str) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body: a page for a browser, plain text for who does not accept one."""
    text = _traceback(error)
    if "text/html" in accept:
        title = html.escape("".join(traceback.format_exception_only(type(error), error)).strip()[:500])
        text, kind = _PAGE.format(title=title, request=html.escape(request), text=html.escape(text)), "text/html"
    else:
        kind = "text/plain"
    body = text.encode(errors="backslashreplace")
    headers = [
        ("Content-Type", f"{kind}; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    ]
    return headers, body


def wsgi(application: Callable[..., Any]) -> Callable[..., Any]:
    """Show the exceptions of a WSGI application, as long as nothing of its response has been sent."""
    caught.watch()

    def debugged(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        head = _Head(start_response, caught.begin())
        try:
            response = application(environ, head.start)
        except Exception as error:
            say(_traceback(error).rstrip())
            return _answer(error, environ, start_response)
        if isinstance(response, environ["wsgi.file_wrapper"]):
            head.let_go()
            return response
        return _Debugged(response, environ, head)

    return debugged


def _answer(error: BaseException, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    request = f"{environ['REQUEST_METHOD']} {environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
    headers, body = page(error, request, environ.get("HTTP_ACCEPT", ""))
    # Raises again if it is too late (PEP 3333).
    start_response("500 Internal Server Error", headers, (type(error), error, error.__traceback__))
    return [body]


class _Head:
    """A head with status 500 is held back until the first part follows: an exception may have been caught."""

    def __init__(self, start_response: Callable[..., Any], found: list[BaseException]) -> None:
        self.start_response = start_response
        self.found = found
        self.held: tuple[Any, ...] = ()
        self.write: Callable[[bytes], Any] | None = None

    def start(self, status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], Any]:
        """Take the head, as the server would."""
        if self.held and not exc_info:
            raise AssertionError("start_response was called twice without exc_info")
        self.held = (status, headers, exc_info)
        if self.write or not str(status).startswith("500"):
            self.let_go()
        return self._write

    def _write(self, data: bytes) -> None:
        self.let_go()
        assert self.write
        self.write(data)

    def let_go(self) -> None:
        """Pass on what was held back."""
        held, self.held = self.held, ()
        if held:
            self.write = self.start_response(*held)

    def exception(self) -> BaseException | None:
        """Return the exception that the answer is about, where nothing of it has been passed on."""
        return self.found[-1] if self.held and self.found and not caught.is_shown() else None


class _Debugged:
    """A response whose exception becomes a page where its first part has not been sent."""

    def __init__(self, response: Any, environ: dict[str, Any], head: _Head) -> None:
        self.response = response
        self.environ = environ
        self.head = head

    def __iter__(self) -> Iterator[bytes]:
        sent = False
        try:
            for part in self.response:
                if not sent and self.head.exception():
                    break
                self.head.let_go()
                yield part
                sent = True
        except Exception as error:
            if sent:
                raise
            say(_traceback(error).rstrip())
            yield from _answer(error, self.environ, self.head.start_response)
            return
        caught_one = self.head.exception()
        if caught_one:
            yield from _answer(caught_one, self.environ, self.head.start_response)
        else:
            self.head.let_go()

    def close(self) -> None:
        """Close the application's response, as PEP 3333 demands."""
        if hasattr(self.response, "close"):
            self.response.close()


def asgi(application: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Show the exceptions of an ASGI application in place of an answer with status 500."""
    caught.watch()

    async def debugged(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        answer, found = _Answer(send), caught.begin()
        try:
            await application(scope, receive, answer.send)
        except Exception as error:
            if answer.begun:
                raise
            say(_traceback(error).rstrip())
            await _send_page(error, scope, send)
        else:
            if answer.held and found and not caught.is_shown():
                await _send_page(found[-1], scope, send)
            else:
                await answer.let_go()

    return debugged


class _Answer:
    """Pass on what the application sends; hold an answer with status 500 back until it is known what follows."""

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        self.pass_on = send
        self.held: list[dict[str, Any]] = []
        self.size = 0
        self.begun = False

    async def send(self, message: dict[str, Any]) -> None:
        """Take a message of the application's."""
        holds = bool(self.held) or (message["type"] == "http.response.start" and message["status"] == 500)
        if self.begun or not holds:
            self.begun = True
            await self.pass_on(message)
            return
        self.held.append(message)
        self.size += len(message.get("body", b""))
        if self.size > HELD:
            await self.let_go()

    async def let_go(self) -> None:
        """Send what was held back."""
        held, self.held = self.held, []
        self.begun = self.begun or bool(held)
        for message in held:
            await self.pass_on(message)


async def _send_page(error: BaseException, scope: Any, send: Any) -> None:
    accept = _header(scope["headers"], b"accept")
    headers, body = page(error, f"{scope['method']} {scope['path']}", accept)
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": 500, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def _header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in headers if name == wanted), "")
