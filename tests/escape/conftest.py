"""A room for breaking out: a file for each way, tried by a hosted application, on each kind of account.

``stoa`` is a running Stoa of one kind; a file's tests share it with the other files, so each hosts applications under
names of its own (``tests.accounts.host``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.accounts import AS_STARTED, BY_ANOTHER, FOR_ANOTHER, stoa_for
from tests.serving import Stoa

KINDS = (AS_STARTED, FOR_ANOTHER, BY_ANOTHER)


@pytest.fixture(scope="session")
def stoas() -> Iterator[Callable[[str], Stoa]]:
    """One Stoa for each kind of account, started when it is first asked for."""
    running: dict[str, Stoa] = {}
    with contextlib.ExitStack() as stack:

        def of(kind: str) -> Stoa:
            if kind not in running:
                running[kind] = stack.enter_context(stoa_for(kind))
            return running[kind]

        yield of


@pytest.fixture(scope="module", params=KINDS)
def stoa(request: pytest.FixtureRequest, stoas: Callable[[str], Stoa]) -> Stoa:
    """A running Stoa, started as the tests are, by root for another account, and by another account."""
    return stoas(request.param)
