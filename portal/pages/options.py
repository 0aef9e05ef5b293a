"""The page Authentication/Web Session Options."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from portal.forms.options import OptionsForm
from webapps.addresses import is_loopback
from webapps.entrance import closed_by, enabled, labels
from webapps.models import Options
from webapps.views import access
from webapps.views.system import serving


@access.administrators
def options(request: HttpRequest) -> HttpResponse:
    """Show and save what holds for the whole system."""
    current = Options.current()
    form = OptionsForm(request.POST if request.method == "POST" else None, instance=current)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved. It takes effect within five seconds.")
        return redirect("portal:options")
    context = {
        "form": form,
        "warnings": _warnings(Options.current()),
        "sections": ("Methods", "Times", "Wrong passwords"),
    }
    return render(request, "portal/options.html", context)


def _warnings(options: Options) -> list[str]:
    """Say what is to be known of the options in force."""
    found = []
    served = serving()
    if options.allow_unauthenticated and served and not is_loopback(served.apps_address[0]):
        found.append(
            "Unauthenticated access is allowed and Stoa listens beyond this machine: whoever reaches it may enter "
            "the applications that allow it."
        )
    if webapps := closed_by(options.methods, enabled()):
        count = f"{len(webapps)} application{'' if len(webapps) == 1 else 's'}"
        found.append(f"Nobody can enter {count}, because no method is in force for it: {labels(webapps)}.")
    return found
