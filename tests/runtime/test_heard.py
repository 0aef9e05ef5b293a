"""What is believed of what a newcomer says: hosted code can write anything into its pipe."""

from __future__ import annotations

import json
import random

import pytest

from webapps.runtime.heard import NOTHING_SAID, Heard


def test_a_newcomer_is_ready_with_the_frameworks_that_it_uses() -> None:
    heard = Heard.read(b'{"ready": true, "modules": ["flask", "os", "django.db"]}')
    assert heard and heard.ready and heard.modules == ("flask", "django.db")


def test_a_newcomer_says_why_it_is_not() -> None:
    heard = Heard.read(json.dumps({"ready": False, "reason": "no", "detail": "line", "remedy": "do"}).encode())
    assert heard == Heard(False, "no", "line", "do")


def test_where_it_hangs_is_another_reason() -> None:
    heard = Heard.read(b'{"ready": false, "reason": "no", "where": "", "detail": "", "remedy": ""}')
    assert heard and heard.where == ""


@pytest.mark.parametrize(
    "message", [b"", b'{"ready"', b"[" * 100_000, b"1", b'"x"', b"null", b"\xff\xfe", b'{"a": NaN', b"[]", b"NaN"]
)
def test_what_is_no_word_is_none(message: bytes) -> None:
    assert Heard.read(message) is None


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"ready": "yes"},
        {"ready": 1},
        {"ready": False, "reason": None},
        {"ready": False, "reason": ["x"], "detail": {}, "where": 5},
        {"ready": True, "modules": 5},
        {"ready": True, "modules": [5, None, [], {}]},
        {"ready": True, "modules": "flask"},
    ],
)
def test_what_is_not_as_it_should_be_is_left_out(message: object) -> None:
    heard = Heard.read(json.dumps(message).encode())
    assert heard and heard.reason == NOTHING_SAID and heard.modules == () and not heard.detail


def test_words_can_be_shown_and_have_an_end() -> None:
    heard = Heard.read(json.dumps({"reason": "\udcff\x1b" + "x" * 99_999, "detail": "x" * 99_999}).encode())
    assert heard and heard.reason.startswith("��x") and len(heard.reason) == 2000 and len(heard.detail) == 30_000


def test_nothing_that_can_be_written_raises() -> None:
    chance = random.Random(13)
    values = [None, True, 1, -1.5, "x", "\ud800", [], {}, ["flask"], {"ready": True}, 10**400, "x" * 5000]
    for _round in range(2000):
        message = {chance.choice(["ready", "reason", "detail", "remedy", "where", "modules"]): chance.choice(values)}
        data = bytearray(json.dumps(message).encode())
        for _bit in range(chance.choice([0, 0, 1, 3])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        heard = Heard.read(bytes(data))
        if heard:
            "".join((heard.reason, heard.detail, heard.remedy, heard.where or "")).encode()
