"""What a client's frame says below its mask."""

from __future__ import annotations

import os

import pytest
from gunicorn.asgi.websocket import WebSocketProtocol

import webapps.runtime.instance  # noqa: F401  It is what puts it in place.
from webapps.runtime import websockets


@pytest.mark.parametrize("size", [*range(10), 125, 126, 65_537])
def test_a_mask_is_taken_off_in_one_step(size: int) -> None:
    payload, key = os.urandom(size), os.urandom(4)
    masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))

    assert websockets.unmask(None, masked, key) == payload


def test_the_worker_does_it_so() -> None:
    assert WebSocketProtocol._unmask is websockets.unmask
