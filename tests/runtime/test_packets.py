"""No packet is longer than a socket takes, whatever applications have said, and nothing of an answer is lost."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from webapps.runtime import gauge, packets, passes
from webapps.runtime.application import Application, Failure, Instance, Worker
from webapps.runtime.plan import Key
from webapps.runtime.spec import AppSpec, Protocol

# What a kernel's socket takes at least where nobody has set anything (net.core.wmem_default).
SMALLEST = 212_992
WORST = "\U0001f40d"  # Twelve bytes as JSON.


def whole(answer: dict[str, Any], name: str) -> dict[str, Any]:
    """Put together as the reader does; no packet may be too long, and only the last is the last."""
    cut = list(packets.cut(answer, name))
    found: dict[str, Any] = {}
    for packet in cut:
        assert len(json.dumps(packet)) < SMALLEST
        assert packet.pop("more", False) is (packet is not cut[-1])
        found = {**found, **packet, name: {**found.get(name, {}), **packet.get(name, {})}}
    return found


def failed(number: int) -> Application:
    application = Application(number, f"/{number}", AppSpec(number, 1, "/", "", "N", Protocol.WSGI, "/", "a", "a"))
    application.wish_key = Key(1, "python")
    application.failure = Failure(application.wish_key, WORST * 5000, WORST * 30_000, WORST * 2000)
    application.fault = WORST * 10_000
    application.note_state()
    return application


def test_failures_of_many_words_are_told_in_as_many_packets_as_that_takes() -> None:
    webapps = {str(number): failed(number).status() for number in range(5)}
    answer = {"webapps": webapps, "warnings": ["one"]}

    assert whole(answer, "webapps") == answer
    assert all(status["reason"].startswith(WORST) for status in webapps.values())


def test_a_short_answer_is_one_packet() -> None:
    assert list(packets.cut({"ok": True}, "webapps")) == [{"ok": True}]
    assert list(packets.cut({"webapps": {"1": {}}}, "webapps")) == [{"webapps": {"1": {}}}]


@pytest.mark.parametrize("most", range(25, 40))
def test_a_text_is_cut_between_characters(most: int) -> None:
    text = f'é"\n{WORST}\\{WORST}{WORST}'
    cut = packets.short(text, most)

    assert text.startswith(cut.removesuffix("…"))
    assert len(json.dumps(cut.removesuffix("…"))) <= most + 2
    assert cut.encode()


def test_gauges_full_of_anything_are_told() -> None:
    fds = [gauge.make() for _process in range(4)]
    workers = {str(fd): Worker(str(fd), gauge=gauge.Gauge(fd)) for fd in fds}
    for worker in workers.values():
        assert worker.gauge
        worker.gauge._words[gauge.HELD] = 1
        for slot in range(gauge.SLOTS):
            text = b"%08x" % slot + (b"\1" if slot % 2 else b'"') * 54
            worker.gauge._passes[slot * gauge.SLOT : (slot + 1) * gauge.SLOT] = bytes((gauge.OPEN, 62)) + text
    application = Application(1, "/1")
    wish = failed(1).wish
    assert wish
    application.current = Instance(wish, Key(1, ""), 0.0, 0.0, workers=workers)
    answer = {"passes": passes.held([application])}
    for fd in fds:
        os.close(fd)

    assert whole(answer, "passes") == answer
    assert sum("" in texts for texts in answer["passes"].values()) == len(fds)
