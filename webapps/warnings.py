"""What a person should know of an application as it is saved."""

from __future__ import annotations

from collections.abc import Iterator

from . import entrance, matchroles, resources
from .models import WebApp


def of(webapp: WebApp, allowed: int) -> list[str]:
    """List the warnings of an application, where the system allows these methods of authentication."""
    return [
        *_debug(webapp, allowed),
        *resources.warnings(webapp.resource),
        *matchroles.warnings(webapp.match_roles),
        *(filter(None, [entrance.sharing_warning(webapp, allowed)]) if webapp.enabled else ()),
    ]


def _debug(webapp: WebApp, allowed: int) -> Iterator[str]:
    if webapp.debug and webapp.is_public(allowed) and webapp.protocol != "files":
        yield (
            "DEBUG is on and the application is open to all: whoever opens it can read its tracebacks. "
            "Never leave it so on a public address."
        )
