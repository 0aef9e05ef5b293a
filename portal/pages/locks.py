"""The page of the pairs of account and address that are locked."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from portal.locks import clear
from portal.locks import locks as locks_now
from webapps.models import Options
from webapps.views import access


@access.administrators
def locks(request: HttpRequest) -> HttpResponse:
    """Show what is locked; POST clears one pair, or all of them."""
    if request.method == "POST":
        user, address = request.POST.get("username"), request.POST.get("address")
        count = clear(user, address)
        messages.success(request, "Nothing was locked." if not count else "Cleared. They can try again at once.")
        return redirect("portal:locks")
    return render(request, "portal/locks.html", {"locks": locks_now(), "options": Options.current()})
