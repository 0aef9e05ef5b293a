"""Make an administrator anew: `manage.py administrator [NAME]`."""

from __future__ import annotations

import os
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from portal import locks, signouts
from portal.forms.passwords import made
from portal.gate.decision import UNKNOWN_USER
from webapps import validators
from webapps.roles import ALL


class Command(BaseCommand):
    """Make an administrator, or give one a new password, activate him and give him %ALL."""

    help = (
        "Make an administrator, or give an existing user a new password and %ALL, and activate him. The password is "
        "STOA_ADMIN_PASSWORD, else one that is made and printed once."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the name."""
        name = os.environ.get("STOA_ADMIN_USER") or "admin"
        parser.add_argument("name", nargs="?", default=name, metavar="NAME", help="the user (default: %(default)s)")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        """Find or make the user, and end what was signed in with the old password."""
        user = _found(options["name"]) or _new(options["name"])
        verb = "is an administrator with a new password now" if user.pk else "is a new administrator"
        given = os.environ.get("STOA_ADMIN_PASSWORD")
        password = given or made()
        user.set_password(password)
        user.is_active = user.is_superuser = user.is_staff = True
        user.save()
        user.groups.add(Group.objects.get_or_create(name=ALL)[0])
        signouts.everywhere(user)
        locks.clear(user.get_username())
        self.stdout.write(f"{user} {verb}.")
        if not given:
            self.stdout.write(f"The password is {password} (shown this once).")


def _found(name: str) -> User | None:
    """Return the user of a name; in another case where only one can be meant."""
    users = list(get_user_model().objects.filter(username__iexact=name))
    exact = [user for user in users if user.get_username() == name]
    return exact[0] if exact else users[0] if len(users) == 1 else None


def _new(name: str) -> User:
    user = User(username=name)
    if name.lower() == UNKNOWN_USER.lower():
        raise CommandError(f"{UNKNOWN_USER} stands for whoever has not signed in. Choose another name.")
    try:
        user.full_clean(exclude={"password"})
    except ValidationError as error:
        raise CommandError(validators.describe(error)) from None
    return user
