"""What an ASGI application may not answer to a WebSocket's opening (design.md, rule 8); see test_asgi_exchange too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from webapps.runtime import guard


def sent(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Have an application accept a WebSocket with these headers; return what goes to the front."""
    heard: list[dict[str, Any]] = []

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept", "headers": headers})

    async def hear(message: dict[str, Any]) -> None:
        heard.append(message)

    async def nothing() -> dict[str, Any]:
        return {}

    async def ask() -> None:
        await guard.websocket(application)({"type": "websocket", "headers": []}, nothing, hear)

    asyncio.run(ask())
    found: list[tuple[bytes, bytes]] = heard[0]["headers"]
    return found


@pytest.mark.parametrize(
    "header",
    [
        (b"X-Accel-Redirect", b"/secret"),
        (b"x-accel-buffering", b"yes"),
        (b"Set-Cookie", b"stoa_session=1"),
        (b"set-cookie", b" __Host-Stoa_x=1; Path=/"),
        (b"SET-COOKIE", b"__secure-STOA_x=1"),
        (b"Set-Cookie", b"=stoa_x=1"),
        (b"Set-Cookie", b" = stoa_x=1"),
        (b"Set-Cookie", b"\t=\t__Host-stoa_x=1"),
        (b"Set-Cookie", b"stoa_x"),
        (b"Set-Cookie", b" = __Host-stoa_x=1"),
    ],
)
def test_what_would_steer_the_front_is_left_out(header: tuple[bytes, bytes]) -> None:
    assert sent([header]) == []


def test_everything_else_goes_on_as_it_was() -> None:
    headers = [
        (b"Set-Cookie", b"a=stoa_"),
        (b"Set-Cookie", b"b=\xff"),
        (b"Set-Cookie", b"=a=1"),
        (b"Set-Cookie", b"b==stoa_x"),
        (b"X-Own", b""),
    ]
    assert sent(headers) == headers
