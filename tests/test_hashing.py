"""Signing in to the portal: passwords are compared beside it, and few may wait for that."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from portal import hashing
from portal.hashing import MOST, MOST_OF_ONE, Busy, Hashing
from tests.patience import within
from tests.waiting import wait_for
from webapps.management.commands.serve import PORTAL_THREADS

# Answers when there is a file whose name is the password.
HANGS = """
import json, os, sys, time
for line in sys.stdin:
    name = json.loads(line)["password"]
    while not os.path.exists(name): time.sleep(0.01)
    print(json.dumps({"right": False, "outdated": False}), flush=True)
"""


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Hashing], Hashing]]:
    """Have the portal hash beside, as it does where it serves."""
    started: list[Hashing] = []

    def go(made: Hashing) -> Hashing:
        started.append(made)
        monkeypatch.setattr(hashing, "_beside", made)
        return made

    yield go
    for one in started:
        one.stop()


def sign_in(client: Client, password: str, address: str = "10.0.0.1", name: str = "ida") -> Any:
    given = {"username": name, "password": password, "next": "/portal/"}
    return client.post("/portal/login", given, headers={"X-Forwarded-For": address})


def test_the_real_process_tells_right_from_wrong(
    db: None, stranger: Client, beside: Callable[[Hashing], Hashing], settings: Any
) -> None:
    User.objects.create_user("ida", password="right of ida")
    User.objects.create_user("gone", password="right of gone", is_active=False)
    made = beside(Hashing())

    assert sign_in(stranger, "wrong").status_code == 200
    assert sign_in(stranger, "right of gone", name="gone").status_code == 200
    assert sign_in(stranger, "x", name="nobody").status_code == 200
    assert sign_in(stranger, "right of ida").status_code == 302
    assert made.process


def test_a_hash_of_yesterday_is_made_anew(db: None, stranger: Client, beside: Callable[[Hashing], Hashing]) -> None:
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    yesterday = PBKDF2PasswordHasher().encode("right of ida", "salt", 1000)
    User.objects.create(username="ida", password=yesterday)
    beside(Hashing())

    assert sign_in(stranger, "right of ida").status_code == 302
    assert User.objects.get(username="ida").password != yesterday


@pytest.fixture
def crowd(db: None, beside: Callable[[Hashing], Hashing], tmp_path: Path) -> Iterator[Callable[[str, int], None]]:
    """Let passwords from an address wait until the test ends."""
    made = beside(Hashing((sys.executable, "-c", HANGS)))
    released = tmp_path / "released"
    threads: list[threading.Thread] = []

    def come(address: str, number: int) -> None:
        for _ in range(number):
            threads.append(threading.Thread(target=made.verify, args=(str(released), "x", address)))
            threads[-1].start()
        wait_for(lambda: made.waiting[address] == number)

    yield come
    released.touch()
    for thread in threads:
        thread.join(within(20))


def test_whoever_waits_often_enough_is_told_when_to_come_again(
    stranger: Client, crowd: Callable[[str, int], None]
) -> None:
    crowd("10.0.0.1", MOST_OF_ONE)

    page = sign_in(stranger, "secret")

    assert page.status_code == 429 and page["Retry-After"] == "5"
    assert "from your address" in page.content.decode() and 'value="ida"' in page.content.decode()
    assert "secret" not in page.content.decode()


def test_a_portal_full_of_passwords_says_so_and_its_pages_go_on(
    stranger: Client, administrator: Client, crowd: Callable[[str, int], None]
) -> None:
    for number in range(MOST // MOST_OF_ONE):
        crowd(f"10.0.1.{number}", MOST_OF_ONE)

    assert sign_in(stranger, "x").status_code == 503
    assert stranger.get("/portal/login").status_code == 200
    assert administrator.get("/portal/").status_code == 200
    given = {"old": "x", "new": "a new word of mine", "again": "a new word of mine"}
    assert "Nothing was changed" in administrator.post("/portal/password", given).content.decode()
    assert MOST < PORTAL_THREADS


def test_a_process_that_ends_is_busy_once(beside: Callable[[Hashing], Hashing]) -> None:
    made = beside(Hashing((sys.executable, "-c", "import sys; sys.stdin.readline()")))

    with pytest.raises(Busy):
        made.verify("x", "y", "")
