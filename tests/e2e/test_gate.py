"""Who may enter, through the whole of Stoa: the front, the gate, the applications."""

from __future__ import annotations

import base64
import itertools
import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests import signing
from tests.patience import within
from tests.serving import Answer, Stoa
from tests.waiting import wait_for

UNAUTHENTICATED, PASSWORD, LDAP, LOGIN_COOKIE = 64, 32, 2048, 16384
WITHIN = 5.0
HTML = {"Accept": "text/html,*/*"}
FETCH = {"Accept": "*/*", "Sec-Fetch-Mode": "cors"}
SHOWS_ALL = """
import json

def application(environ, start_response):
    body = json.dumps({key: value for key, value in environ.items() if isinstance(value, str)}).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
"""
SHOWS_SCOPE = """
import json

async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        await send({"type": "websocket.send", "text": json.dumps(headers)})
        await send({"type": "websocket.close"})
    elif scope["type"] == "http":
        body = json.dumps([[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""
METHODS = {
    "open": UNAUTHENTICATED,
    "mixed": UNAUTHENTICATED | PASSWORD,
    "password": PASSWORD,
    "cookie": LOGIN_COOKIE,
    "both": PASSWORD | LOGIN_COOKIE,
    "all": UNAUTHENTICATED | PASSWORD | LOGIN_COOKIE,
    "ldap": LDAP,
}


@pytest.fixture(scope="module")
def gated() -> Iterator[Stoa]:
    """A Stoa with an application for each set of methods, WSGI and ASGI."""
    with Stoa(STOA_TRUSTED_PROXIES="127.0.0.1") as stoa:
        for kind, source in (("wsgi", SHOWS_ALL), ("asgi", SHOWS_SCOPE)):
            stoa.write(f"gate/{kind}", {"app.py": source, "static/file.txt": "a file"})
        stoa.merge(*(line for name, bits in METHODS.items() for line in actions(stoa, name, bits)))
        signing.user(stoa, "ann")
        wait_for(lambda: all(app["state"] == "running" for app in stoa.status().values()), 30, lambda: stoa.log("WSGI"))
        stoa.eventually("/asgi/open/")
        yield stoa


def actions(stoa: Stoa, name: str, bits: int) -> Iterator[str]:
    """One application of each kind, and one for each value of Serve Files."""
    for kind, protocol in (("wsgi", 1), ("asgi", 2)):
        yield action(stoa, f"/{kind}/{name}", bits, kind, WSGIType=protocol, MatchRoles=":Base")
    for serve in range(4):
        yield action(stoa, f"/files{serve}/{name}", bits, "wsgi", ServeFiles=serve)


def action(stoa: Stoa, name: str, bits: int, kind: str, **more: object) -> str:
    words = "".join(f",{key}={value}" for key, value in more.items())
    directory = stoa.home / "csp" / "gate" / kind
    return (
        f"CreateApplication:Name={name},NameSpace=USER,WSGIAppName=app,WSGICallable=application,"
        f"DispatchClass=%SYS.Python.WSGI,WSGIAppLocation={directory},AutheEnabled={bits}{words}"
    )


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


RIGHT = basic("ann", signing.PASSWORD)
NUMBERS = itertools.count()
# What comes of (methods of the application, what is sent): "in" with a user, or a status. From fields.md, by hand.
PAGES: dict[tuple[str, str], str | int] = {
    ("open", "nothing"): "in",
    ("open", "right"): "in",
    ("open", "wrong"): "in",
    ("open", "session"): "in",
    ("mixed", "nothing"): "UnknownUser",
    ("mixed", "right"): "ann",
    ("mixed", "wrong"): 401,
    ("mixed", "session"): "ann",
    ("mixed", "login"): "UnknownUser",
    ("password", "nothing"): 401,
    ("password", "right"): "ann",
    ("password", "wrong"): 401,
    ("password", "session"): "ann",
    ("password", "login"): 401,
    ("cookie", "nothing"): 401,
    ("cookie", "right"): 401,
    ("cookie", "session"): 401,
    ("cookie", "login"): "ann",
    ("both", "nothing"): 401,
    ("both", "right"): "ann",
    ("both", "wrong"): 401,
    ("both", "session"): "ann",
    ("both", "login"): "ann",
    ("both", "two"): 401,
    ("both", "expired"): 401,
    ("both", "foreign"): 401,
    ("both", "cut"): 401,
    ("all", "nothing"): "UnknownUser",
    ("all", "wrong"): 401,
    ("all", "login"): "ann",
    ("all", "two"): "UnknownUser",
    ("ldap", "nothing"): 403,
    ("ldap", "right"): 403,
    ("ldap", "login"): 403,
}


@pytest.fixture(scope="module")
def shown(gated: Stoa) -> dict[str, dict[str, str]]:
    """What a request can show, by its name; sessions are made for each application."""
    login = signing.login_cookie(gated, "ann")
    cookies = signing.run(
        gated,
        "result = {}\n"
        "for app in WebApp.objects.all():\n"
        "    name = tokens.cookie_of_application(app.pk)\n"
        "    result[app.name] = [name, token_of(name, 'ann'), token_of(name, 'ann', began=-9000, lasts=60)]",
    )
    both = signing.run(gated, "result = tokens.cookie_of_application(WebApp.objects.get(name='/wsgi/both').pk)")
    sent: dict[str, dict[str, str]] = {"nothing": {}, "right": RIGHT, "login": {"Cookie": login}}
    sent["two"] = {"Cookie": f"{login}; {login}"}
    for app, (name, token, old) in cookies.items():
        sent[f"session {app}"] = {"Cookie": f"a=b; {name}={token}; c=d"}
        sent[f"expired {app}"] = {"Cookie": f"{name}={old}"}
        sent[f"cut {app}"] = {"Cookie": f"{name}={token[:-3]}"}
        sent[f"two {app}"] = {"Cookie": f"{name}={token}; x=y; {name}={token}"}
        sent[f"foreign {app}"] = {"Cookie": f"{both if app != '/wsgi/both' else name + '0'}={token}"}
    return sent


def of(shown: dict[str, dict[str, str]], what: str, app: str) -> dict[str, str]:
    if what == "wrong":
        return basic(f"nobody-{next(NUMBERS)}", "wrong")  # One account would be locked soon.
    return shown.get(f"{what} {app}") or shown[what]


@pytest.mark.parametrize(("methods", "sent"), PAGES)
def test_a_page(gated: Stoa, shown: dict[str, dict[str, str]], methods: str, sent: str) -> None:
    wanted = PAGES[methods, sent]
    app = f"/wsgi/{methods}"
    if sent == "foreign":
        app = "/wsgi/password" if methods == "both" else app

    answer = gated.get(f"{app}/x", headers=of(shown, sent, app))

    if isinstance(wanted, int):
        assert answer.status == wanted, answer.text
        return
    assert answer.status == 200, answer.text
    told = json.loads(answer.body)
    assert told.get("REMOTE_USER", "in") == wanted
    if wanted != "in":
        assert told["REMOTE_GROUPS"] == "Base"
    assert "stoa_" not in answer.text
    assert "HTTP_AUTHORIZATION" not in told or methods == "open"


@pytest.mark.parametrize(("methods", "sent"), PAGES)
def test_a_websocket(gated: Stoa, shown: dict[str, dict[str, str]], methods: str, sent: str) -> None:
    wanted = PAGES[methods, sent]
    app = f"/asgi/{methods}"
    if sent == "foreign":
        app = "/asgi/password" if methods == "both" else app
    address = f"ws://127.0.0.1:{gated.port}{app}/socket"

    if isinstance(wanted, int):
        with pytest.raises(InvalidStatus) as refused:
            connect(address, additional_headers=of(shown, sent, app))
        assert refused.value.response.status_code == wanted
        return
    with connect(address, additional_headers=of(shown, sent, app)) as socket:
        told = json.loads(socket.recv())
    assert told.get("remote-user", "in") == wanted
    assert "stoa_" not in str(told)


@pytest.mark.parametrize("serve", range(4))
@pytest.mark.parametrize(("methods", "sent"), PAGES)
def test_a_file(gated: Stoa, shown: dict[str, dict[str, str]], methods: str, sent: str, serve: int) -> None:
    wanted = PAGES[methods, sent]
    app = f"/files{serve}/{methods}"
    if sent == "foreign":
        app = f"/files{serve}/password" if methods == "both" else app

    answer = gated.get(f"{app}/static/file.txt", headers=of(shown, sent, app))

    if serve in (1, 2):
        assert (answer.status, answer.text) == (200, "a file")
    elif isinstance(wanted, int):
        assert answer.status == (404 if serve == 3 else wanted)
        assert "a file" not in answer.text
    elif serve == 3:
        assert (answer.status, answer.text) == (200, "a file")
    else:
        assert (answer.status, json.loads(answer.body)["PATH_INFO"]) == (200, "/static/file.txt")


@pytest.mark.parametrize("methods", ["password", "both", "cookie"])
def test_kinds_of_clients(gated: Stoa, methods: str) -> None:
    path = f"/wsgi/{methods}/deep/page?a=%2F"
    challenged = methods != "cookie"

    page = gated.get(path, headers=HTML)
    assert page.status == 302
    assert page.headers["location"].startswith(f"http://127.0.0.1:{gated.portal_port}/portal/enter?ticket=")
    assert page.headers["set-cookie"].startswith("stoa_enter_")
    plain = gated.get(path)
    assert (plain.status, "www-authenticate" in plain.headers) == (401, challenged)
    fetched = gated.get(path, headers=FETCH)
    assert (fetched.status, "www-authenticate" in fetched.headers) == (401, False)
    posted = gated.ask("POST", path, body=b"x=y", headers=HTML)
    assert posted.status == 401
    as_json = gated.get(path, headers={"Accept": "application/json"})
    assert json.loads(as_json.body)["error"] == "Sign in first"


def test_nobody_is_who_a_client_says(gated: Stoa, shown: dict[str, dict[str, str]]) -> None:
    names = (
        "Remote-User",
        "Remote_User",
        "REMOTE-USER",
        "Remote-Groups",
        "Remote_Groups",
        "X-Remote-User",
        "Stoa-Pass",
    )
    for app in ("/wsgi/open", "/wsgi/both", "/asgi/open", "/asgi/both"):
        headers = {**of(shown, "session", app), **dict.fromkeys(names, "forged")}
        answer = gated.get(f"{app}/", headers=headers)
        assert answer.status == 200
        assert "forged" not in answer.text, app


def test_a_visitor_without_the_resource_is_told_so(gated: Stoa) -> None:
    signing.user(gated, "bob")
    signing.user(gated, "eve", "Reader")
    signing.run(gated, "Resource.objects.create(name='Reports').roles.add(Group.objects.get(name='Reader'))")
    gated.merge(action(gated, "/reports", PASSWORD | UNAUTHENTICATED, "wsgi", Resource="reports"))
    eve = basic("eve", signing.PASSWORD)

    answer = gated.eventually("/reports/", headers=eve)
    assert json.loads(answer.body)["REMOTE_GROUPS"] == "Reader"
    refused = gated.get("/reports/", headers=basic("bob", signing.PASSWORD))
    assert (refused.status, "You may not enter" in refused.text) == (403, True)
    assert gated.get("/reports/").status == 401
    assert gated.get("/reports/", headers=basic("admin", "secret-of-the-test")).status == 200

    signing.user(gated, "eve")
    soon(lambda: gated.get("/reports/", headers=eve).status == 403)


def soon(condition: Any) -> None:
    """What was changed is in force within five seconds."""
    wait_for(condition, WITHIN, "not in force within five seconds", interval=0.1)


def test_what_ends_a_sign_in_is_in_force_within_five_seconds(gated: Stoa) -> None:
    app = "/wsgi/both"

    def status(cookie: str) -> int:
        return gated.get(f"{app}/", headers={"Cookie": cookie}).status

    signing.user(gated, "cat")
    first = signing.session(gated, app, "cat")
    soon(lambda: status(first) == 200)
    signing.run(gated, "SignIn.end(Q(user__username='cat'))")
    soon(lambda: status(first) == 401)

    second = signing.session(gated, app, "cat")
    assert status(second) == 200
    signing.run(gated, "user = User.objects.get(username='cat'); user.set_password('another'); user.save()")
    soon(lambda: status(second) == 401)

    third = signing.session(gated, app, "cat")
    soon(lambda: status(third) == 200)
    signing.run(gated, "User.objects.filter(username='cat').first().delete()")
    soon(lambda: status(third) == 401)

    signing.user(gated, "dan")
    fourth = signing.session(gated, app, "dan")
    soon(lambda: status(fourth) == 200)
    signing.run(gated, "user = User.objects.get(username='dan'); user.is_active = False; user.save()")
    soon(lambda: status(fourth) == 401)


def test_a_method_that_is_switched_off_is_off_within_five_seconds(
    gated: Stoa, shown: dict[str, dict[str, str]]
) -> None:
    login = shown["login"]

    def off(field: str, *, on: bool = False) -> None:
        signing.run(gated, f"options = Options.current(); options.{field} = {on}; options.save()")

    assert gated.get("/wsgi/cookie/", headers=login).status == 200
    try:
        off("allow_login_cookie")
        soon(lambda: gated.get("/wsgi/cookie/", headers=login).status == 403)
        off("allow_unauthenticated")
        soon(lambda: gated.get("/wsgi/open/").status == 403)
        soon(lambda: gated.get("/wsgi/mixed/").status == 401)
    finally:
        off("allow_login_cookie", on=True)
        off("allow_unauthenticated", on=True)
    for path, headers in (("open", {}), ("mixed", {}), ("cookie", login)):
        soon(partial(answers, gated, f"/wsgi/{path}/", headers))
    for path in ("wsgi", "asgi"):
        soon(lambda path=path: "UnknownUser" not in gated.get(f"/{path}/open/").text)  # The front asks nobody again.


def answers(gated: Stoa, path: str, headers: dict[str, str]) -> bool:
    return gated.get(path, headers=headers).status == 200


def test_a_thousand_sign_ins_end_at_once_while_requests_run(gated: Stoa) -> None:
    cookies = signing.run(
        gated,
        "from django.db import transaction\n"
        "name = tokens.cookie_of_application(WebApp.objects.get(name='/wsgi/both').pk)\n"
        "person = snapshot.read(signer.key).people[User.objects.get(username='ann').pk]\n"
        "rows = SignIn.objects.bulk_create([SignIn(user_id=person.id) for _ in range(1000)])\n"
        "now = time.time()\n"
        "made = [new_token(person, row.key, How('p'), int(now), now, 86400) for row in rows]\n"
        "result = [f'{name}={signer.sign(token, name)}' for token in made]",
    )
    seen: list[tuple[float, int]] = []
    ended = threading.Event()

    def ask_on() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            begun = time.monotonic()
            status = gated.get("/wsgi/both/", headers={"Cookie": cookies[number * 37 % 1000]}).status
            seen.append((begun, status))

    clients = [threading.Thread(target=ask_on) for _ in range(4)]
    for client in clients:
        client.start()
    wait_for(lambda: len(seen) > 100, 20)
    signing.run(gated, f"SignIn.end(Q(key__in=[row.split('=')[1].split('.')[1] for row in {cookies!r}]))")
    at = time.monotonic()
    wait_for(lambda: time.monotonic() - at > within(WITHIN) + 0.5, 10)
    ended.set()
    for client in clients:
        client.join(within(20))

    assert {status for begun, status in seen if begun < at - within(WITHIN)} <= {200}
    late = [status for begun, status in seen if begun > at + within(WITHIN)]
    assert late and set(late) == {401}


def test_a_pair_of_account_and_address_is_locked_and_no_other(gated: Stoa) -> None:
    signing.user(gated, "fay")
    far = {"X-Forwarded-For": "192.0.2.9"}

    def ask(password: str, **more: str) -> Answer:
        return gated.get("/wsgi/password/", headers={**basic("fay", password), **far, **more})

    statuses = [ask("wrong").status for _ in range(6)]
    assert statuses[:4] == [401] * 4
    assert statuses[-1] == 429
    locked = ask(signing.PASSWORD)
    assert locked.status == 429
    assert 0 < int(locked.headers["retry-after"]) <= 300
    assert gated.get("/wsgi/password/", headers=basic("fay", signing.PASSWORD)).status == 200

    assert "fay" in gated.command("locks").stdout
    gated.command("locks", "--clear", "--user", "fay")
    assert ask(signing.PASSWORD).status == 200


def test_a_gate_that_is_killed_lets_nobody_in_and_comes_back(gated: Stoa, shown: dict[str, dict[str, str]]) -> None:
    session = of(shown, "session", "/wsgi/both")
    for number in (signal.SIGSTOP, signal.SIGKILL):
        pids = family(gated.pid_of("gate"))
        for pid in pids:
            os.kill(pid, number)
        if number == signal.SIGSTOP:
            assert gated.get("/wsgi/open/").status == 200
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
    assert gated.get("/wsgi/open/").status == 200
    assert gated.get("/wsgi/both/").status in (401, 503)

    wait_for(lambda: gated.get("/wsgi/both/", headers=session).status == 200, 20, lambda: gated.log("messages"))
    assert gated.get("/wsgi/both/").status == 401


def family(pid: int) -> list[int]:
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in below)]


def test_while_the_portal_is_stopped_the_door_works(gated: Stoa, shown: dict[str, dict[str, str]]) -> None:
    pids = family(gated.pid_of("portal"))
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert gated.get("/wsgi/both/", headers=of(shown, "session", "/wsgi/both")).status == 200
        assert gated.get("/wsgi/both/").status == 401
        assert gated.get("/wsgi/open/").status == 200
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_locked_database_keeps_the_door_shut_and_nobody_is_signed_out(
    gated: Stoa, shown: dict[str, dict[str, str]]
) -> None:
    session = of(shown, "session", "/wsgi/both")
    database = sqlite3.connect(gated.home / "db.sqlite3", isolation_level=None)
    seen: set[int] = set()
    try:
        database.execute("BEGIN EXCLUSIVE")
        until = time.monotonic() + 10
        while time.monotonic() < until:
            assert gated.get("/wsgi/open/").status == 200
            assert gated.get("/wsgi/both/").status in (401, 503)
            seen.add(gated.get("/wsgi/both/", headers=session).status)
    finally:
        database.execute("ROLLBACK")
        database.close()
    assert seen <= {200, 503}
    soon(lambda: gated.get("/wsgi/both/", headers=session).status == 200)


def test_of_some_that_bring_a_code_at_once_one_is_let_in(gated: Stoa) -> None:
    code, cookie = signing.code(gated, "/wsgi/password", "ann")
    start, statuses = threading.Barrier(6), list[int]()

    def bring() -> None:
        start.wait(within(10))
        statuses.append(gated.get(f"/-/enter?code={code}", headers={"Cookie": cookie}).status)

    threads = [threading.Thread(target=bring) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(within(30))

    assert sorted(statuses) == [303, 400, 400, 400, 400, 400]
