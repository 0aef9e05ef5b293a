"""The administrators: there is always one, and nobody locks himself out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import transaction


@contextmanager
def changing(by: Any) -> Iterator[None]:
    """Change people and roles in one transaction, one administrator after the other.

    Two that demote each other at once would leave none: the second is no administrator any more. Raises
    PermissionDenied.
    """
    with transaction.atomic():
        active = get_user_model().objects.select_for_update().filter(is_superuser=True, is_active=True)
        if by.pk not in set(active.order_by("pk").values_list("pk", flat=True)):
            raise PermissionDenied("You are no administrator any more. Nothing was changed.")
        yield


def why_needed(person: Any, by: Any) -> str:
    """Say why somebody has to stay an active administrator, "" where he need not."""
    users = get_user_model().objects
    if not users.filter(pk=person.pk, is_superuser=True, is_active=True).exists():
        return ""
    if not users.filter(is_superuser=True, is_active=True).exclude(pk=person.pk).exists():
        return f"{person.get_username()} is the last active administrator. Make another one first."
    if person.pk == by.pk:
        return "This is you. Another administrator can do it: nobody takes his own rights away by mistake."
    return ""
