"""The pages of roles."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import Group
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from portal import administrators
from portal.forms.roles import RoleForm, rights_of
from webapps import matchroles
from webapps.roles import ALL
from webapps.views import access

SECTIONS = ("General", "Members")
MAY = {"": "Nothing", "see": "See", "edit": "See and edit"}


@require_safe
@access.administrators
def roles(request: HttpRequest) -> HttpResponse:
    """Show the roles: what they may do, what they grant, who holds them."""
    rows = Group.objects.order_by("name").annotate(count=Count("user")).prefetch_related("permissions", "resources")
    shown = [{"role": role, "is_all": role.name == ALL, "may": _may(role)} for role in rows]
    return render(request, "portal/roles.html", {"rows": shown})


def _may(role: Group) -> str:
    return "Administer everything" if role.name == ALL else MAY[rights_of(role)]


@access.administrators
def role_create(request: HttpRequest) -> HttpResponse:
    """Create a role."""
    return _form(request, None)


@access.administrators
def role(request: HttpRequest, pk: int) -> HttpResponse:
    """Edit a role."""
    return _form(request, get_object_or_404(Group, pk=pk))


def _form(request: HttpRequest, row: Group | None) -> HttpResponse:
    name = row.name if row else ""
    if request.method != "POST":
        return _page(request, RoleForm(instance=row, by=request.user), row, name)
    with administrators.changing(request.user):
        form = RoleForm(request.POST, instance=row, by=request.user)
        if not form.is_valid():
            return _page(request, form, row, name)
        saved = form.save()
    messages.success(request, f"Saved the role {saved}.")
    return redirect("portal:roles")


def _page(request: HttpRequest, form: RoleForm, row: Group | None, name: str) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "role": row, "name": name, "sections": SECTIONS, "is_all": name == ALL}
    if row:
        context["naming"] = matchroles.naming(name)
    return render(request, "portal/role_form.html", context)


@access.administrators
def role_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether to delete, and delete; %ALL stays."""
    row = get_object_or_404(Group.objects.annotate(count=Count("user")), pk=pk)
    if request.method == "POST" and row.name != ALL:
        row.delete()
        messages.success(request, f"Deleted the role {row}.")
        return redirect("portal:roles")
    if request.method == "POST":
        messages.error(request, f"{ALL} stays: without it nobody could administer Stoa.")
        return redirect("portal:role", pk)
    context = {"role": row, "is_all": row.name == ALL, "naming": matchroles.naming(row.name)}
    return render(request, "portal/role_delete.html", context | {"resources": row.resources.all()})
