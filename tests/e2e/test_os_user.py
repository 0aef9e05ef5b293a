"""A namespace names an OS user: its processes run as him, and its data is his alone."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts import ACCOUNT, StoaOfTwo, no_account, python_of_account
from tests.serving import Stoa

OTHER = "daemon"
WHO = """
import json, os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    data = os.path.dirname(os.environ["DATABASE_URL"].removeprefix("sqlite:///"))
    with open(os.path.join(data, "written"), "w"):
        pass
    return [json.dumps([os.getuid(), os.geteuid(), os.getgid(), os.environ["USER"]]).encode()]
"""


@pytest.fixture(scope="module", params=["1", "0"], ids=["with walls", "without walls"])
def stoa(request: pytest.FixtureRequest) -> Iterator[Stoa]:
    if missing := no_account():
        pytest.skip(missing)
    site = StoaOfTwo(python_of_account())
    site.environment |= {"STOA_WALLS": request.param}
    with site as running:
        running.command(
            "shell", "-c", f"from webapps.models import *; Namespace.objects.create(name='OWN', os_user={OTHER!r})"
        )
        for namespace in ("USER", "OWN"):
            host(running, namespace)
        yield running


def host(stoa: Stoa, namespace: str) -> None:
    directory = stoa.write(namespace.lower(), {"app.py": WHO})
    stoa.merge(
        f'CreateApplication:Name=/{namespace.lower()},NameSpace={namespace},WSGIAppLocation="{directory}",'
        "WSGIAppName=app,WSGICallable=application,AutheEnabled=64"
    )
    stoa.eventually(f"/{namespace.lower()}/", deadline=60)


def owners_below(directory: Path) -> set[int]:
    return {path.lstat().st_uid for path in [directory, *directory.iterdir()]}


@pytest.mark.parametrize(("name", "user"), [("user", ACCOUNT), ("own", OTHER)])
def test_it_runs_as_the_user_of_its_namespace_and_its_data_is_his(stoa: Stoa, name: str, user: str) -> None:
    account = pwd.getpwnam(user)

    seen = json.loads(stoa.get(f"/{name}/").text)

    assert seen[:3] == [account.pw_uid, account.pw_uid, account.pw_gid]
    assert owners_below(stoa.home / "namespaces" / name.upper()) == {account.pw_uid}
    assert {os.stat(f"/proc/{pid}").st_uid for pid in stoa.status()[f"/{name}"]["pids"]} == {account.pw_uid}


def test_one_whose_user_changes_goes_on_as_the_new_one_with_its_data(stoa: Stoa) -> None:
    rename = "from webapps.models import *; n = Namespace.objects.get(name='OWN'); n.os_user = {!r}; n.save()"
    stoa.command("shell", "-c", rename.format("bin"))
    uid = pwd.getpwnam("bin").pw_uid
    stoa.eventually("/own/", text=f"[{uid}, {uid}")

    assert owners_below(stoa.home / "namespaces" / "OWN") == {uid}

    stoa.command("shell", "-c", rename.format(OTHER))
    stoa.eventually("/own/", text=f"[{pwd.getpwnam(OTHER).pw_uid}, ")


def test_a_user_that_went_is_named(stoa: Stoa) -> None:
    gone = "from webapps.models import *; Namespace.objects.create(name='GONE', os_user='stoa-has-no-such')"
    stoa.command("shell", "-c", gone)
    directory = stoa.write("gone", {"app.py": WHO})
    stoa.merge(
        f'CreateApplication:Name=/gone,NameSpace=GONE,WSGIAppLocation="{directory}",'
        "WSGIAppName=app,WSGICallable=application,AutheEnabled=64"
    )

    failed = stoa.wait_for_state("/gone", "failed", deadline=60)

    assert "stoa-has-no-such" in failed["reason"]
