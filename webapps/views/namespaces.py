"""The pages of namespaces."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count, ProtectedError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from webapps.forms import NamespaceForm
from webapps.models import Namespace

from .access import administrators, seers

SECTIONS = ("General", "Python", "Environment")


@require_safe
@seers
def namespace_list(request: HttpRequest) -> HttpResponse:
    """Show the namespaces."""
    namespaces = Namespace.objects.annotate(count=Count("webapps"))
    return render(request, "webapps/namespaces.html", {"namespaces": namespaces})


@administrators
def namespace_create(request: HttpRequest) -> HttpResponse:
    """Create a namespace."""
    form = NamespaceForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and form.saved(request.user.get_username()):
        namespace = form.instance
        messages.success(request, f"Created the namespace {namespace}.")
        return redirect("webapps:namespaces")
    return render(request, "webapps/namespace_form.html", {"form": form, "sections": SECTIONS})


@administrators
def namespace_edit(request: HttpRequest, name: str) -> HttpResponse:
    """Edit a namespace: its applications start anew."""
    namespace = get_object_or_404(Namespace, name=name)
    form = NamespaceForm(request.POST if request.method == "POST" else None, instance=namespace)
    if request.method == "POST" and form.is_valid() and form.saved(request.user.get_username()):
        messages.success(request, f"Saved the namespace {namespace}. Its applications start anew.")
        return redirect("webapps:namespaces")
    context = {"form": form, "namespace": namespace, "sections": SECTIONS}
    return render(request, "webapps/namespace_form.html", context)


@administrators
def namespace_delete(request: HttpRequest, name: str) -> HttpResponse:
    """Ask whether to delete, and delete where no application is in it."""
    namespace = get_object_or_404(Namespace, name=name)
    if request.method == "POST":
        try:
            namespace.delete()
        except ProtectedError:
            messages.error(request, f"Applications are in {namespace}. Move or delete them first.")
            return redirect("webapps:namespace_delete", name)
        messages.success(request, f"Deleted the namespace {name}. Its files stay in {namespace.directory}.")
        return redirect("webapps:namespaces")
    context = {"namespace": namespace, "webapps": namespace.webapps.all()}
    return render(request, "webapps/namespace_delete.html", context)
