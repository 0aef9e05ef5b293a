"""Sign in to an application: the page that takes the password, and the way back with a one-time code."""

from __future__ import annotations

import time
from typing import Any, cast

from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from portal.gate.entry import NotAdmitted, Ticket, issue
from portal.gate.tokens import How
from webapps.choices import Authentication, methods
from webapps.models import Options, SignIn, WebApp
from webapps.security import LONGEST

from . import hashing
from .middleware import CONTENT_SECURITY_POLICY

SIGN_IN, PASSED = "stoa_sign_in", "stoa_passed"
#: Whoever comes back so often within so many seconds has a browser that does not keep what it was given.
TOO_OFTEN, WITHIN = 3, 15


@csrf_exempt  # An application may do without the token ("Prevent login CSRF attack"); _refused_form looks.
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def enter(request: HttpRequest) -> HttpResponse:
    """Ask who it is, where that is not known, and send the browser back to the application."""
    try:
        ticket = Ticket.read(request.GET.get("ticket", ""))
    except NotAdmitted:
        return render(request, "portal/stale.html", status=400)
    webapp = WebApp.objects.filter(pk=ticket.app, enabled=True).first()
    if webapp is None:
        return render(request, "404.html", status=404)
    options = Options.current()
    in_force = webapp.in_force(options.methods) & ~Authentication.UNAUTHENTICATED
    if not in_force:
        context = {"webapp": webapp, "its": methods(webapp.authe_enabled), "system": methods(options.methods)}
        return render(request, "portal/no_method.html", context, status=403)
    if request.method == "POST":
        return _signed_in(request, ticket, webapp, in_force)
    shared = bool(in_force & Authentication.LOGIN_COOKIE)
    if request.user.is_authenticated and shared and "again" not in request.GET:
        return _passed(request, ticket, webapp)
    return _page(request, ticket, webapp, AuthenticationForm(request))


def _page(
    request: HttpRequest,
    ticket: Ticket,
    webapp: WebApp,
    form: AuthenticationForm,
    *,
    once_more: bool = False,
    busy: hashing.Busy | None = None,
) -> HttpResponse:
    context = {"webapp": webapp, "form": form, "origin": ticket.origin, "once_more": once_more, "busy": busy}
    page = render(request, "portal/enter.html", context, status=403 if once_more else 200)
    # A browser counts the redirect after a form as part of it (CSP 3, form-action).
    page["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.replace(
        "form-action 'self'", f"form-action 'self' {ticket.origin}"
    )
    return page


def _signed_in(request: HttpRequest, ticket: Ticket, webapp: WebApp, in_force: int) -> HttpResponse:
    """Check the password; where others may share the sign-in, the portal remembers it."""
    if webapp.csrf_token and _refused_form(request):
        # A sign-in in another tab has given the session another token: this page is asked for anew.
        asked = AuthenticationForm(request, initial=hashing.typed(request))
        return _page(request, ticket, webapp, asked, once_more=True)
    form = AuthenticationForm(request, request.POST)
    try:
        valid = form.is_valid()
    except hashing.Busy as busy:
        asked = AuthenticationForm(request, initial=hashing.typed(request))
        return busy.answer(_page(request, ticket, webapp, asked, busy=busy))
    if not valid:
        return _page(request, ticket, webapp, form)
    user = form.get_user()
    if in_force & Authentication.LOGIN_COOKIE:
        login(request, user)
        sign_in = sign_in_of(request)
    else:
        sign_in = SignIn.objects.create(user=user, session_key=request.session.session_key or "")
    how = How.PASSWORD if in_force & Authentication.PASSWORD else How.LOGIN_COOKIE
    return HttpResponseRedirect(issue(ticket, sign_in, how))


def _passed(request: HttpRequest, ticket: Ticket, webapp: WebApp) -> HttpResponse:
    """Let somebody through who is signed in already, unless his browser comes back again and again."""
    now = int(time.time())
    lately = [at for app, at in request.session.get(PASSED, []) if app == webapp.pk and now - at < WITHIN]
    if len(lately) >= TOO_OFTEN:
        return render(request, "portal/in_circles.html", {"webapp": webapp, "origin": ticket.origin}, status=400)
    request.session[PASSED] = [[webapp.pk, at] for at in [*lately, now]]
    return HttpResponseRedirect(issue(ticket, sign_in_of(request), How.LOGIN_COOKIE))


def sign_in_of(request: HttpRequest) -> SignIn:
    """Return the sign-in of the portal's session, which all applications that share it name."""
    known = SignIn.objects.filter(
        pk=request.session.get(SIGN_IN, ""), user=request.user.pk, ended=None, began__gt=timezone.now() - LONGEST / 2
    ).first()
    if known:
        return known
    made = SignIn.objects.create(user=cast(User, request.user), session_key=request.session.session_key or "")
    request.session[SIGN_IN] = made.key
    return made


class _Reason(CsrfViewMiddleware):
    """Django's check, as a question."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def _refused_form(request: HttpRequest) -> str:
    """Say why a form is refused, "" where it carries the token of this session."""
    check = _Reason(lambda _request: HttpResponse())
    check.process_request(request)
    request.csrf_processing_done = False  # type: ignore[attr-defined]
    return str(check.process_view(request, HttpResponse, (), {}) or "")
