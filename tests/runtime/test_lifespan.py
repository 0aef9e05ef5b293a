"""What an ASGI application's lifespan says when it goes wrong."""

from __future__ import annotations

import pytest

from tests.runtime.worker_site import WorkerSite
from webapps.runtime.spec import Protocol

APP = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        {lifespan}
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}})
    await send({{"type": "http.response.body", "body": b"ok"}})
"""


def site_with(lifespan: str) -> WorkerSite:
    site = WorkerSite("asgi3", protocol=Protocol.ASGI)
    (site.directory / "app" / "app.py").write_text(APP.format(lifespan=lifespan))
    return site


def test_a_startup_that_raises_is_said_with_its_traceback_and_the_application_serves() -> None:
    with site_with("await receive(); raise RuntimeError('no database')") as site:
        assert site.ask("GET /").body == b"ok"
        site.wait_until_printed("lifespan startup raised(?s:.*)Traceback(?s:.*)RuntimeError: no database")


@pytest.mark.parametrize("lifespan", ["raise ValueError('only http')", "assert scope['type'] == 'http'"])
def test_one_that_knows_no_lifespan_says_nothing(lifespan: str) -> None:
    with site_with(lifespan) as site:
        assert site.ask("GET /").body == b"ok"
        assert site.printed() == ""


def test_a_shutdown_that_raises_is_said_too() -> None:
    start = "await receive(); await send({'type': 'lifespan.startup.complete'}); await receive(); raise OSError('late')"
    with site_with(start) as site:
        assert site.ask("GET /").body == b"ok"
        site.terminate()
        site.wait_until_printed("lifespan ended with an exception(?s:.*)OSError: late")
