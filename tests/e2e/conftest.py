"""One Stoa for all tests that only need one, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving import Stoa


@pytest.fixture(scope="session")
def stoa() -> Iterator[Stoa]:
    """A running Stoa; each test makes applications under names of its own."""
    with Stoa() as running:
        yield running
