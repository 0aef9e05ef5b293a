"""A wrong setting is a system check with a hint."""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register

from webapps.runtime import wallmode
from webapps.runtime.tls import Pair

from .keys import FILE


@register()
def check_home(**kwargs: Any) -> list[CheckMessage]:
    """Check that STOA_HOME can be written and keeps its secret."""
    home = settings.STOA_HOME
    place = next(path for path in (home, *home.parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        hint = "Make it writable for the user that Stoa runs as, or set STOA_HOME to a directory that is."
        return [Error(f"STOA_HOME, {home}, cannot be written.", hint=hint, id="stoa.E001")]
    key = home / FILE
    if key.exists() and stat.S_IMODE(key.stat().st_mode) & 0o077:
        return [checks.Warning(f"{key} can be read by others.", hint=f"chmod 600 {key}", id="stoa.W001")]
    return []


@register()
def check_addresses(**kwargs: Any) -> list[CheckMessage]:
    """Check STOA_URL, STOA_PORTAL_URL and STOA_TRUSTED_PROXIES."""
    found: list[CheckMessage] = []
    for name, identifier in (("STOA_URL", "stoa.E002"), ("STOA_PORTAL_URL", "stoa.E003")):
        if not _is_origin(getattr(settings, name)):
            hint = "Write scheme, host and port alone, for example https://apps.example.com."
            words = f"{name} is “{getattr(settings, name)}”, which is no address of a server."
            found.append(Error(words, hint=hint, id=identifier))
    if not found and _origin(settings.STOA_URL) == _origin(settings.STOA_PORTAL_URL):
        hint = "Give the portal a port or a host name of its own: a hosted page could act as its administrator."
        found.append(Error("STOA_URL and STOA_PORTAL_URL are the same origin.", hint=hint, id="stoa.E004"))
    found.extend(_check_proxies())
    return found


def _check_proxies() -> Iterator[CheckMessage]:
    for proxy in settings.STOA_TRUSTED_PROXIES:
        try:
            ipaddress.ip_network(proxy, strict=False)
        except ValueError:
            hint = "Write addresses or networks with commas between them, for example 10.0.0.5,10.1.0.0/16."
            yield Error(f"STOA_TRUSTED_PROXIES has “{proxy}”, which is no address.", hint=hint, id="stoa.E005")


@register()
def check_tls(**kwargs: Any) -> list[CheckMessage]:
    """Check that STOA_TLS_CERT and STOA_TLS_KEY can be served with."""
    pair = Pair(os.environ.get("STOA_TLS_CERT", ""), os.environ.get("STOA_TLS_KEY", ""))
    if not pair or not (problem := pair.problem()):
        return []
    hint = "Give a PEM certificate (with its chain) and its key without a passphrase, or unset both for plain HTTP."
    return [Error(f"{problem}.", hint=hint, id="stoa.E007")]


@register()
def check_walls(**kwargs: Any) -> list[CheckMessage]:
    """Check that STOA_WALLS is understood."""
    try:
        wallmode.read(os.environ, "")
    except ValueError as error:
        hint = "Write required, 1 (without those walls that the machine refuses) or 0 (without any), or unset it."
        return [Error(f"{error}.", hint=hint, id="stoa.E008")]
    return []


@register()
def check_database(**kwargs: Any) -> list[CheckMessage]:
    """Check that DATABASE_URL was understood."""
    if not settings.DATABASES["default"]["ENGINE"].endswith(".dummy"):
        return []
    hint = "Write postgresql://user:password@host/name, or unset it for SQLite in STOA_HOME."
    return [Error("DATABASE_URL is not understood.", hint=hint, id="stoa.E006")]


@register(deploy=True)
def check_debug(**kwargs: Any) -> list[CheckMessage]:
    """Warn of Django's own error pages."""
    if not settings.DEBUG:
        return []
    return [checks.Warning("STOA_DEBUG is on.", hint="Unset it: error pages show settings and code.", id="stoa.W002")]


def _is_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(
            parts.scheme in ("http", "https")
            and parts.hostname
            and parts.port != 0
            and not (parts.path or parts.query or parts.fragment or parts.username)
        )
    except ValueError:
        return False


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
