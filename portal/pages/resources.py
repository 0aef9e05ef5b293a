"""The pages of resources."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from portal.forms.resources import ResourceForm
from webapps.models import Resource, WebApp
from webapps.resources import by_resource, requiring
from webapps.views import access


@require_safe
@access.administrators
def resources(request: HttpRequest) -> HttpResponse:
    """Show the resources, who holds them, what requires them; and what is required and not there."""
    required = by_resource()
    rows = [
        {"resource": resource, "webapps": required.pop(resource.name.lower(), [])}
        for resource in Resource.objects.prefetch_related("roles")
    ]
    absent = [(webapps[0].resource, webapps) for webapps in required.values()]
    return render(request, "portal/resources.html", {"rows": rows, "absent": absent})


@access.administrators
def resource_create(request: HttpRequest) -> HttpResponse:
    """Create a resource, under the name that an application requires where ``name`` gives it."""
    form = ResourceForm(
        request.POST if request.method == "POST" else None, initial={"name": request.GET.get("name", "")}
    )
    return _form(request, form, None)


@access.administrators
def resource(request: HttpRequest, pk: int) -> HttpResponse:
    """Edit a resource; the applications that require it keep up with its name."""
    row = get_object_or_404(Resource, pk=pk)
    return _form(request, ResourceForm(request.POST if request.method == "POST" else None, instance=row), row)


def _form(request: HttpRequest, form: ResourceForm, row: Resource | None) -> HttpResponse:
    name = row.name if row else ""
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            saved = form.save()
        messages.success(request, f"Saved the resource {saved}.")
        return redirect("portal:resources")
    webapps: list[WebApp] = requiring(name)
    context = {"form": form, "resource": row, "name": name, "webapps": webapps}
    return render(request, "portal/resource_form.html", context)


@access.administrators
def resource_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether to delete, with the applications that require it, and delete."""
    row = get_object_or_404(Resource, pk=pk)
    webapps = requiring(row.name)
    if request.method == "POST":
        row.delete()
        messages.success(request, f"Deleted the resource {row.name}.")
        if webapps:
            labels = ", ".join(webapp.label for webapp in webapps)
            messages.warning(request, f"For %ALL only, because they require it: {labels}.")
        return redirect("portal:resources")
    return render(request, "portal/resource_delete.html", {"resource": row, "webapps": webapps})
