"""One thread serves alone in a rush, and never for longer than nobody is held up by it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.house import House, ask, opened
from tests.waiting import wait_for
from webapps.runtime import pace
from webapps.runtime.pace import FEW, LOOK, PATIENCE, RARELY
from webapps.runtime.wsgi_threads import Seat


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with opened(monkeypatch) as made:
        yield made


def policy(seat: Seat | None) -> int:
    assert seat and seat.thread and seat.thread.native_id
    return os.sched_getscheduler(seat.thread.native_id)


def test_all_serve_while_there_is_little_to_do(house: House) -> None:
    house.clock.now += 1

    assert house.pace.step() == 1.0
    assert house.threads.alone is None


def test_in_a_rush_one_thread_serves_alone(house: House) -> None:
    house.rush()
    for _ in range(50):
        with house.client() as client:
            ask(client)

    alone = house.threads.alone
    assert alone and alone.thread
    # Each of the others was waiting already, and served once more at most.
    assert len([name for name in house.names if name != alone.thread.name]) <= 2
    assert house.pace.step() == LOOK


def test_one_that_serves_many_is_looked_at_rarely(house: House) -> None:
    house.rush()
    assert house.pace.step() == LOOK
    assert house.threads.alone

    house.threads.alone.served += FEW + 1
    assert house.pace.step() == RARELY
    house.threads.alone.served += FEW
    assert house.pace.step() == LOOK


def test_when_the_one_is_held_up_the_others_join_in(house: House) -> None:
    house.rush()
    with house.client() as slow, house.client() as quick:
        for _ in range(20):
            ask(quick)
        house.hold_up_the_one(slow)

        ask(quick)

        house.go_on.release()
        assert slow.recv(1) == b"s"


def test_one_that_only_waits_for_a_core_is_not_held_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = iter(number * LOOK for number in range(100))
    monkeypatch.setattr(pace, "_waited_for_a_core", lambda _seat: next(waited))
    house.rush()
    with house.client() as slow:
        house.hold_up_the_one(slow)

        assert house.threads.alone
        house.go_on.release()
        assert slow.recv(1) == b"s"


def test_how_long_a_thread_waited_for_a_core_is_known(house: House) -> None:
    seat = house.threads.seats[0]
    wait_for(lambda: seat.thread and seat.thread.native_id)
    assert seat.thread

    told = int(Path(f"/proc/self/task/{seat.thread.native_id}/schedstat").read_text().split()[1])

    assert 0 <= pace._waited_for_a_core(seat) - told / 1e9 < 1
    assert pace._waited_for_a_core(type(seat)()) == 0.0


def test_the_one_that_serves_alone_does_not_interrupt_the_front(house: House) -> None:
    wait_for(lambda: all(seat.thread and seat.thread.native_id for seat in house.threads.seats))
    house.rush()
    alone = house.threads.alone
    assert [policy(seat) for seat in house.threads.seats].count(os.SCHED_BATCH) == 1
    assert policy(alone) == os.SCHED_BATCH

    house.clock.now += 1
    house.pace.step()

    assert policy(alone) == os.SCHED_OTHER


def test_after_that_all_serve_for_a_while_and_longer_each_time(house: House) -> None:
    with house.client() as slow:
        for number in range(8):
            house.pace.counted = house.clock.now = 1000.0 * (number + 1)
            house.rush()
            assert house.threads.alone
            house.hold_up_the_one(slow)
            assert house.pace.not_before - house.clock.now == min(PATIENCE[0] * 2**number, PATIENCE[1])
            house.go_on.release()
            assert slow.recv(1) == b"s"

    house.rush()

    assert house.threads.alone is None


def test_when_the_rush_is_over_all_serve(house: House) -> None:
    house.rush()
    assert house.threads.alone

    house.clock.now += 1
    house.pace.step()

    assert house.threads.alone is None
