"""How often the files of applications are looked at."""

from __future__ import annotations

import time

from webapps.runtime.looks import SHARE, Looks


def slow() -> str:
    """Look for some milliseconds."""
    end = time.monotonic() + 0.01
    while time.monotonic() < end:
        pass
    return "seen"


def test_the_first_look_is_taken() -> None:
    assert Looks().at(1, lambda: 5, 100.0) == 5


def test_the_next_one_waits_for_what_the_first_has_cost() -> None:
    looks = Looks()
    looks.at(1, slow, 100.0)
    assert looks.at(1, slow, 100.0 + 0.01 * SHARE / 2) is None
    assert looks.at(1, slow, 200.0) == "seen"


def test_all_of_them_together_take_their_share() -> None:
    looks = Looks()
    for app_id in range(5):
        looks.at(app_id, slow, 100.0)
    assert looks.at(4, slow, 100.0 + 0.01 * SHARE * 4) is None


def test_one_that_is_gone_costs_nothing_more() -> None:
    looks = Looks()
    looks.at(1, slow, 100.0)
    looks.forget(1)
    looks.at(2, lambda: 1, 100.0)
    assert looks.at(2, lambda: 1, 100.0 + 0.01 * SHARE / 2) == 1
