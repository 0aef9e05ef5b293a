"""The portal's own sessions: how long they last, and what ends with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from webapps.models import Options, SignIn

#: When a session was last renewed (seconds since the epoch), and how often it is.
RENEWED, RENEW = "stoa_renewed", 60


def connect() -> None:
    """Have each signing in and out of the portal noticed."""
    user_logged_in.connect(_begun)
    user_logged_out.connect(_ended)


class SessionTimeout:
    """End a session that was not used for the session timeout of the system's options."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Renew the session now and then; it lasts that long from there."""
        if request.user.is_authenticated and time.time() - request.session.get(RENEWED, 0) > RENEW:
            renew(request)
        return self.get_response(request)


def renew(request: HttpRequest) -> None:
    """Let the session last for the session timeout from now on."""
    request.session[RENEWED] = int(time.time())
    request.session.set_expiry(Options.current().session_timeout)


def _begun(request: HttpRequest | None = None, user: Any = None, **kwargs: Any) -> None:
    if request is not None:
        _moved(request, user)
        renew(request)


def _moved(request: HttpRequest, user: Any) -> None:
    """Let what was entered by the session go on under its new key; what somebody else entered by it ends.

    Django gives the session another key when somebody signs in.
    """
    before = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    if not before or before == request.session.session_key:
        return
    SignIn.end(Q(session_key=before) & ~Q(user=user))
    if request.session.session_key is None:
        request.session.save()
    SignIn.objects.filter(session_key=before, user=user).update(session_key=request.session.session_key)


def _ended(request: HttpRequest | None = None, **kwargs: Any) -> None:
    """End what was entered by the session: the applications' tokens go with it."""
    key = request.session.session_key if request is not None else None
    if key:
        SignIn.end(Q(session_key=key))
