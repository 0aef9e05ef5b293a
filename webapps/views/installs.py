"""Installing an application's requirements into its namespace."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from webapps import control
from webapps.models import Namespace, WebApp
from webapps.runtime import hostedfiles
from webapps.runtime.environments import Environment, Installation, now
from webapps.status import Overview, moment

from .access import administrators

SHOWN = 64 << 10
SOON = timedelta(seconds=30)


@administrators
def install(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the installation of an application's namespace; POST begins one."""
    webapp = get_object_or_404(WebApp.objects.select_related("namespace"), pk=pk)
    requirements = os.path.join(webapp.directory, "requirements.txt")
    if request.method == "POST":
        return _begin(request, webapp, requirements)
    asked = request.GET.get("asked", "")
    namespace = webapp.namespace.directory
    known = _installation(webapp.namespace)
    waiting = _is_waiting(known, asked)
    installation = Installation("running", webapp.label, asked) if waiting else known
    problem = hostedfiles.problem(requirements, webapp.directory)
    context = {
        "webapp": webapp,
        "requirements": requirements,
        "problem": problem,
        "text": "" if problem else _read(requirements, webapp.directory),
        "there": _is_there(webapp, requirements),
        "installation": installation,
        "started": moment(installation.started) if installation else None,
        "ended": moment(installation.ended) if installation else None,
        "log": "" if waiting else _read(f"{namespace}/install/log", namespace),
        "asked": asked if moment(asked) else "",
        "overview": Overview(reachable=True) if request.GET.get("part") else Overview.ask(),
    }
    template = "webapps/_install.html" if request.GET.get("part") == "install" else "webapps/install.html"
    return render(request, template, context)


def _begin(request: HttpRequest, webapp: WebApp, requirements: str) -> HttpResponse:
    asked = now()
    if not _is_there(webapp, requirements):
        messages.error(request, f"There is no {requirements}. Put the packages that the application needs there.")
    elif problem := hostedfiles.problem(requirements, webapp.directory):
        messages.error(request, f"{problem}.")
    elif error := control.install(
        pk=webapp.pk,
        label=webapp.label,
        namespace=webapp.namespace.name,
        requirements=requirements,
        labels=webapp.namespace.labels,
    ):
        messages.error(request, error)
    else:
        messages.success(request, f"Installing into {webapp.namespace}.")
        return redirect(reverse("webapps:install", args=[webapp.pk]) + "?" + urlencode({"asked": asked}))
    return redirect("webapps:install", webapp.pk)


def _is_there(webapp: WebApp, requirements: str) -> bool:
    """Say whether anything is there; what serves files only has no directory of its own."""
    return bool(webapp.directory) and os.path.lexists(requirements)


def _is_waiting(known: Installation | None, asked: str) -> bool:
    """Say whether what was asked for has not begun: an older end must not pass for its own."""
    begun = moment(asked)
    if begun is None or begun.tzinfo is None or abs(timezone.now() - begun) > SOON:
        return False
    return known is None or (known.state != "running" and known.started < asked)


def _installation(namespace: Namespace) -> Installation | None:
    return Environment(Path(namespace.directory)).installation()


def _read(path: str, below: str) -> str:
    """Return the end of a text file that hosted code may have written, "" where there is none to be read."""
    try:
        return hostedfiles.tail(path, below, SHOWN)
    except OSError:
        return ""
