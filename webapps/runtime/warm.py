"""Serve a few requests of a fixed application in the zygote, so that workers share what a first request makes.

Python makes code faster while it runs, compiles patterns and fills caches: whatever is there before the fork is one
copy for all workers (replacement.md, section 5: a megabyte for each). Only Stoa's own application is used, and nothing
is opened. Runs on the zygote's side under any CPython from 3.10.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

from .wsgi_request import Heads
from .wsgi_response import Exchange

# CPython 3.11 to 3.13 specialize code after eight runs at most (specialize.c); more than twice as many settle it.
TIMES = 20
HEAD = (
    b"GET /warm/?q=1 HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
    b"X-Forwarded-Host: localhost\r\nX-Forwarded-Port: 80\r\nX-Real-IP: 127.0.0.1\r\nAccept: */*"
)
ENVIRON: dict[str, Any] = {
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
}


class _Nowhere:
    """A connection that takes what it is sent."""

    rest = b""
    gone = False

    def send(self, data: bytes) -> None:
        """Take it."""

    stream = finish = send


class _House:
    """The worker, as far as an exchange needs it."""

    draining = ours = False
    log: Any = None

    def __init__(self, application: Callable[..., Any]) -> None:
        self.wsgi = application


def frameworks() -> None:
    """Warm those of the imported frameworks that need no configuration to answer; one that cannot stays cold."""
    if "flask" in sys.modules:
        with contextlib.suppress(Exception):
            serve(_flask())


def serve(application: Callable[..., Any]) -> None:
    """Have an application answer as the worker would. Raises what the application raises."""
    heads = Heads(dict(ENVIRON), "/warm")
    house, connection = _House(application), _Nowhere()
    for _time in range(TIMES):
        Exchange(connection, heads.parse(HEAD), house).run()  # type: ignore[arg-type]


def _flask() -> Callable[..., Any]:
    # Its paths are told, or it would look for a module of that name.
    flask: Any = sys.modules["flask"]
    application = flask.Flask("warm", root_path="/", instance_path="/", static_folder=None)
    application.add_url_rule("/", view_func=lambda: "warm")
    return application  # type: ignore[no-any-return]
