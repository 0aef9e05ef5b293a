"""Signing in and out, and the pages that say that something went wrong."""

from __future__ import annotations

import re
import sys
from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from . import database, hashing

__all__ = ["SignIn", "SignOut", "bad_request", "csrf_failure", "forbidden", "not_found", "server_error"]

#: A page of the portal's, with nothing in its path that reads otherwise once it is decoded or shortened.
PART = r"(?:[\w~-]|%25)[\w.~-]*"
PAGE = re.compile(rf"/portal/(?:{PART}/)*(?:{PART})?(?:\?[\x21-\x7e]*)?", re.ASCII)


class SignIn(LoginView):
    """Ask for user name and password."""

    template_name = "portal/login.html"
    redirect_authenticated_user = True

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        """Return where the person wanted to go, "" where that is no page of the portal's."""
        wanted = super().get_redirect_url()
        return wanted if PAGE.fullmatch(wanted) else ""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check the password; where too many are being checked, keep the name and say when to come again."""
        try:
            return super().post(request, *args, **kwargs)
        except hashing.Busy as busy:
            asked = AuthenticationForm(request, initial=hashing.typed(request))
            return busy.answer(self.render_to_response(self.get_context_data(form=asked, busy=busy)))


class SignOut(LogoutView):
    """Sign out, by POST only."""


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say that a form was too old or came from elsewhere."""
    return render(request, "403_csrf.html", status=403)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Say that the portal is not known by that host name; nothing of the request is believed."""
    return HttpResponse(render_to_string("400.html"), status=400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Say that the person who is signed in lacks the right."""
    return render(request, "403.html", {"why": str(exception or "")}, status=403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Say that there is nothing at the address."""
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Say that Stoa itself failed, or its database, without needing anything that may have failed."""
    error = sys.exception()
    if isinstance(error, OperationalError):
        title, remedy = database.trouble(error)
        page = HttpResponse(render_to_string("503.html", {"title": title, "remedy": remedy}), status=503)
        page["Retry-After"] = "10"
        return page
    return HttpResponse(render_to_string("500.html"), status=500)
