"""The plan: wish and fact in, the smallest steps out."""

from __future__ import annotations

import pytest

from webapps.runtime.plan import Fact, Key, Step, steps

ONE, TWO = Key(1, "/venv/bin/python"), Key(2, "/venv/bin/python")


@pytest.mark.parametrize(
    ("wish", "fact", "planned"),
    [
        pytest.param(ONE, Fact(), [Step.BIND, Step.START], id="a new application is bound and started"),
        pytest.param(ONE, Fact(bound=True), [Step.START], id="a bound one is started"),
        pytest.param(ONE, Fact(bound=True, newcomer=ONE), [], id="a newcomer is given time"),
        pytest.param(
            ONE,
            Fact(bound=True, newcomer=ONE, newcomer_ready=True),
            [Step.PROMOTE],
            id="a ready one takes over",
        ),
        pytest.param(ONE, Fact(bound=True, current=ONE), [], id="what serves as wished is left alone"),
        pytest.param(TWO, Fact(bound=True, current=ONE), [Step.START], id="a save starts a new generation"),
        pytest.param(TWO, Fact(bound=True, current=ONE, newcomer=TWO), [], id="the old one serves meanwhile"),
        pytest.param(
            TWO,
            Fact(bound=True, newcomer=ONE, newcomer_ready=True),
            [Step.DISCARD],
            id="an outdated newcomer goes",
        ),
        pytest.param(TWO, Fact(bound=True, current=ONE, failed=TWO), [], id="a failed save changes nothing"),
        pytest.param(TWO, Fact(bound=True, failed=TWO, retry_at=9.0), [], id="a failed one pauses"),
        pytest.param(TWO, Fact(bound=True, failed=TWO, retry_at=4.0), [Step.START], id="and is tried again"),
        pytest.param(
            TWO,
            Fact(bound=True, failed=ONE, retry_at=9.0),
            [Step.START],
            id="a save does not wait for a pause",
        ),
        pytest.param(ONE, Fact(bound=True, retry_at=9.0, failed=ONE), [], id="a crashed one pauses"),
        pytest.param(
            ONE,
            Fact(bound=True, current=ONE, missing_workers=1),
            [Step.FORK],
            id="a missing worker is started",
        ),
        pytest.param(ONE, Fact(bound=True, current=ONE, missing_workers=1, fork_at=9.0), [], id="after its pause"),
        pytest.param(None, Fact(), [], id="nothing wished, nothing there"),
        pytest.param(None, Fact(bound=True, routed=True, current=ONE), [], id="the front lets go first"),
        pytest.param(None, Fact(bound=True, current=ONE), [Step.DRAIN], id="then the instance"),
        pytest.param(None, Fact(bound=True, leaving=True), [], id="the socket stays while one leaves"),
        pytest.param(None, Fact(bound=True), [Step.UNBIND], id="and goes last"),
        pytest.param(None, Fact(bound=True, newcomer=ONE, routed=True), [Step.DISCARD], id="a newcomer goes at once"),
    ],
)
def test_it_plans_the_smallest_steps(wish: Key | None, fact: Fact, planned: list[Step]) -> None:
    assert steps(wish, fact, now=5.0) == planned
