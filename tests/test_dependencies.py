"""`manage.py dependencies`: what Stoa runs on, and how old it is."""

from __future__ import annotations

import io
import json
import re
from datetime import date
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.test_setup import ROOT, pins
from webapps import dependencies
from webapps.dependencies import Dependency

DATES = ROOT / "requirements.dates"


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("dependencies", *arguments, stdout=out)
    return out.getvalue()


def test_every_pin_has_the_day_of_its_release() -> None:
    dated = {(name, version) for name, version, _day in dependencies.PIN.findall(DATES.read_text())}

    assert dated == pins("requirements.lock") | pins("requirements-fast.lock")
    assert "://" not in DATES.read_text()


def test_it_names_nginx_and_the_library_that_is_linked_into_it() -> None:
    rows = {row["dependency"]: row for row in json.loads(said("--json"))}

    assert re.fullmatch(r"1\.\d+\.\d+", rows["nginx"]["version"])
    assert rows["django"]["released"] == re.search(r"django==\S+ (\S+)", DATES.read_text())[1]  # type: ignore[index]
    libraries = [row for row in json.loads(said("--json")) if row["dependency"] == "OpenSSL"]
    assert {row["note"].partition(",")[0] for row in libraries} == {"of nginx", "of Python"}
    assert all(date.fromisoformat(row["released"]) for row in libraries)


def test_the_oldest_comes_first_and_what_nobody_knows_last() -> None:
    days = [row["released"] for row in json.loads(said("--json"))]

    known = [day for day in days if day]
    assert days == sorted(known) + [""] * (len(days) - len(known))
    assert said().splitlines()[0].split() == ["Dependency", "Version", "Released", "Age", "Note"]


def test_what_is_not_as_pinned_is_said(tmp_path: Path) -> None:
    dates = tmp_path / "dates"
    dates.write_text("# a comment\ndjango==1.0 2008-09-03\nno-such-package==2 2020-01-01\n")
    found = {part.name: part for part in dependencies.found(dates)}

    assert found["django"].note == "1.0 of 2008-09-03 is pinned" and found["django"].released is None
    assert found["no-such-package"] == Dependency(
        "no-such-package", "2", date(2020, 1, 1), "pinned, not installed here"
    )


def test_an_nginx_that_is_not_there_is_said(tmp_path: Path) -> None:
    found = {part.name: part for part in dependencies.found(DATES, str(tmp_path / "none"))}

    assert "is no program" in found["nginx"].note


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(2026, 11, 30), "0 days"),
        (date(2026, 11, 29), "1 day"),
        (date(2026, 10, 2), "59 days"),
        (date(2026, 9, 1), "3 months"),
        (date(2024, 11, 1), "2 years"),
        (date(2027, 1, 1), "0 days"),
        (None, ""),
    ],
)
def test_an_age_is_told_in_words(day: date | None, words: str) -> None:
    assert Dependency("a", "1", day).age(date(2026, 11, 30)) == words
