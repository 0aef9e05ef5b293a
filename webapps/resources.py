"""Which applications require a resource, and who holds it; applications keep it by its name, in any case."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import transaction

from .changes import Change
from .models import Resource, WebApp


def requiring(name: str) -> list[WebApp]:
    """List the applications that require a resource."""
    return by_resource().get(name.lower(), [])


def by_resource() -> dict[str, list[WebApp]]:
    """List the applications by the resource that they require, in lower case."""
    found: dict[str, list[WebApp]] = {}
    for webapp in WebApp.objects.exclude(resource="").only("pk", "name", "host", "resource"):
        found.setdefault(webapp.resource.lower(), []).append(webapp)
    return found


@transaction.atomic
def rename(old: str, new: str) -> int:
    """Rename a resource in the applications that require it; none of them starts anew. Return how many."""
    count = WebApp.objects.filter(pk__in=[webapp.pk for webapp in requiring(old)]).update(resource=new)
    if count:
        Change.note()
        Change.note_access()
    return count


def warnings(name: str) -> Iterator[str]:
    """Say what a person should know of a resource that an application requires."""
    if not name:
        return
    resource = Resource.objects.filter(name__iexact=name).prefetch_related("roles").first()
    if resource is None:
        yield f"There is no resource {name}: until there is one that a role holds, only %ALL may enter."
    elif not resource.roles.all():
        yield f"No role holds the resource {resource.name}: only %ALL may enter."
