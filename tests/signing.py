"""Signing in without a browser: users, roles and tokens in a Stoa that runs."""

from __future__ import annotations

import json
from typing import Any

from tests.serving import Stoa

PASSWORD = "a-password-of-the-test"  # noqa: S105
PRELUDE = """
import json, time
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db.models import Q
from portal.gate import entry, snapshot, tokens
from portal.gate.gatekeeper import new_token
from portal.gate.tokens import How
from webapps.models import Options, Resource, SignIn, WebApp
signer = tokens.Signer(settings.SECRET_KEY)

def token_of(name, user, how="p", lasts=86400, began=0):
    person = snapshot.read(signer.key).people[User.objects.get(username=user).pk]
    sign_in = SignIn.objects.create(user_id=person.id)
    now = time.time()
    token = new_token(person, sign_in.key, How(how), int(now + began), now + began, lasts)
    return signer.sign(token, name)
"""


def run(stoa: Stoa, code: str) -> Any:
    """Run code with Stoa's rows at hand; return what it puts into ``result``."""
    whole = f"{PRELUDE}\nresult = None\n{code}\nprint('RESULT' + json.dumps(result))"
    said = stoa.command("shell", "-v", "0", "-c", whole).stdout
    return json.loads(said.rpartition("RESULT")[2])


def application_id(stoa: Stoa, name: str) -> int:
    """Return the id of an application without a host."""
    found: int = run(stoa, f"result = WebApp.objects.get(name={name!r}, host='').pk")
    return found


def session(stoa: Stoa, name: str, user: str = "admin", **more: Any) -> str:
    """Return the Cookie header of a session with one application."""
    cookie: str = run(
        stoa,
        f"name = tokens.cookie_of_application(WebApp.objects.get(name={name!r}).pk)\n"
        f"result = name + '=' + token_of(name, {user!r}, **{more!r})",
    )
    return cookie


def login_cookie(stoa: Stoa, user: str = "admin") -> str:
    """Return the Cookie header of a login cookie."""
    cookie: str = run(stoa, f"result = 'stoa_login=' + token_of('stoa_login', {user!r}, how='l')")
    return cookie


def code(stoa: Stoa, name: str, user: str) -> tuple[str, str]:
    """Return a code that lets the user in to an application, and the Cookie header of the browser that asked."""
    found: list[str] = run(
        stoa,
        f"nonce, app = entry.new_nonce(), WebApp.objects.get(name={name!r})\n"
        f"asked = entry.Ticket(app.pk, 'http://127.0.0.1:{stoa.port}', {name!r} + '/', entry.digest(nonce))\n"
        f"sign_in = SignIn.objects.create(user=User.objects.get(username={user!r}))\n"
        "code = entry.issue(asked, sign_in, How.PASSWORD).partition('code=')[2]\n"
        "result = [code, tokens.cookie_of_nonce(entry.digest(nonce)) + '=' + nonce]",
    )
    return found[0], found[1]


def user(stoa: Stoa, name: str, *roles: str) -> None:
    """Make a user with these roles."""
    run(
        stoa,
        f"user, _made = User.objects.get_or_create(username={name!r})\n"
        f"user.set_password({PASSWORD!r}); user.is_active = True; user.save()\n"
        f"user.groups.set([Group.objects.get_or_create(name=role)[0] for role in {list(roles)!r}])",
    )
