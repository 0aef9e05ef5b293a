"""Pairs of account and address that are locked after too many wrong passwords; django-axes keeps them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from axes.models import AccessAttempt
from django.db.models import Max, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from webapps.models import Options


def limit(request: HttpRequest, credentials: Any = None) -> int:
    """Return after how many failures a pair is locked (AXES_FAILURE_LIMIT)."""
    return Options.current().invalid_login_limit


def cool_off(request: HttpRequest | None = None) -> timedelta:
    """Return how long a pair stays locked (AXES_COOLOFF_TIME)."""
    return timedelta(seconds=Options.current().lock_seconds)


def client_address(request: HttpRequest) -> str | None:
    """Return who asks, as the front says: it overwrites what a client may have sent (AXES_CLIENT_IP_CALLABLE)."""
    return request.META.get("HTTP_X_FORWARDED_FOR") or request.META.get("REMOTE_ADDR") or None


@dataclass(frozen=True)
class Lock:
    """A pair that is locked, and until when."""

    username: str
    address: str
    failures: int
    until: datetime

    @property
    def seconds(self) -> int:
        """How long it is still locked, at least a second."""
        return max(1, math.ceil((self.until - timezone.now()).total_seconds()))


def locks() -> list[Lock]:
    """Return the pairs that are locked now."""
    options = Options.current()
    lasts = timedelta(seconds=options.lock_seconds)
    pairs = (
        AccessAttempt.objects.filter(attempt_time__gte=timezone.now() - lasts)
        .values("username", "ip_address")
        .annotate(failures=Sum("failures_since_start"), last=Max("attempt_time"))
        .filter(failures__gte=options.invalid_login_limit)
        .order_by("username", "ip_address")
    )
    return [Lock(pair["username"], pair["ip_address"], pair["failures"], pair["last"] + lasts) for pair in pairs]


def lock_of(username: str, address: str) -> Lock | None:
    """Return the lock of a pair, None where it is free."""
    return next((lock for lock in locks() if (lock.username, lock.address) == (username, address)), None)


def locked_out(request: HttpRequest, response: Any = None, credentials: Any = None, *args: Any) -> HttpResponse:
    """Answer somebody whose pair is locked (AXES_LOCKOUT_CALLABLE)."""
    username = str((credentials or {}).get("username") or request.POST.get("username", ""))
    found = lock_of(username, client_address(request) or "")
    seconds = found.seconds if found else Options.current().lock_seconds
    page = render(request, "portal/locked.html", {"seconds": seconds, "minutes": math.ceil(seconds / 60)}, status=429)
    page["Retry-After"] = str(seconds)
    return page


def clear(username: str | None = None, address: str | None = None) -> int:
    """Forget the failures of an account, of an address, of a pair, or all; return how many pairs were locked."""
    meant = {"username": username, "ip_address": address}
    selected = {name: value for name, value in meant.items() if value is not None}
    locked = [lock for lock in locks() if username in (None, lock.username) and address in (None, lock.address)]
    AccessAttempt.objects.filter(**selected).delete()
    return len(locked)
