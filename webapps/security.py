"""The rows that say who may enter: the system's options, resources, sign-ins (``fields.md``, section Security)."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from . import validators
from .changes import Change
from .choices import Authentication

#: A sign-in ends after this, however busy it is.
LONGEST = timedelta(days=7)
#: How long a one-time code waits for the browser that asked for it.
CODE_LASTS = timedelta(seconds=60)


def _seconds(label: str, default: int, least: int, most: int) -> models.PositiveIntegerField[int, int]:
    return models.PositiveIntegerField(
        label, default=default, validators=[MinValueValidator(least), MaxValueValidator(most)]
    )


class Options(models.Model):
    """Authentication/Web Session Options of the whole system: one row."""

    allow_unauthenticated = models.BooleanField("Allow Unauthenticated access", default=True)
    allow_password = models.BooleanField("Allow Password authentication", default=True)
    allow_login_cookie = models.BooleanField("Allow creation of Login Cookies", default=True)
    login_cookie_expires = _seconds("Login Cookie expire time", 8 * 3600, 60, 7 * 86400)
    session_timeout = _seconds("Session timeout", 900, 60, 86400)
    invalid_login_limit = _seconds("Invalid login limit", 5, 1, 100)
    lock_seconds = _seconds("Lock after the limit", 300, 10, 86400)

    class Meta:
        app_label = "webapps"

    def __str__(self) -> str:
        return "Authentication/Web Session Options"

    @classmethod
    def current(cls) -> Options:
        """Return the options in force: the row, or the defaults where nobody has saved any."""
        return cls.objects.filter(pk=1).first() or cls(pk=1)

    @transaction.atomic
    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save as the one row; the front and the gate look again."""
        self.pk = 1
        super().save(*args, **kwargs)
        Change.note()
        Change.note_access()

    @property
    def methods(self) -> int:
        """The bits of the methods that the system allows."""
        return (
            (Authentication.UNAUTHENTICATED if self.allow_unauthenticated else 0)
            | (Authentication.PASSWORD if self.allow_password else 0)
            | (Authentication.LOGIN_COOKIE if self.allow_login_cookie else 0)
        )


class Resource(models.Model):
    """What an application can require: whoever enters must hold USE on it through a role."""

    name = models.CharField("Name", max_length=64, validators=[validators.validate_text])
    description = models.CharField("Description", max_length=256, blank=True, validators=[validators.validate_text])
    roles = models.ManyToManyField(Group, related_name="resources", blank=True, verbose_name="Roles that hold it")

    class Meta:
        app_label = "webapps"
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="resource_name",
                violation_error_message="There is a resource of this name already.",
            )
        ]

    def __str__(self) -> str:
        return self.name


def _new_key() -> str:
    return secrets.token_urlsafe(12)


class SignIn(models.Model):
    """One person's sign-in by one browser; every token that the gate gives out names it, and ends with it.

    ``session_key`` is the portal's session that it was made in, "" where there is none.
    """

    key = models.CharField(primary_key=True, max_length=16, default=_new_key)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sign_ins")
    session_key = models.CharField(max_length=40, blank=True, db_index=True)
    began = models.DateTimeField(default=timezone.now)
    ended = models.DateTimeField(null=True, blank=True, db_index=True)

    class Meta:
        app_label = "webapps"

    def __str__(self) -> str:
        return f"{self.user} since {self.began:%Y-%m-%d %H:%M}"

    @classmethod
    @transaction.atomic
    def end(cls, which: Q) -> int:
        """End the sign-ins that ``which`` selects; return how many. The gate refuses their tokens from then on."""
        count = cls.objects.filter(which, ended=None).update(ended=timezone.now())
        if count:
            Change.note_access()
        return count

    @classmethod
    def forget_old(cls) -> None:
        """Delete what no token can name any more, and codes that nobody came for."""
        now = timezone.now()
        cls.objects.filter(began__lt=now - LONGEST - timedelta(hours=1)).delete()
        EntryCode.objects.filter(expires__lt=now).delete()


def code_expires() -> datetime:
    """Return when a code that is made now expires."""
    return timezone.now() + CODE_LASTS


class EntryCode(models.Model):
    """A one-time code with which a browser comes back from the sign-in page to one application.

    ``digest`` is SHA-256 of the code, ``browser`` that of the nonce which the browser keeps in a cookie; ``how`` says
    what stands behind the sign-in: "p" a password for this application, "l" an earlier sign-in that others share.
    """

    digest = models.CharField(primary_key=True, max_length=64)
    sign_in = models.ForeignKey(SignIn, models.CASCADE)
    webapp = models.ForeignKey("webapps.WebApp", models.CASCADE)
    browser = models.CharField(max_length=64)
    how = models.CharField(max_length=1)
    way_back = models.CharField(max_length=4096)
    expires = models.DateTimeField(default=code_expires)

    class Meta:
        app_label = "webapps"

    def __str__(self) -> str:
        return f"to {self.webapp}"
