"""Where a web application is found by a person who is looking at the portal."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest

from .models import WebApp


def address_of(webapp: WebApp, request: HttpRequest) -> str:
    """Return the address of an application, with the host that the person uses where it has none of its own.

    STOA_URL names this machine by a loopback address unless somebody set it: a person who looks from
    elsewhere needs the name by which he came. One who is here does not: the portal's name is not the applications'.
    """
    base = urlsplit(settings.STOA_URL)
    host = webapp.host or base.hostname or "127.0.0.1"
    asked = urlsplit(f"//{request.get_host()}").hostname or host
    if not webapp.host and is_loopback(host) and not is_loopback(asked):
        host = asked
    shown = f"[{host}]" if ":" in host else host
    port = f":{base.port}" if base.port else ""
    return f"{base.scheme}://{shown}{port}{webapp.name.rstrip('/')}/"


def is_loopback(host: str) -> bool:
    """Say whether a host or address means this machine only."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
