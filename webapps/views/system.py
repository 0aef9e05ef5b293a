"""What Stoa itself is and how it is."""

from __future__ import annotations

import os
import platform
import shutil
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import django
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from webapps import identity
from webapps.addresses import is_loopback
from webapps.entrance import labels
from webapps.models import Namespace, Options, WebApp
from webapps.runtime.nginx import FrontUnavailable, find_nginx
from webapps.runtime.serving import Serving
from webapps.status import Overview, moment

from .access import administrators


@require_safe
@administrators
def system(request: HttpRequest) -> HttpResponse:
    """Show where Stoa lives, its parts and their versions, and what is to be warned of."""
    overview = Overview.ask()
    served = serving()
    context = {
        "overview": overview,
        "since": moment(overview.supervisor.get("since")),
        "warnings": [*overview.warnings, *_warnings(served)],
        "places": _places(served),
        "versions": _versions(served),
        "counts": {"applications": WebApp.objects.count(), "namespaces": Namespace.objects.count()},
    }
    return render(request, "webapps/system.html", context)


def serving() -> Serving | None:
    """Return what ``serve`` was told, None when it did not start this portal."""
    try:
        return Serving.read(settings.STOA_HOME / "run")
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _places(serving: Serving | None) -> list[tuple[str, Any]]:
    places: list[tuple[str, Any]] = [("Home", settings.STOA_HOME)]
    if serving:
        places.append(("Applications listen on", "{}:{}".format(*serving.apps_address)))
        places.append(("The portal listens on", "{}:{}".format(*serving.portal_address)))
    places.append(("Address of the applications", settings.STOA_URL))
    places.append(("Address of the portal", settings.STOA_PORTAL_URL))
    places.append(("Database", f"{connection.display_name} ({identity.file() or connection.settings_dict['NAME']})"))
    usage = shutil.disk_usage(settings.STOA_HOME)
    places.append(("Free space below the home", f"{usage.free / 2**30:.1f} of {usage.total / 2**30:.1f} GB"))
    return places


def _versions(serving: Serving | None) -> list[tuple[str, str]]:
    return [
        ("Python", platform.python_version()),
        ("Django", django.get_version()),
        ("gunicorn", _version("gunicorn")),
        *nginx_versions(serving.nginx if serving else os.environ.get("STOA_NGINX", "")),
        ("Operating system", f"{platform.system()} {platform.release()}"),
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@lru_cache(maxsize=4)
def nginx_versions(named: str) -> list[tuple[str, str]]:
    """Return the version of the nginx that is the front, whose and where it is, and its TLS library's."""
    try:
        found = find_nginx(named)
    except FrontUnavailable as error:
        return [("nginx", str(error))]
    origin = f", {found.whose}" if found.whose else ""
    return [("nginx", f"{found.words}{origin} ({found.path})"), ("TLS library of nginx", found.tls or "none")]


def _warnings(serving: Serving | None) -> list[str]:
    found = []
    if os.geteuid() == 0 and not os.environ.get("STOA_USER"):
        found.append(
            "Stoa runs as root, and so does every hosted application. Set STOA_USER to a user without "
            "rights, or start Stoa as one."
        )
    if serving and not is_loopback(serving.apps_address[0]) and (public := _open()):
        found.append(f"Stoa listens beyond this machine and these applications are open to all: {public}.")
    if serving and not is_loopback(serving.portal_address[0]) and not settings.SESSION_COOKIE_SECURE:
        found.append(
            "The portal listens beyond this machine without TLS: passwords cross the network in clear. "
            "Put a TLS proxy in front and set STOA_PORTAL_URL to its https address."
        )
    return found


def _open() -> str:
    """Name the applications that anybody may enter, the first few."""
    allowed = Options.current().methods
    rows = WebApp.objects.filter(enabled=True, resource="").only("host", "name", "authe_enabled", "resource")
    return labels([row for row in rows if row.is_public(allowed)])
