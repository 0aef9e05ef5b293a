"""Who could enter an application at all: its methods against those of the system, and the origin that it shares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q

from .choices import AVAILABLE, Authentication, methods, why_off
from .models import Options, WebApp

NAMED = 5


@dataclass(frozen=True)
class Method:
    """A method that an application allows; ``off`` says why it does not count, "" where it does."""

    label: str
    off: str


def shown_methods(webapp: WebApp, allowed: int) -> list[Method]:
    """List an application's methods as a page shows them."""
    own = [method for method in Authentication if webapp.authe_enabled & method]
    return [Method(str(method.label), why_off(method, allowed)) for method in own]


@dataclass(frozen=True)
class Closed:
    """Why nobody may enter, and which setting would change it."""

    why: str
    by_application: bool
    by_system: bool


def closed(webapp: WebApp, allowed: int) -> Closed | None:
    """Say why nobody may enter where the system allows these methods, None where somebody may."""
    if not is_closed(webapp.authe_enabled, webapp.resource, allowed):
        return None
    own = webapp.authe_enabled & AVAILABLE
    if not own:
        others = methods(webapp.authe_enabled & ~AVAILABLE)
        more = f" ({', '.join(others)}: not available yet)" if others else ""
        return Closed(f"It allows no method of authentication that Stoa has{more}.", True, False)
    if not own & allowed:
        return Closed(f"It allows {_and(methods(own))}, and the system allows none of that.", True, True)
    off = methods(own & ~allowed)
    more = f"; {_and(off)} would ask, and the system does not allow that" if off else ""
    return Closed(f"It requires a resource, and nobody is asked who he is{more}.", True, bool(off))


def is_closed(authe_enabled: int, resource: str, allowed: int) -> bool:
    """Say whether nobody may enter: nothing is in force, or a resource is required and nobody is asked."""
    in_force = authe_enabled & allowed & AVAILABLE
    return not in_force or (bool(resource) and in_force == Authentication.UNAUTHENTICATED)


def enabled() -> list[WebApp]:
    """Read of the enabled applications what is asked here."""
    return list(WebApp.objects.filter(enabled=True).only("pk", "name", "host", "authe_enabled", "resource"))


def closed_by(allowed: int, webapps: Iterable[WebApp]) -> list[WebApp]:
    """List those of the applications that nobody could enter where the system allows these methods."""
    return [webapp for webapp in webapps if is_closed(webapp.authe_enabled, webapp.resource, allowed)]


def sharing(webapp: WebApp, allowed: int | None = None) -> list[WebApp]:
    """List the enabled applications of the other kind (open to all, protected) on the application's origin."""
    allowed = Options.current().methods if allowed is None else allowed
    others = WebApp.objects.filter(enabled=True).exclude(pk=webapp.pk)
    if webapp.host:
        others = others.filter(Q(host="") | Q(host__iexact=webapp.host))
    others = others.only("pk", "name", "host", "authe_enabled", "resource")
    public = webapp.is_public(allowed)
    return [other for other in others if other.is_public(allowed) != public]


def sharing_warning(webapp: WebApp, allowed: int) -> str:
    """Say that protected and open applications share an origin, "" where they do not."""
    others = sharing(webapp, allowed)
    if not others:
        return ""
    named = labels(others)
    if webapp.is_public(allowed):
        words = f"This application is open to all and shares its origin with protected ones: {named}. "
    else:
        words = f"This application is protected and shares its origin with ones that are open to all: {named}. "
    remedy = "Host gives an application an origin of its own"
    if any(not other.host for other in others) or not webapp.host:
        remedy += "; one without a Host answers on every host"
    return f"{words}They can read each other’s pages with the visitor’s sign-in. {remedy}."


def labels(webapps: list[WebApp]) -> str:
    """Name applications, the first few."""
    more = f" and {len(webapps) - NAMED} more" if len(webapps) > NAMED else ""
    return ", ".join(webapp.label for webapp in webapps[:NAMED]) + more


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
