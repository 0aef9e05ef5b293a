"""What one press of a button does to a web application."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from webapps import control
from webapps.choices import ProtocolType
from webapps.models import WebApp

from .access import editors
from .pages import say_saved

PROTOCOLS = {"wsgi": ProtocolType.WSGI, "asgi": ProtocolType.ASGI}


@require_POST
@editors
def enable(request: HttpRequest, pk: int) -> HttpResponse:
    """Enable: the application is live."""
    webapp = get_object_or_404(WebApp, pk=pk)
    webapp.enabled = True
    webapp.save(update_fields=["enabled"], by=request.user.get_username())
    say_saved(request, webapp)
    return redirect("webapps:detail", pk)


@require_POST
@editors
def disable(request: HttpRequest, pk: int) -> HttpResponse:
    """Disable: its processes end and its address answers 404."""
    webapp = get_object_or_404(WebApp, pk=pk)
    webapp.enabled = False
    webapp.save(update_fields=["enabled"], by=request.user.get_username())
    say_saved(request, webapp)
    return redirect("webapps:detail", pk)


@require_POST
@editors
def reload(request: HttpRequest, pk: int) -> HttpResponse:
    """Start a new generation with nothing changed."""
    webapp = get_object_or_404(WebApp, pk=pk)
    webapp.save(update_fields=[], by=request.user.get_username())
    if control.status(timeout=1.0) is None:
        text = "Stoa’s supervisor is not running: {} starts anew when Stoa runs."
        messages.warning(request, text.format(webapp.label))
    else:
        messages.success(request, f"{webapp.label} starts anew; the old one serves until the new one is ready.")
    return redirect("webapps:detail", pk)


@require_POST
@editors
def set_protocol(request: HttpRequest, pk: int) -> HttpResponse:
    """Change Python Protocol Type: the remedy for a callable of the other kind."""
    webapp = get_object_or_404(WebApp, pk=pk)
    wanted = PROTOCOLS.get(request.POST.get("protocol", ""))
    if wanted is None:
        messages.error(request, "Python Protocol Type is wsgi or asgi.")
    else:
        webapp.protocol_type = wanted
        webapp.save(update_fields=["protocol_type"], by=request.user.get_username())
        messages.success(request, f"Python Protocol Type of {webapp.label} is {wanted.label} now.")
    return redirect("webapps:detail", pk)
