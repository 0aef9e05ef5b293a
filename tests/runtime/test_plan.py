"""The plan: wish and fact in, the smallest steps out."""

from __future__ import annotations

import pytest

from webapps.runtime.plan import Fact, Key, Step, steps

ONE, TWO, AGAIN = Key(1, "/venv/bin/python"), Key(2, "/venv/bin/python"), Key(1, "/venv/bin/python", edition=1)


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
        pytest.param(ONE, Fact(bound=True, current=ONE, spare_workers=1), [Step.RETIRE], id="a spare one leaves"),
        pytest.param(ONE, Fact(bound=True, current=ONE, idle=True), [Step.SLEEP], id="an idle one falls asleep"),
        pytest.param(ONE, Fact(bound=True, asleep=ONE), [], id="and sleeps"),
        pytest.param(ONE, Fact(bound=True, asleep=ONE, called=True), [Step.START], id="until somebody calls"),
        pytest.param(ONE, Fact(bound=True, asleep=ONE, called=True, newcomer=ONE), [], id="whoever called waits"),
        pytest.param(TWO, Fact(bound=True, asleep=ONE), [Step.START], id="a save wakes it: does it start?"),
        pytest.param(TWO, Fact(bound=True, current=ONE, idle=True), [Step.START], id="a save comes before sleep"),
        pytest.param(ONE, Fact(sleepy=True), [Step.BIND, Step.SLEEP], id="with a minimum of 0 it begins asleep"),
        pytest.param(TWO, Fact(bound=True, sleepy=True, asleep=ONE), [Step.SLEEP], id="a save leaves that asleep"),
        pytest.param(TWO, Fact(bound=True, sleepy=True, current=ONE), [Step.START], id="but replaces it while awake"),
        pytest.param(
            ONE,
            Fact(bound=True, sleepy=True, called=True, asleep=ONE, failed=ONE, retry_at=9.0),
            [],
            id="one that failed to wake pauses",
        ),
        pytest.param(ONE, Fact(bound=True, sleepy=True, failed=ONE, retry_at=4.0), [Step.START], id="and tries again"),
        pytest.param(AGAIN, Fact(bound=True, current=ONE), [Step.START], id="what is begun anew gets a newcomer"),
        pytest.param(AGAIN, Fact(bound=True, current=ONE, failed=AGAIN), [], id="or the old one serves on"),
        pytest.param(None, Fact(bound=True, asleep=ONE), [Step.UNBIND], id="a sleeper that is not wished goes"),
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
