"""The pages of users."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import get_user_model, logout
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from portal import administrators, signouts
from portal.forms.passwords import Reset, made
from portal.forms.people import PersonForm
from webapps.models import SignIn
from webapps.views import access

PAGE = 100


@require_safe
@access.administrators
def people(request: HttpRequest) -> HttpResponse:
    """Show the users with their roles."""
    query = request.GET.get("q", "").strip()
    page = Paginator(_found(query), PAGE).get_page(request.GET.get("page"))
    return render(request, "portal/people.html", {"page": page, "query": query})


def _found(query: str) -> QuerySet[Any]:
    rows = get_user_model().objects.order_by("username").prefetch_related("groups")
    for word in query.split():
        named = Q(username__icontains=word) | Q(first_name__icontains=word) | Q(last_name__icontains=word)
        rows = rows.filter(named | Q(email__icontains=word) | Q(groups__name__icontains=word))
    return rows.distinct()


@sensitive_post_parameters("password")
@access.administrators
def person_create(request: HttpRequest) -> HttpResponse:
    """Create a user; a password that was made is shown here and never again."""
    form = PersonForm(request.POST if request.method == "POST" else None, by=request.user)
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data["password"]
        password = typed or made()
        form.instance.set_password(password)
        with administrators.changing(request.user):
            person = form.save()
        if not typed:
            return _show_once(request, person, password, "Created")
        messages.success(request, f"Created the user {person}.")
        return redirect("portal:people")
    return render(request, "portal/person_form.html", {"form": form, "sections": ("General", "Roles")})


def _show_once(request: HttpRequest, person: Any, password: str, done: str) -> HttpResponse:
    """Show a password that was made; it is stored nowhere but as a hash."""
    return render(request, "portal/password_made.html", {"person": person, "made": password, "done": done})


@access.administrators
def person(request: HttpRequest, pk: int) -> HttpResponse:
    """Edit a user; one who is not active any more is signed out."""
    row = get_object_or_404(get_user_model(), pk=pk)
    name = row.get_username()
    if request.method != "POST":
        return _person_page(request, PersonForm(instance=row, by=request.user), row, name)
    with administrators.changing(request.user):
        form = PersonForm(request.POST, instance=row, by=request.user)
        if not form.is_valid():
            return _person_page(request, form, row, name)
        form.save()
        if not row.is_active:
            signouts.everywhere(row)
    messages.success(request, f"Saved the user {row}.")
    return redirect("portal:people")


def _person_page(request: HttpRequest, form: PersonForm, row: Any, name: str) -> HttpResponse:
    context = {
        "form": form,
        "person": row,
        "name": name,
        "sign_ins": SignIn.objects.filter(user=row, ended=None).count(),
        "sections": ("General", "Roles"),
    }
    return render(request, "portal/person_form.html", context)


@sensitive_post_parameters("password")
@access.administrators
def person_password(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a user another password and sign him out everywhere; one’s own has a page that asks for the old one."""
    row = get_object_or_404(get_user_model(), pk=pk)
    if row.pk == request.user.pk:
        return redirect("portal:password")
    form = Reset(request.POST if request.method == "POST" else None, person=row)
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data["password"]
        password = typed or made()
        row.set_password(password)
        row.save(update_fields=["password"])
        signouts.everywhere(row)
        if not typed:
            return _show_once(request, row, password, "Reset")
        messages.success(request, f"The password of {row} is reset. Whoever was signed in with the old one is not.")
        return redirect("portal:person", pk)
    return render(request, "portal/person_password.html", {"form": form, "person": row})


@require_POST
@access.administrators
def person_sign_out(request: HttpRequest, pk: int) -> HttpResponse:
    """Sign a user out everywhere."""
    row = get_object_or_404(get_user_model(), pk=pk)
    signouts.everywhere(row)
    if row.pk == request.user.pk:
        logout(request)
        return redirect("portal:login")
    messages.success(request, f"{row} is signed out everywhere within five seconds.")
    return redirect("portal:person", pk)


@access.administrators
def person_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether to delete, and delete."""
    row = get_object_or_404(get_user_model(), pk=pk)
    if request.method != "POST":
        why = administrators.why_needed(row, request.user)
        return render(request, "portal/person_delete.html", {"person": row, "why": why})
    with administrators.changing(request.user):
        if why := administrators.why_needed(row, request.user):
            messages.error(request, why)
            return redirect("portal:person_delete", pk)
        name = str(row)
        signouts.everywhere(row)
        row.delete()
    messages.success(request, f"Deleted the user {name}.")
    return redirect("portal:people")
