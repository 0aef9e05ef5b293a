"""What the gate knows is as old as it says, whatever the database does."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from portal.gate.decision import Door
from portal.gate.snapshot import Snapshot
from portal.gate.watch import AGAIN, FRESH, Watch
from tests.patience import within
from tests.waiting import wait_for
from webapps.runtime.rows import NotOurs


class Database:
    """Rows with two counters, and a clock; ``broken`` is what it raises."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.counter = 1
        self.reads = 0
        self.broken: BaseException | None = None
        self.hangs: threading.Event | None = None
        self.slow = 0.0

    def clock(self) -> float:
        return self.now

    def counters(self) -> tuple[int, int]:
        if self.hangs:
            self.hangs.wait(within(20))
        if self.broken:
            raise self.broken
        self.now += self.slow
        return (self.counter, 0)

    def read(self) -> Snapshot:
        self.reads += 1
        return Snapshot(self.counters(), 64, 900, 900)

    def watch(self) -> Watch:
        return Watch(self.counters, self.read, self.clock)


@pytest.fixture
def database() -> Database:
    return Database()


def _known(watch: Watch) -> tuple[tuple[int, int] | None, bool]:
    """Return the counters of what is known, and whether there is trouble."""
    return (watch.fresh.counters if watch.fresh else None), bool(watch.trouble)


def test_nothing_is_known_before_the_first_look(database: Database) -> None:
    assert database.watch().fresh is None


def test_what_was_confirmed_is_known_for_five_seconds(database: Database) -> None:
    watch = database.watch()
    watch.look()

    assert FRESH == 5
    database.now += 4.99
    assert watch.fresh is not None
    database.now += 0.01
    assert watch.fresh is None


def test_a_counter_that_moved_has_everything_read_again(database: Database) -> None:
    watch = database.watch()
    for counter, reads in ((1, 1), (1, 1), (2, 2), (2, 2)):
        database.counter = counter
        watch.look()
        assert (database.reads, watch.fresh and watch.fresh.counters) == (reads, (counter, 0))


def test_everything_is_read_again_after_a_while_all_the_same(database: Database) -> None:
    watch = database.watch()
    watch.look()
    database.now += AGAIN + 1
    watch.look()

    assert database.reads == 2


@pytest.mark.parametrize("error", [RuntimeError("locked"), OSError(), ValueError("é")], ids=repr)
def test_what_is_known_grows_old_while_the_database_raises(
    database: Database, error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    watch = database.watch()
    watch.look()
    database.broken = error
    for _ in range(10):
        database.now += 0.6
        watch.look()

    assert _known(watch) == (None, True)
    assert capfd.readouterr().err.count("the database does not answer the gate") == 1
    database.broken = None
    watch.look()
    assert _known(watch) == ((1, 0), False)


def test_a_read_that_fails_does_not_confirm_what_is_known(database: Database) -> None:
    watch = database.watch()
    watch.look()
    known = watch.snapshot

    def broken() -> Snapshot:
        raise OSError("gone")

    watch.read = broken
    database.counter = 2
    database.now += 1
    watch.look()

    assert watch.snapshot is known
    database.now += FRESH - 1
    assert watch.fresh is None


def test_an_answer_that_was_long_on_its_way_is_as_old_as_the_question(database: Database) -> None:
    watch = database.watch()
    database.slow = FRESH
    watch.look()

    assert watch.fresh is None


def test_a_change_during_a_read_is_read_again(database: Database) -> None:
    watch = database.watch()
    before = database.read

    def changed_meanwhile() -> Snapshot:
        read = before()
        database.counter += 1
        return replace(read, counters=(database.counter - 1, 0))

    watch.read = changed_meanwhile
    watch.look()
    watch.read = before
    watch.look()

    assert watch.fresh and watch.fresh.counters == (2, 0)


def test_a_database_that_hangs_keeps_nobody_waiting(database: Database) -> None:
    watch = database.watch()
    watch.start()
    wait_for(lambda: watch.fresh)
    database.hangs = threading.Event()
    try:
        watch.look_now(0.05)
        database.now += FRESH
        assert watch.fresh is None
    finally:
        hanging, database.hangs = database.hangs, None
        hanging.set()
    wait_for(lambda: watch.fresh)


def test_who_has_waited_for_the_gate_to_start_finds_what_it_knows(database: Database) -> None:
    watch = database.watch()

    watch.start()

    assert watch.fresh


def test_whoever_asks_to_look_now_sees_what_was_written_before(database: Database) -> None:
    watch = database.watch()
    watch.start()
    wait_for(lambda: watch.fresh)
    for counter in range(2, 30):
        database.counter = counter
        watch.look_now()
        assert watch.fresh and watch.fresh.counters == (counter, 0)


DOORS = {"1": Door(1, "/a", "/a", "", 64, "", frozenset(), "", ())}


def test_a_database_that_is_not_ours_changes_nothing_however_long_it_lasts(
    database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    watch = database.watch()
    watch.look()
    database.broken = NotOurs("the database was emptied")
    for _ in range(20):
        database.now += 0.6
        watch.look()

    assert _known(watch) == ((1, 0), True)
    assert capfd.readouterr().err.count("emptied") == 1
    database.broken = None
    watch.look()
    assert _known(watch) == ((1, 0), False)


def test_doors_that_have_gone_uncounted_are_kept(database: Database) -> None:
    doors = [DOORS]
    watch = Watch(database.counters, lambda: replace(database.read(), doors=doors[0]), database.clock)
    watch.look()
    doors[0] = {}

    database.now += AGAIN + 1
    watch.look()
    assert watch.fresh and watch.fresh.doors == DOORS and watch.trouble
    database.counter += 1  # Somebody has deleted the last one.
    watch.look()
    assert watch.snapshot is not None
    assert watch.snapshot.doors == {} and not watch.trouble
