"""The tabs Application Roles and Matching Roles of a web application."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from webapps import matchroles
from webapps.forms.roles import LONGEST, MatchingRolesForm, RolesForm
from webapps.models import WebApp

from .access import editors
from .pages import say_saved


@editors
def roles(request: HttpRequest, pk: int) -> HttpResponse:
    """Edit the roles that everybody has in the application."""
    webapp = get_object_or_404(WebApp, pk=pk)
    begun = [(name,) for name in matchroles.application_roles(webapp.match_roles)]
    form = RolesForm(request.POST if request.method == "POST" else None, initial={"rows": begun})
    if request.method == "POST" and form.is_valid():
        text = matchroles.with_application_roles(webapp.match_roles, form.cleaned_data["rows"])
        if _fits(form, text):
            return _saved(request, webapp, text)
    return _page(request, webapp, form, "Application Roles")


@editors
def matching_roles(request: HttpRequest, pk: int) -> HttpResponse:
    """Edit the roles that follow from others in the application."""
    webapp = get_object_or_404(WebApp, pk=pk)
    begun = [(match, ", ".join(targets)) for match, targets in matchroles.matching_roles(webapp.match_roles)]
    form = MatchingRolesForm(request.POST if request.method == "POST" else None, initial={"rows": begun})
    if request.method == "POST" and form.is_valid():
        text = matchroles.with_matching_roles(webapp.match_roles, form.cleaned_data["rows"])
        if _fits(form, text):
            return _saved(request, webapp, text)
    return _page(request, webapp, form, "Matching Roles")


def _fits(form: Any, text: str) -> bool:
    if len(text) > LONGEST:
        form.add_error("rows", f"These are more roles than an application can keep ({LONGEST} characters in all).")
    return len(text) <= LONGEST


def _saved(request: HttpRequest, webapp: WebApp, text: str) -> HttpResponse:
    webapp.match_roles = text
    webapp.save(update_fields=["match_roles"], by=request.user.get_username())
    say_saved(request, webapp)
    return redirect("webapps:detail", webapp.pk)


def _page(request: HttpRequest, webapp: WebApp, form: Any, tab: str) -> HttpResponse:
    known = list(Group.objects.order_by("name").values_list("name", flat=True))
    there = {name.lower() for name in known}
    entries = matchroles.parse(webapp.match_roles)
    names = {name.lower(): name for entry in entries if entry.targets for name in entry.names}
    context = {
        "webapp": webapp,
        "form": form,
        "tab": tab,
        "known": known,
        "strange": [name for low, name in names.items() if low not in there],
        "warnings": list(matchroles.warnings(webapp.match_roles)),
        "kept": [entry.text.strip() for entry in entries if not entry.targets],
    }
    return render(request, "webapps/roles.html", context)
