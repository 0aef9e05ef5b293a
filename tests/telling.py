"""What a failure shows besides its assertion, and what the run notes of each test."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.serving import PARTED, Stoa

JOURNAL = os.environ.get("TESTS_JOURNAL", "")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the end of what every Stoa of a failed test has said."""
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        for stoa in used(item):
            PARTED.append(stoa.last_words())
        report.sections += [(f"Stoa {number}", words) for number, words in enumerate(PARTED, 1)]  # type: ignore[attr-defined]
    if report.failed or report.when == "teardown":  # type: ignore[attr-defined]
        PARTED.clear()
    return report


def used(item: pytest.Item) -> Sequence[Stoa]:
    """Return the Stoas that run and that the test's fixtures have handed to it."""
    given = getattr(item, "funcargs", {}).values()
    found = [value if isinstance(value, Stoa) else getattr(value, "stoa", None) for value in given]
    return list({id(stoa): stoa for stoa in found if isinstance(stoa, Stoa) and stoa.process}.values())


def pytest_runtest_logstart(nodeid: str) -> None:
    """Note in the journal that a test begins."""
    _note("begin", nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how a test ended."""
    if report.failed:
        _note("failed", report.nodeid)


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Note that a test has ended."""
    _note("end", nodeid)


def _note(word: str, test: str) -> None:
    if JOURNAL:
        with Path(JOURNAL).open("a") as file:
            file.write(f"{word} {time.time():.3f} {test}\n")
