from __future__ import annotations

import os

import pytest

from webapps.runtime import gauge
from webapps.runtime.application import Application, Failure, Instance, Worker
from webapps.runtime.plan import Key
from webapps.runtime.spec import AppSpec, Protocol, State

KEY, NEXT = Key(1, "/python"), Key(2, "/python")
HUNG = "it was not ready within 2 seconds and was stopped"
RAISED = Failure(KEY, "app raised KeyError", "Traceback", "install", cause="app raised KeyError", files=7)


@pytest.fixture
def application() -> Application:
    """Give an application that is wished as KEY, whose files were last seen as 7."""
    wish = AppSpec(1, 1, "/a", "", "USER", Protocol.WSGI)
    return Application(1, "/a", wish=wish, wish_key=KEY, watched=7)


def test_a_start_that_hangs_keeps_what_the_one_before_it_said(application):
    application.failure = RAISED
    failure = application.hung(KEY, HUNG)
    assert failure.reason == f"{HUNG}; the try before it: app raised KeyError"
    assert (failure.detail, failure.remedy) == ("Traceback", "install")


def test_one_that_hangs_again_says_the_same(application):
    application.failure = RAISED
    application.failure = application.hung(KEY, HUNG)
    assert application.hung(KEY, HUNG) == application.failure


def test_what_was_said_of_other_files_or_another_generation_is_history(application):
    application.failure = RAISED
    assert application.hung(NEXT, HUNG) == Failure(NEXT, HUNG)
    application.watched = 8
    assert application.hung(KEY, HUNG) == Failure(KEY, HUNG)


def test_the_first_that_hangs_says_only_that(application):
    assert application.hung(KEY, HUNG) == Failure(KEY, HUNG)
    application.failure = Failure(KEY, "the directory /a does not exist")
    assert application.hung(KEY, HUNG) == Failure(KEY, HUNG)


def test_one_that_is_started_after_a_crash_says_why(application):
    application.crash = Failure(KEY, "a worker was killed by SIGKILL; restarted at once")
    application.note_state()
    assert application.state is State.STARTING
    assert application.reason() == "a worker was killed by SIGKILL; restarted at once"


def test_what_it_waits_for_matters_more_than_an_old_crash(application):
    application.crash = Failure(KEY, "a worker was killed by SIGKILL; restarted at once")
    application.waiting = "it waits for its turn"
    assert application.reason() == "it waits for its turn"
    application.waiting, application.wish_key = "", NEXT
    assert application.reason() == ""


def test_only_the_generation_that_failed_has_said_something(application):
    assert application.said(KEY) == ""
    application.failure = RAISED
    assert application.said(KEY) == RAISED.mark
    assert application.said(NEXT) == ""


def test_where_it_hangs_is_said_unless_the_one_before_it_said_more(application):
    told = (HUNG, "Stack", "", "; it was at line 3")
    assert application.failed(KEY, *told) == Failure(KEY, f"{HUNG}; it was at line 3", "Stack")
    application.failure = RAISED
    assert application.failed(KEY, *told).reason == f"{HUNG}; the try before it: app raised KeyError"


def served(begun: int) -> Worker:
    """Give a worker that has begun so many requests."""
    fd = gauge.make()
    page = gauge.Gauge(fd)
    os.close(fd)
    for _request in range(begun):
        page.begin()
    return Worker("a", gauge=page)


def test_crashes_are_followed_by_longer_and_longer_pauses(application):
    worker = Worker("a")
    assert [application.pause_after_crash(worker) for _crash in range(5)] == [0, 1, 2, 4, 8]


def test_a_request_that_the_front_asks_again_costs_no_pause(application, monkeypatch):
    clock = iter([100.0, 100.1, 100.2, 107.0])
    monkeypatch.setattr("webapps.runtime.application.time.monotonic", lambda: next(clock))
    worker = served(1)

    # It is asked again once; what crashes after that is another one.
    assert [application.pause_after_crash(worker) for _crash in range(4)] == [0, 0, 1, 2]


def test_a_newcomer_that_dies_of_a_request_was_serving(application):
    newcomer = application.newcomer = Instance(application.wish, KEY, 0.0, 60.0)
    assert application.was_serving(newcomer, served(1))
    assert not application.was_serving(newcomer, served(0))
    assert not application.was_serving(newcomer, Worker("a"))
    newcomer.workers["b"] = Worker("b")
    assert not application.was_serving(newcomer, served(1))


@pytest.mark.parametrize("protocol", [Protocol.WSGI, Protocol.FILES])
def test_files_that_are_not_served_are_said_whatever_else_it_does(application, protocol):
    application.wish = AppSpec(1, 1, "/a", "", "USER", protocol)
    application.unserved = "/a/static is a link to /etc"
    if protocol is Protocol.WSGI:
        application.asleep = KEY
    application.note_state()
    assert application.state is (State.FAILED if protocol is Protocol.FILES else State.ASLEEP)
    assert application.reason() == "its files are not served: /a/static is a link to /etc"
