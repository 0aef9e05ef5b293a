"""Checking passwords beside the gate: the real process against a real database, and one that does as a test wants."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.gate.passwords import LONGEST_NAME, LONGEST_PASSWORD, MOST, MOST_OF_ONE, Checked, Passwords
from tests.patience import within
from tests.waiting import wait_for

MAKE = """
import django
django.setup()
from django.core.management import call_command
from webapps import identity
identity.make()
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
from webapps.models import Options
User.objects.create_user("ada", password="right of ada")
User.objects.create_user("bob", password="right of bob")
User.objects.create_user("gone", password="right of gone", is_active=False)
User.objects.create_user("none")
Options(invalid_login_limit=3, lock_seconds=60).save()
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home with a database and four accounts."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STOA_", "DATABASE_URL"))}
    given = {**kept, "STOA_HOME": str(home), "DJANGO_SETTINGS_MODULE": "portal.settings"}
    subprocess.run([sys.executable, "-c", MAKE], env=given, check=True, timeout=within(60))
    return given


@pytest.fixture(scope="module")
def passwords(environment: dict[str, str]) -> Iterator[Passwords]:
    words = [f"{name}={environment[name]}" for name in ("STOA_HOME", "DJANGO_SETTINGS_MODULE")]
    made = Passwords(("/usr/bin/env", *words, sys.executable, "-m", "portal.gate.passwords"))
    yield made
    made.stop()


def test_right_and_wrong(passwords: Passwords) -> None:
    assert passwords.check("ada", "right of ada", "10.0.0.1") == Checked("right")
    for user, password in [
        ("ada", "right of bob"),
        ("ADA", "right of ada"),
        ("nobody", "x"),
        ("ada", ""),
        ("none", ""),
    ]:
        assert passwords.check(user, password, "10.0.0.2").outcome == "wrong"


def test_a_disabled_user_is_wrong(passwords: Passwords) -> None:
    assert passwords.check("gone", "right of gone", "10.0.0.3").outcome == "wrong"


def test_a_pair_is_locked_after_the_limit_and_says_for_how_long(passwords: Passwords) -> None:
    outcomes = [passwords.check("bob", "wrong", "10.0.0.4") for _ in range(4)]

    assert [one.outcome for one in outcomes] == ["wrong", "wrong", "locked", "locked"]
    assert all(0 < one.seconds <= 60 for one in outcomes[2:])
    assert passwords.check("bob", "right of bob", "10.0.0.4").outcome == "locked"
    assert passwords.check("bob", "right of bob", "10.0.0.5").outcome == "right"
    assert passwords.check("ada", "right of ada", "10.0.0.4").outcome == "right"


def test_a_right_password_takes_back_what_was_counted(passwords: Passwords) -> None:
    for _ in range(3):
        for _ in range(2):
            assert passwords.check("ada", "wrong", "10.0.0.6").outcome == "wrong"
        assert passwords.check("ada", "right of ada", "10.0.0.6").outcome == "right"


ODD = [
    ("", "x"),
    ("a\0da", "right of ada"),
    ("ada\n", "right of ada"),
    ("ada", "right of ada\n"),
    ("ada", "right\0of ada"),
    ("ada", "\0"),
    ("ada\x7f", "x"),
    ("\u202eada", "x"),
    ("a" * (LONGEST_NAME + 1), "x"),
    ("a" * LONGEST_NAME, "x"),
    ("ada", "x" * (LONGEST_PASSWORD + 1)),
    ("ada", "x" * 1_000_000),
    ("a" * 1_000_000, "x"),
    ("ädä", "é"),
    ("ada", '"}\n{"user": "ada", "password": "right of ada", "address": ""}'),
    ("' OR 1=1 --", "x"),
]


@pytest.mark.parametrize("number", range(len(ODD)))
def test_odd_names_and_passwords_are_wrong(passwords: Passwords, number: int) -> None:
    assert passwords.check(*ODD[number], f"10.0.1.{number}").outcome == "wrong"
    assert passwords.check("ada", "right of ada", f"10.0.2.{number}").outcome == "right"


def test_a_killed_process_comes_back(passwords: Passwords) -> None:
    assert passwords.check("ada", "right of ada", "10.0.0.7").outcome == "right"
    assert passwords.process
    os.kill(passwords.process.pid, signal.SIGKILL)
    passwords.process.wait(within(10))

    assert passwords.check("ada", "right of ada", "10.0.0.7").outcome == "right"


# A process that does as the test wants

SLOW = """
import json, os, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    if asked["password"] == "die": os._exit(1)
    if asked["password"] == "half": print('{"outco', end="", flush=True); os._exit(1)
    while asked["password"] == "hang" and not os.path.exists(asked["user"]): time.sleep(0.01)
    print(json.dumps({"outcome": "right", "seconds": 0}), flush=True)
"""


@pytest.fixture
def slow() -> Iterator[Passwords]:
    made = Passwords((sys.executable, "-c", SLOW))
    yield made
    made.stop()


@pytest.mark.parametrize("how", ["die", "half"])
def test_a_process_that_ends_within_a_check_is_busy_once(slow: Passwords, how: str) -> None:
    assert slow.check("a", how, "").outcome == "busy"
    assert slow.check("a", "x", "").outcome == "right"


def test_whoever_comes_when_too_many_wait_is_told_at_once(slow: Passwords, tmp_path: Path) -> None:
    released = tmp_path / "released"
    outcomes: list[str] = []

    def check(address: str) -> None:
        outcomes.append(slow.check(str(released), "hang", address).outcome)

    addresses = ["one"] * MOST_OF_ONE + ["two"] * MOST_OF_ONE + ["three"] * MOST_OF_ONE
    threads = [threading.Thread(target=check, args=(address,)) for address in addresses]
    for thread in threads[:MOST_OF_ONE]:
        thread.start()
    wait_for(lambda: slow.waiting["one"] == MOST_OF_ONE)
    assert slow.check("a", "x", "one").outcome == "busy"
    for thread in threads[MOST_OF_ONE:]:
        thread.start()
    wait_for(lambda: slow.waiting.total() == MOST == len(threads))
    assert slow.check("a", "x", "four").outcome == "busy"
    assert outcomes == []

    released.touch()
    for thread in threads:
        thread.join(within(20))
    assert outcomes == ["right"] * MOST
    assert not slow.waiting
    assert slow.check("a", "x", "one").outcome == "right"
