"""The page of one's own password."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters

from portal import signouts
from portal.forms.passwords import Own
from webapps.models import SignIn


@sensitive_post_parameters()
@login_required
def password(request: HttpRequest) -> HttpResponse:
    """Change one's own password: this session goes on, all others end."""
    person = cast(User, request.user)
    form = Own(request.POST if request.method == "POST" else None, person=person)
    if request.method == "POST" and form.is_valid():
        _change(request, person, form.cleaned_data["new"])
        messages.success(request, "Your password is changed. You are signed out everywhere else.")
        return redirect("portal:password")
    return render(request, "portal/password.html", {"form": form})


@transaction.atomic
def _change(request: HttpRequest, person: User, new: str) -> None:
    before = request.session.session_key or ""
    person.set_password(new)
    person.save(update_fields=["password"])
    update_session_auth_hash(request, person)
    after = request.session.session_key or ""
    SignIn.objects.filter(user=person, session_key=before).exclude(session_key="").update(session_key=after)
    signouts.everywhere(person, but=after)
