"""Installing an application's requirements into its namespace."""

from __future__ import annotations

import os
from pathlib import Path

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from webapps import control
from webapps.models import Namespace, WebApp
from webapps.runtime.environments import Environment, Installation
from webapps.status import Overview, moment

from .access import administrators

SHOWN = 64 << 10


@administrators
def install(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the installation of an application's namespace; POST begins one."""
    webapp = get_object_or_404(WebApp.objects.select_related("namespace"), pk=pk)
    requirements = os.path.join(webapp.directory, "requirements.txt")
    if request.method == "POST":
        return _begin(request, webapp, requirements)
    installation = _installation(webapp.namespace)
    context = {
        "webapp": webapp,
        "requirements": requirements,
        "text": _read(requirements),
        "there": os.path.isfile(requirements),
        "installation": installation,
        "started": moment(installation.started) if installation else None,
        "ended": moment(installation.ended) if installation else None,
        "log": _read(os.path.join(webapp.namespace.directory, "install.log")),
        "overview": Overview(reachable=True) if request.GET.get("part") else Overview.ask(),
    }
    template = "webapps/_install.html" if request.GET.get("part") == "install" else "webapps/install.html"
    return render(request, template, context)


def _begin(request: HttpRequest, webapp: WebApp, requirements: str) -> HttpResponse:
    if not os.path.isfile(requirements):
        messages.error(request, f"There is no {requirements}. Put the packages that the application needs there.")
    elif error := control.install(
        pk=webapp.pk, label=webapp.label, namespace=webapp.namespace.name, requirements=requirements
    ):
        messages.error(request, error)
    else:
        messages.success(request, f"Installing into {webapp.namespace}.")
    return redirect("webapps:install", webapp.pk)


def _installation(namespace: Namespace) -> Installation | None:
    return Environment(Path(namespace.directory)).installation()


def _read(path: str) -> str:
    """Return the end of a text file, "" where there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - SHOWN))
            return file.read(SHOWN).decode("utf-8", "replace")
    except OSError:
        return ""
