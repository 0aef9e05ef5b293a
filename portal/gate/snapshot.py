"""What the gate knows of the rows: one frozen value, read whole whenever a counter has moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.utils import timezone

from webapps.models import Change, Options, Resource, SignIn, WebApp
from webapps.roles import ALL as ALL_ROLES
from webapps.security import LONGEST

from .decision import Door, Person, grants_of
from .tokens import proof_of


@dataclass(frozen=True)
class Snapshot:
    """The rows as of two counters; doors by the application's id, as the front writes it.

    ``ended`` are the sign-ins whose tokens have not all expired yet.
    """

    counters: tuple[int, int]
    allowed: int
    session_timeout: int
    login_cookie_expires: int
    doors: Mapping[str, Door] = field(default_factory=dict)
    people: Mapping[int, Person] = field(default_factory=dict)
    names: Mapping[str, int] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()


def read(key: bytes) -> Snapshot:
    """Read everything; the counters first, so that what changes meanwhile is read again."""
    counters = Change.counters()
    options = Options.current()
    people = {person.id: person for person in _people(key)}
    return Snapshot(
        counters=counters,
        allowed=options.methods,
        session_timeout=options.session_timeout,
        login_cookie_expires=options.login_cookie_expires,
        doors=_doors(),
        people=people,
        names={person.name: person.id for person in people.values()},
        ended=frozenset(_ended()),
    )


def _people(key: bytes) -> list[Person]:
    """Return the active users with their roles."""
    users = get_user_model()
    roles: dict[int, dict[str, str]] = {}
    names = dict(Group.objects.values_list("pk", "name"))
    for user, role in users.groups.through.objects.values_list("user_id", "group_id"):
        if role in names:
            roles.setdefault(user, {})[names[role].lower()] = names[role]
    rows = users.objects.filter(is_active=True).values_list("pk", "username", "password", "is_superuser")
    return [
        Person(pk, name, proof_of(password, key), _with_all(roles.get(pk, {}), superuser=superuser))
        for pk, name, password, superuser in rows
    ]


def _with_all(roles: dict[str, str], *, superuser: bool) -> dict[str, str]:
    return {**roles, ALL_ROLES.lower(): ALL_ROLES} if superuser else roles


def _doors() -> dict[str, Door]:
    holders = _holders()
    return {str(webapp.pk): door_of(webapp, holders) for webapp in WebApp.objects.filter(enabled=True)}


def door_of(webapp: WebApp, holders: Mapping[str, frozenset[str]]) -> Door:
    """Return what is asked at an application; ``holders`` maps resources to the roles that hold them."""
    return Door(
        id=webapp.pk,
        label=webapp.label,
        mount=webapp.name.rstrip("/"),
        host=webapp.host,
        methods=webapp.authe_enabled,
        resource=webapp.resource,
        holders=holders.get(webapp.resource.lower(), frozenset()),
        group=webapp.group_by_id,
        grants=grants_of(webapp.match_roles),
    )


def _holders() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for resource, role in Resource.objects.values_list("name", "roles__name"):
        found.setdefault(resource.lower(), set()).update({role.lower()} if role else ())
    return {name: frozenset(roles) for name, roles in found.items()}


def _ended() -> Any:
    recent = timezone.now() - LONGEST - timedelta(hours=1)
    return SignIn.objects.filter(ended__isnull=False, began__gte=recent).values_list("key", flat=True)
