"""What gauges say over time: written histories, with seconds that only the history counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from webapps.runtime.pulse import GROW, SHRINK, Beat, Pulse, Reading
from webapps.runtime.spec import Limits, Protocol

LIMITS = Limits(processes_min=1, processes_max=3, threads=4, request_timeout=60, sleep_after=900)


class History:
    """Workers whose gauges move as a test writes it, felt once a second."""

    def __init__(self, protocol: Protocol = Protocol.WSGI, **limits: int) -> None:
        self.limits = replace(LIMITS, **limits)
        self.protocol = protocol
        self.now = 1000.0
        self.pulse = Pulse(self.now)
        self.workers = {"a": Reading(beat=self.now)}
        self.beats = True
        self.feel()

    def change(self, key: str, **values: int) -> History:
        """Have a worker's gauge show something else."""
        self.workers[key] = replace(self.workers.get(key, Reading(beat=self.now)), **values)
        return self

    def serve(self, requests: int, busy: int = 0) -> History:
        """Have worker a answer some, and be busy with others."""
        begun = self.workers["a"].begun + requests
        return self.change("a", begun=begun, ended=begun - busy)

    def pass_seconds(self, seconds: float) -> History:
        """Let time go by, a reading each second."""
        end = self.now + seconds
        while self.now < end:
            self.now += 1
            for key, reading in self.workers.items():
                used = reading.cpu + (0.95 if key in self.burning else 0)
                self.workers[key] = replace(reading, beat=self.now if self.beats else reading.beat, cpu=used)
            self.feel()
        return self

    burning: frozenset[str] = frozenset()

    def feel(self) -> History:
        """Take a reading now."""
        self.pulse.feel(self.workers, self.limits, self.protocol, self.now)
        return self

    @property
    def idle(self) -> bool:
        return self.pulse.idle(self.limits, self.now)

    @property
    def complaint(self) -> str:
        return self.pulse.complaint(self.limits, self.protocol, self.now)[1]

    def target(self, target: int) -> int:
        return self.pulse.target(target, self.limits, self.now)


# Sleeping


def test_nobody_asked_for_the_idle_time() -> None:
    history = History().pass_seconds(899)
    assert not history.idle
    assert history.pass_seconds(1).idle


def test_a_request_begins_the_idle_time_anew() -> None:
    history = History().pass_seconds(890).serve(1).pass_seconds(20)
    assert not history.idle
    assert history.pass_seconds(881).idle


def test_a_request_under_way_or_an_open_websocket_is_no_idleness() -> None:
    history = History().serve(1, busy=1).pass_seconds(5000)
    assert not history.idle
    assert history.change("a", ended=1).pass_seconds(901).idle


def test_zero_means_never() -> None:
    assert not History(sleep_after=0).pass_seconds(90_000).idle


def test_another_worker_of_the_same_counts_is_not_mistaken_for_quiet() -> None:
    history = History().serve(7).pass_seconds(899)
    del history.workers["a"]

    assert not history.change("b", begun=7, ended=7).pass_seconds(2).idle


# Processes under load


def test_all_threads_busy_for_a_while_wants_one_more() -> None:
    history = History().serve(9, busy=4).pass_seconds(GROW - 1)
    assert history.target(1) == 1
    assert history.pass_seconds(1).target(1) == 2


def test_the_next_one_waits_for_what_the_first_brings() -> None:
    history = History().serve(9, busy=4).pass_seconds(GROW)
    assert history.target(1) == 2
    assert history.pass_seconds(1).target(2) == 2
    assert history.pass_seconds(GROW).target(2) == 3
    assert history.pass_seconds(10 * GROW).target(3) == 3, "the maximum"


def test_one_free_thread_is_enough() -> None:
    assert History().serve(9, busy=3).pass_seconds(100).target(1) == 1


def test_a_free_moment_begins_the_while_anew() -> None:
    history = (
        History().serve(9, busy=4).pass_seconds(GROW - 1).serve(9).pass_seconds(1).serve(9, busy=4).pass_seconds(2)
    )
    assert history.target(1) == 1


def test_mostly_idle_for_a_while_wants_one_less_but_never_less_than_the_minimum() -> None:
    history = History().change("b", begun=5, ended=5).pass_seconds(SHRINK + 1)
    assert history.target(2) == 1
    del history.workers["b"]
    assert history.pass_seconds(10 * SHRINK).target(1) == 1


def test_a_process_stays_while_the_others_would_be_more_than_half_full() -> None:
    history = History().serve(9, busy=2).change("b", begun=5, ended=4).pass_seconds(10 * SHRINK)
    assert history.target(2) == 2


def test_a_changed_limit_is_kept_at_once() -> None:
    assert History(processes_max=1).pass_seconds(1).target(3) == 1
    assert History(processes_min=2).pass_seconds(1).target(1) == 2
    assert History(processes_min=0).pass_seconds(1).target(1) == 1, "awake it has one"


def test_asgi_is_full_when_its_core_is() -> None:
    history = History(Protocol.ASGI).serve(500, busy=500).pass_seconds(60)
    assert history.target(1) == 1, "open connections are no load"
    history.burning = frozenset("a")
    assert history.pass_seconds(GROW + 2).target(1) == 2


# Replacing


def test_it_is_recycled_after_its_share_of_requests() -> None:
    history = History()
    history.pulse.beats["a"] = Beat(lifetime=1037)
    assert not history.serve(1036).pass_seconds(1).complaint
    assert history.serve(1).pass_seconds(1).complaint == "recycled after 1037 requests"


def test_it_may_not_take_more_memory_than_its_limit() -> None:
    history = History(memory=100 << 20).change("a", memory=100 << 20).pass_seconds(1)
    before = history.complaint
    after = history.change("a", memory=131 << 20).pass_seconds(1).complaint
    assert before == ""
    assert after == "it took 131 MB of memory, and may take 100"


def test_all_threads_hang_when_nothing_moves_for_longer_than_a_request_may_take() -> None:
    history = History().serve(4, busy=4).pass_seconds(61)
    assert not history.complaint
    assert history.pass_seconds(1).complaint == "all its threads have hung for more than 60 s"
    assert history.pulse.hung(history.limits, history.protocol, history.now) == {"a"}


@pytest.mark.parametrize("sign_of_life", [{"movements": 1}, {"begun": 9, "ended": 5}])
def test_a_sign_of_life_begins_the_time_anew(sign_of_life: dict[str, int]) -> None:
    history = History().serve(4, busy=4).pass_seconds(50).change("a", **sign_of_life).pass_seconds(50)
    assert not history.complaint
    assert history.pass_seconds(12).complaint


def test_one_hung_thread_is_no_reason() -> None:
    assert not History().serve(4, busy=3).pass_seconds(5000).complaint


def test_a_process_that_does_not_beat_hangs_whatever_it_speaks() -> None:
    history = History(Protocol.ASGI).pass_seconds(1)
    history.beats = False
    assert not history.pass_seconds(60).complaint
    assert history.pass_seconds(1).complaint
