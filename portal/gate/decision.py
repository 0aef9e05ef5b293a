"""May this request enter? Pure: what is known of the application, the system and the person goes in, a word comes out.

The order is that of ``fields.md``: explicit credentials; existing sign-in; login cookie; Unauthenticated; then the
resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from webapps.choices import Authentication

from .tokens import How

UNKNOWN_USER = "UnknownUser"
ALL = "%all"
UNAUTHENTICATED = int(Authentication.UNAUTHENTICATED)
PASSWORD = int(Authentication.PASSWORD)
LOGIN_COOKIE = int(Authentication.LOGIN_COOKIE)
BEHIND = {How.PASSWORD: PASSWORD, How.LOGIN_COOKIE: LOGIN_COOKIE}


class Outcome(StrEnum):
    """What the gate says of a request."""

    ENTER = "enter"
    SIGN_IN = "sign-in"
    WRONG = "wrong"
    LOCKED = "locked"
    BUSY = "busy"
    NO_METHOD = "no-method"
    NO_RIGHT = "no-right"


@dataclass(frozen=True)
class Person:
    """Somebody who is known. ``roles`` maps a role's name in lower case to the name as it is written."""

    id: int
    name: str
    proof: str
    roles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Door:
    """What is asked at one application. ``grants`` are (match role in lower case or "", granted roles)."""

    id: int
    label: str
    mount: str
    host: str
    methods: int
    resource: str = ""
    holders: frozenset[str] = frozenset()
    group: str = ""
    grants: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Shown:
    """What a request shows. ``basic`` is whom a Basic header names, or what is wrong with it; None: none was sent."""

    basic: Person | Outcome | None = None
    session: tuple[Person, How] | None = None
    login: Person | None = None


@dataclass(frozen=True)
class Decision:
    """The word, and for whom; the names are those that the application is told."""

    outcome: Outcome
    person: Person | None = None
    user: str = ""
    roles: tuple[str, ...] = ()


def decide(door: Door, allowed: int, shown: Shown) -> Decision:
    """Decide, where the system allows these methods."""
    in_force = door.methods & allowed
    if not in_force:
        return Decision(Outcome.NO_METHOD)
    if shown.basic is not None:
        return _with_credentials(door, in_force, shown.basic)
    person = _signed_in(in_force, shown)
    if person is not None:
        return _enter(door, person)
    return _without(door, in_force)


def _with_credentials(door: Door, in_force: int, basic: Person | Outcome) -> Decision:
    """Credentials that are sent count, even where nobody asked for them."""
    if isinstance(basic, Outcome):
        return Decision(basic)
    return _enter(door, basic) if in_force & PASSWORD else Decision(Outcome.WRONG)


def _signed_in(in_force: int, shown: Shown) -> Person | None:
    if shown.session and in_force & BEHIND[shown.session[1]]:
        return shown.session[0]
    return shown.login if in_force & LOGIN_COOKIE else None


def _without(door: Door, in_force: int) -> Decision:
    """Let nobody in particular in, or ask who it is; a resource asks too, where there is a way to say it."""
    asks = bool(in_force & (PASSWORD | LOGIN_COOKIE))
    if in_force & UNAUTHENTICATED and not door.resource:
        return Decision(Outcome.ENTER, None, UNKNOWN_USER, effective_roles(door, {}))
    return Decision(Outcome.SIGN_IN if asks else Outcome.NO_RIGHT)


def _enter(door: Door, person: Person) -> Decision:
    if door.resource and not may_use(door, person.roles):
        return Decision(Outcome.NO_RIGHT, person, person.name)
    return Decision(Outcome.ENTER, person, person.name, effective_roles(door, person.roles))


def may_use(door: Door, roles: Iterable[str]) -> bool:
    """Say whether one of these roles (in lower case) holds USE on what the application requires."""
    return any(role == ALL or role in door.holders for role in roles)


def effective_roles(door: Door, roles: Mapping[str, str]) -> tuple[str, ...]:
    """Return a person's roles and those that the application grants, without regard to case, each once."""
    effective = dict(roles)
    for match, targets in door.grants:
        if not match or match in roles:
            for target in targets:
                effective.setdefault(target.lower(), target)
    return tuple(effective.values())


def grants_of(match_roles: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Read ``Match:Target1:Target2,Match2:Target3``; what has no target grants nothing."""
    found = []
    for entry in match_roles.split(","):
        match, *targets = (part.strip() for part in entry.split(":"))
        granted = tuple(target for target in targets if target)
        if granted:
            found.append((match.lower(), granted))
    return tuple(found)
