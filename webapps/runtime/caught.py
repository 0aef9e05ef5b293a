"""The exceptions that a framework has caught while it answered a request, as the log tells of them.

Flask and Django catch what a view raises, log it with its traceback (``exc_info``) and answer 500. Runs inside the
application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

_caught: ContextVar[list[BaseException]] = ContextVar("caught")


def watch() -> None:
    """Look at all that is logged from now on, whoever handles it."""
    make = logging.getLogRecordFactory()

    def noted(*args: Any, **named: Any) -> logging.LogRecord:
        record = make(*args, **named)
        if record.levelno >= logging.ERROR and record.exc_info and record.exc_info[1]:
            _caught.get([]).append(record.exc_info[1])
        return record

    logging.setLogRecordFactory(noted)


def begin() -> list[BaseException]:
    """Begin a request; return the list that its exceptions come into."""
    found: list[BaseException] = []
    _caught.set(found)
    return found


def is_shown() -> bool:
    """Say whether the framework shows exceptions on a page of its own, as Django does where its DEBUG is on."""
    with suppress(Exception):  # It may have no settings.
        return bool(sys.modules["django.conf"].settings.DEBUG)
    return False
