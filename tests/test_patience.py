from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import patience
from tests.patience import Patience, Stopwatch

TESTS = Path(__file__).parent
#: What waits, and takes how long at the most: as its only argument, or by name.
WAITS = {"wait", "join", "settimeout", "communicate", "acquire", "run", "check_output", "check_call", "recv", "Client"}
CONNECTS = {"create_connection", "HTTPConnection", "HTTPSConnection"}


def test_the_factor_is_at_least_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "REFERENCE", 1e9)

    assert Patience().factor == 1


def test_the_factor_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "REFERENCE", 1e-9)

    assert Patience().factor == patience.MOST


def test_what_one_process_has_measured_others_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "slowness", lambda: 2.0)

    assert Patience("3.5").factor == 3.5
    assert Patience("3.5").look_again() == 3.5
    assert Patience("1.5").look_again() == 2


def test_it_is_measured_again_where_that_is_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Patience("1.5")
    monkeypatch.setattr(patience, "slowness", lambda: 2.0)

    made.look_now_and_then()
    assert made.factor == 1.5

    made.looked -= patience.EVERY + 1
    made.look_now_and_then()
    assert made.factor == 2


def test_a_stopwatch_takes_the_machine_out_of_what_it_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([2.0, 4.0])
    monkeypatch.setattr(patience, "slowness", lambda: next(found))

    with Stopwatch() as watch:
        pass

    assert watch.there == watch.seconds / 4


def sources() -> list[Path]:
    return [path for path in TESTS.rglob("*.py") if "fixtureapps" not in path.parts]


def seconds_as_written(tree: ast.AST) -> Iterator[int]:
    """Find the lines on which something waits for a number of seconds that is written there."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in WAITS | CONNECTS:
            continue
        named = [keyword.value for keyword in node.keywords if keyword.arg == "timeout"]
        alone = node.args if name in ("wait", "join", "settimeout") and len(node.args) == 1 else []
        for value in [*named, *alone]:
            if isinstance(value, ast.Constant) and isinstance(value.value, int | float) and value.value:
                yield node.lineno


def test_every_time_limit_of_a_test_is_patient() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sources()
        for line in seconds_as_written(ast.parse(path.read_text()))
    ]

    assert found == [], "write within(SECONDS) instead"
