"""Signing somebody out: his sign-ins for the gate, his sessions for the portal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from webapps.models import SignIn


@transaction.atomic
def everywhere(person: Any, but: str = "") -> None:
    """End all sign-ins of a person, those of one session of the portal excepted."""
    kept = Q(session_key=but) if but else Q(pk__in=())
    SignIn.end(Q(user=person) & ~kept)
    Session.objects.filter(pk__in=[key for key in _sessions(person) if key != but]).delete()


def _sessions(person: Any) -> Iterable[str]:
    """Yield the keys of a person's sessions: whose a session is stands in it alone."""
    for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator():
        if session.get_decoded().get(SESSION_KEY) == str(person.pk):
            yield session.session_key
