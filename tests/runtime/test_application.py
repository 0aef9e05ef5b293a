from __future__ import annotations

import pytest

from webapps.runtime.application import Application, Failure
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
