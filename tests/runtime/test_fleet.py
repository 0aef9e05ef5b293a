"""The supervisor's tick where something raises for one application or namespace: the others have all that is theirs."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.supervisor_site import Site
from webapps.runtime import appfiles, edits, fleet, plan
from webapps.runtime.application import Application
from webapps.runtime.environments import Environment
from webapps.runtime.keeperlink import KeeperGone
from webapps.runtime.plan import Key, Step
from webapps.runtime.spec import AppSpec, State

ERRORS = (
    RuntimeError("no"), RecursionError("maximum recursion depth exceeded"), ValueError("\udcff\n\x1b[2J"), KeyError(1),
    MemoryError(), OSError(5, "Input/output error", "\udcff"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
)  # fmt: skip


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    found = Site(tmp_path, monkeypatch)
    yield found
    found.close()


def concerns_bad(value: object) -> bool:
    """Say whether something that a step is given is of the application or namespace in which it goes wrong."""
    if isinstance(value, Application | AppSpec):
        return value.id == 1
    if isinstance(value, Environment):
        return value.name == "BAD"
    return isinstance(value, str | Path) and any(name in str(value) for name in ("/bad", "BAD"))


def raising(original: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    def step(*given: Any, **more: Any) -> Any:
        if any(map(concerns_bad, given)):
            raise copy.copy(error)
        return original(*given, **more)

    return step


#: Where each step is found, from the supervisor or as a module or class.
STEPS = (
    "_wish_for", "_own", "_python", "installations._make", "_route_of", "_route",
    "fleet._mend_socket", "fleet._deadlines", "fleet._look_again", "fleet._take_steps", "fleet._start",
    "fleet._apologise",
    "fleet._give_up", "fleet._promote", "fleet._newcomer_failed", "fleet.caretaker.look_after",
    "fleet.caretaker._edited",
    "fleet.caretaker._feel", "fleet.crew.fork", "fleet.crew._have_forked", "fleet.crew._output", "fleet.crew.note",
    "fleet.crew.confines", "fleet.groups.enter", "fleet.crew.zygotes.learn",
)  # fmt: skip
OTHERS = (
    (edits, "stamp"), (fleet, "last_change"), (fleet, "problem_of"), (Environment, "python"), (Environment, "tidy"),
)  # fmt: skip


def test_both_run_where_nothing_is_wrong(site: Site) -> None:
    site.tick()
    assert site.runs("bad") and site.runs("good")


@pytest.mark.parametrize(("path", "error"), list(zip(STEPS, itertools.cycle(ERRORS), strict=False)))
def test_a_step_raises_from_the_beginning(
    site: Site, monkeypatch: pytest.MonkeyPatch, path: str, error: Exception
) -> None:
    *way, name = path.split(".")
    place: Any = site.supervisor
    for part in way:
        place = getattr(place, part)
    with monkeypatch.context() as patch:
        patch.setattr(place, name, raising(getattr(place, name), error))
        patch.setitem(site.supervisor.fleet.carry, Step.START, site.supervisor.fleet._start)
        patch.setitem(site.supervisor.fleet.carry, Step.PROMOTE, site.supervisor.fleet._promote)
        site.tick(6)
        assert site.runs("good")
        assert site.said("/bad: Stoa failed") + site.said("BAD: Stoa failed") <= 3
        str(site.supervisor.status()).encode()
    site.tick(6)
    assert site.runs("bad"), site.supervisor.status()


@pytest.mark.parametrize("error", ERRORS[1:4], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("place", "name"), OTHERS)
def test_a_look_raises_while_it_runs(
    site: Site, monkeypatch: pytest.MonkeyPatch, place: Any, name: str, error: Exception
) -> None:
    site.tick()
    with monkeypatch.context() as patch:
        patch.setattr(place, name, raising(getattr(place, name), error))
        site.tick(6)
        assert site.runs("good") and site.of("bad").state is State.RUNNING
        str(site.supervisor.status()).encode()
    site.tick(6)
    assert site.runs("bad")


@pytest.mark.parametrize("step", Step)
def test_a_step_of_the_plan_raises(site: Site, monkeypatch: pytest.MonkeyPatch, step: Step) -> None:
    site.tick()
    original = plan.steps

    def steps(wish: Key | None, *given: Any) -> list[Step]:
        return [step] if wish and "BAD" in wish.python else original(wish, *given)

    with monkeypatch.context() as patch:
        patch.setattr(fleet, "steps", steps)
        patch.setitem(site.supervisor.fleet.carry, step, raising(lambda _application: None, RuntimeError("no")))
        site.tick(6)
        assert site.runs("good")
        assert site.said("/bad: Stoa failed taking the next step: RuntimeError: no") == 1
        assert "RuntimeError: no" in site.supervisor.status()["webapps"]["1"]["note"]
    site.tick()
    assert site.runs("bad")


def test_what_cannot_be_started_says_so_on_its_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "problem_of", raising(appfiles.problem_of, RuntimeError("no")))
    site.tick(6)
    fact = site.supervisor.status()["webapps"]["1"]
    assert fact["state"] == "failed" and "RuntimeError: no" in fact["reason"]


def test_a_namespace_says_so_on_the_page_of_each_of_its_applications(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Environment, "tidy", raising(Environment.tidy, RuntimeError("no")))
    site.tick()
    facts = site.supervisor.status()["webapps"]
    assert "RuntimeError: no" in facts["1"]["note"] and facts["2"]["note"] == ""


def test_that_the_keeper_has_gone_ends_the_tick(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.tick()
    monkeypatch.setattr(fleet, "last_change", raising(appfiles.last_change, KeeperGone()))
    monkeypatch.setattr(edits, "stamp", raising(edits.stamp, KeeperGone()))
    with pytest.raises(KeeperGone):
        site.tick()


@pytest.mark.parametrize("request_", [{"do": "install"}, {"do": "revoke"}, {"do": []}])
def test_a_question_that_cannot_be_answered_ends_nothing(site: Site, request_: dict[str, Any]) -> None:
    assert "error" in site.supervisor._answered(request_)
