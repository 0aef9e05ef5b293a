"""What Stoa does stands in one line each, whatever hosted code's exception says."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from webapps.runtime.events import Events

FORGED = "RuntimeError: no\n2026-01-01T00:00:00.000Z /other g1 stoa all is well\r\x0b\x85\u2028 supervisor info ready\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, Events]]:
    reading, writing = os.pipe()
    yield reading, Events(writing, "supervisor")
    os.close(reading)
    os.close(writing)


def written(fd: int) -> list[dict[str, object]]:
    return [json.loads(line) for line in os.read(fd, 1 << 16).splitlines()]


def test_an_exceptions_words_are_one_line_in_each_log(pipe: tuple[int, Events]) -> None:
    reading, events = pipe
    events.of_application("/app", 3, f"did not start: {FORGED}")

    ours, told = written(reading)
    assert (ours["file"], told["file"]) == ("WSGI", "messages")
    for event in (ours, told):
        assert len(str(event["text"]).splitlines()) == 1
        assert "did not start: RuntimeError: no ⏎ 2026-01-01T00:00:00.000Z /other g1 stoa all is well" in str(
            event["text"]
        )


def test_what_is_told_at_length_is_cut(pipe: tuple[int, Events]) -> None:
    reading, events = pipe
    events.say("é\n" * 10_000, "error")

    (told,) = written(reading)
    assert str(told["text"]).startswith("é ⏎ é ⏎") and len(json.dumps(told)) < 20_000
