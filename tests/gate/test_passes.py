"""A pass counts as long as it would be given again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from portal.gate.decision import LOGIN_COOKIE, PASSWORD, UNAUTHENTICATED, Door, Person, Shown, decide
from portal.gate.passes import NOTHING, CameBy, Revoker, counts
from portal.gate.snapshot import Snapshot
from webapps.runtime.control import SupervisorUnreachable

ANN = Person(7, "ann", "proof", {"reader": "Reader"})
DOOR = Door(3, "/x", "/x", "", PASSWORD | LOGIN_COOKIE)
ROWS = Snapshot((1, 1), 0xFFFF, 900, 900, {"3": DOOR}, {7: ANN}, {"ann": 7}, frozenset({"ended"}))
SESSION = CameBy(7, "p", "sign-in", "proof")
PASS = SESSION.text(decide(DOOR, 0xFFFF, Shown(basic=ANN)))


def test_it_counts_while_nothing_has_changed() -> None:
    assert counts(ROWS, "3", PASS)


@pytest.mark.parametrize(
    "change",
    [
        {"doors": {}},
        {"doors": {"3": replace(DOOR, methods=LOGIN_COOKIE)}},
        {"doors": {"3": replace(DOOR, resource="Reports")}},
        {"doors": {"3": replace(DOOR, grants=(("", ("Base",)),))}},
        {"allowed": LOGIN_COOKIE},
        {"people": {}},
        {"people": {7: replace(ANN, proof="another")}},
        {"people": {7: replace(ANN, roles={})}},
        {"ended": frozenset({"sign-in"})},
    ],
)
def test_it_ends_with_what_it_stands_on(change: Mapping[str, Any]) -> None:
    assert not counts(replace(ROWS, **change), "3", PASS)


@pytest.mark.parametrize(
    "text",
    ["", ".", "....", "x.p.sign-in.proof.", "7.p.sign-in.proof", f"{PASS}.", "²....", "7.x.s.proof.", "\ufffd" * 62],
)
def test_what_an_application_may_have_written_counts_for_nothing(text: str) -> None:
    assert not counts(ROWS, "3", text)


def test_nobody_in_particular_may_stay_while_nobody_is_asked() -> None:
    door = replace(DOOR, methods=UNAUTHENTICATED | PASSWORD)
    text = NOTHING.text(decide(door, 0xFFFF, Shown()))

    assert counts(replace(ROWS, doors={"3": door}), "3", text)
    assert not counts(ROWS, "3", text)


@pytest.mark.parametrize("came_by", [CameBy(7, "b", "", "proof"), CameBy(7, "c", "sign-in", "proof")])
def test_each_means_has_its_method(came_by: CameBy) -> None:
    text = came_by.text(decide(DOOR, 0xFFFF, Shown(basic=ANN)))
    other = LOGIN_COOKIE if came_by.how == "b" else PASSWORD

    assert counts(ROWS, "3", text)
    assert not counts(replace(ROWS, doors={"3": replace(DOOR, methods=other)}), "3", text)


class Watching:
    snapshot: Snapshot | None = ROWS


def test_it_looks_for_a_while_after_each_change_and_again_when_nobody_answered() -> None:
    watch, asked, there = Watching(), list[Mapping[str, Any]](), False

    def ask(request: Mapping[str, Any]) -> dict[str, Any]:
        if not there:
            raise SupervisorUnreachable
        asked.append(request)
        return {"passes": {"3/a/0": [PASS, "forged"], "4/b/0": [PASS]}}

    revoker = Revoker(watch, ask)  # type: ignore[arg-type]
    revoker.look(0.0)
    there = True
    revoker.look(4.0)
    assert asked == [
        {"do": "passes"},
        {"do": "revoke", "passes": {"3": ["forged"]}},
        {"do": "revoke", "passes": {"4": [PASS]}},
    ]
    revoker.look(20.0)
    assert len(asked) == 3
    watch.snapshot = replace(ROWS, counters=(2, 2))
    revoker.look(30.0)
    assert len(asked) == 6


def test_it_says_once_that_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    there = False

    def ask(_request: Mapping[str, Any]) -> dict[str, Any]:
        if not there:
            raise SupervisorUnreachable("Message too long")
        return {}

    revoker = Revoker(Watching(), ask)  # type: ignore[arg-type]
    revoker.look(0.0)
    revoker.look(1.0)
    assert capsys.readouterr().err.count("Message too long") == 1
    there = True
    revoker.look(2.0)
    there = False
    revoker.look(3.0)
    assert capsys.readouterr().err.count("Message too long") == 1
