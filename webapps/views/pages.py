"""The list of web applications, the page of one, and the changes that a form makes."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import Q
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.html import format_html
from django.views.decorators.http import require_safe

from webapps import control, openings, warnings
from webapps.addresses import address_of
from webapps.entrance import closed, is_closed, shown_methods
from webapps.forms import WebAppForm
from webapps.matchroles import application_roles, matching_roles
from webapps.models import Namespace, Options, WebApp
from webapps.runtime.logs import read_tail
from webapps.status import Overview

from .access import Rights, editors, seers

PAGE = 100
LAST_LINES = 20


@require_safe
@seers
def webapp_list(request: HttpRequest) -> HttpResponse:
    """Show the web applications; with ``part`` only the rows, for the script that keeps them fresh."""
    query = request.GET.get("q", "").strip()
    found = _filtered(query).select_related("namespace")
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    overview = Overview.ask()
    context = {
        "overview": overview,
        "page": page,
        "rows": _rows(page, overview, request),
        "query": query,
        "any": bool(page.paginator.count) or WebApp.objects.exists(),
        "has_namespace": bool(page.paginator.count) or Namespace.objects.exists(),
    }
    template = "webapps/_rows.html" if request.GET.get("part") == "rows" else "webapps/list.html"
    return render(request, template, context)


def _filtered(query: str) -> Any:
    rows = WebApp.objects.all()
    for word in query.split():
        rows = rows.annotate(shown=Concat("host", "name")).filter(
            Q(shown__icontains=word) | Q(description__icontains=word) | Q(namespace__name__icontains=word)
        )
    return rows


def _rows(page: Page[WebApp], overview: Overview, request: HttpRequest) -> list[dict[str, Any]]:
    allowed = Options.current().methods
    return [
        {
            "webapp": webapp,
            "status": overview.of(webapp),
            "address": address_of(webapp, request),
            "public": webapp.is_public(allowed),
            "methods": shown_methods(webapp, allowed),
            "closed": is_closed(webapp.authe_enabled, webapp.resource, allowed),
        }
        for webapp in page.object_list
    ]


@require_safe
@seers
def webapp_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one web application; with ``part`` only its state, for the script that keeps it fresh."""
    webapp = get_object_or_404(WebApp.objects.select_related("namespace"), pk=pk)
    overview = Overview.ask()
    if request.GET.get("part") == "status":
        return render(request, "webapps/_status.html", _state(webapp, overview))
    allowed = Options.current().methods
    context = {
        **_state(webapp, overview),
        "address": address_of(webapp, request),
        "warnings": warnings.of(webapp, allowed),
        "closed": closed(webapp, allowed),
        "public": webapp.is_public(allowed),
        "methods": shown_methods(webapp, allowed),
        "roles": application_roles(webapp.match_roles),
        "matching": matching_roles(webapp.match_roles),
        "openings": openings.of(webapp, allowed) if Rights(request.user).edit else [],
    }
    return render(request, "webapps/detail.html", context)


def _state(webapp: WebApp, overview: Overview) -> dict[str, Any]:
    return {"webapp": webapp, "overview": overview, "status": overview.of(webapp), "lines": last_lines(webapp)}


def last_lines(webapp: WebApp) -> list[Any]:
    """Return the last lines that an application printed, none where the log cannot be read."""
    try:
        return list(read_tail(settings.STOA_HOME / "log" / "WSGI.log", lines=LAST_LINES, label=webapp.label).lines)
    except OSError:
        return []


@editors
def webapp_create(request: HttpRequest) -> HttpResponse:
    """Create a web application, from another one where ``copy`` names it."""
    source = WebApp.objects.filter(pk=_number(request.GET.get("copy"))).first()
    if request.method == "POST":
        form = WebAppForm(request.POST, copy_of=source, confined=_confined(request))
        if form.is_valid() and form.saved(request.user.get_username()):
            return _saved(request, form)
    else:
        form = WebAppForm(copy_of=source, initial={} if source else _first_choice())
    context = {"form": form, "source": source, "others": WebApp.objects.only("pk", "name", "host")}
    return _form_page(request, form, context)


def _confined(request: HttpRequest) -> bool:
    """Say whether only directories below the namespace’s roots may be named."""
    return not Rights(request.user).administer


def _first_choice() -> dict[str, Any]:
    """Choose the namespace where there is no choice."""
    keys = list(Namespace.objects.values_list("pk", flat=True)[:2])
    return {"namespace": keys[0]} if len(keys) == 1 else {}


def _number(text: str | None) -> int:
    """Read a row's key; 0, which no row has, where it is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else 0


@editors
def webapp_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Edit a web application."""
    webapp = get_object_or_404(WebApp.objects.select_related("namespace"), pk=pk)
    label = webapp.label
    posted = request.POST if request.method == "POST" else None
    form = WebAppForm(posted, instance=webapp, confined=_confined(request))
    if request.method == "POST" and form.is_valid() and form.saved(request.user.get_username()):
        return _saved(request, form, before=label)
    return _form_page(request, form, {"form": form, "webapp": webapp, "label": label})


def _form_page(request: HttpRequest, form: WebAppForm, context: dict[str, Any]) -> HttpResponse:
    """Draw the form; a refused one keeps status 200, as Django's own do."""
    context["sections"] = ("General", "Security", "Files", "Runtime", "Environment")
    context["tab"] = "General"
    context["has_namespace"] = Namespace.objects.exists()
    return render(request, "webapps/form.html", context)


def _saved(request: HttpRequest, form: WebAppForm, before: str = "") -> HttpResponse:
    webapp: WebApp = form.instance
    say_saved(request, webapp, form.made)
    if before and before != webapp.label:
        messages.warning(request, f"The address has changed: {before} answers 404 from now on.")
    return redirect("webapps:detail", webapp.pk)


def say_saved(request: HttpRequest, webapp: WebApp, made: str = "") -> None:
    """Say that a row is saved, where it is found, and whether somebody takes it up."""
    if made:
        messages.success(request, f"Made {made}.")
    address = address_of(webapp, request)
    link = format_html('<a href="{}">{}</a>', address, address)
    if not webapp.enabled:
        messages.success(request, f"Saved {webapp.label}. It is disabled: its address answers 404.")
    elif control.status(timeout=1.0) is None:
        text = "Saved {}. Stoa’s supervisor is not running: it will be live at {} when Stoa runs."
        messages.warning(request, format_html(text, webapp.label, link))
    else:
        messages.success(request, format_html("Saved {}. Its address is {}.", webapp.label, link))


@editors
def webapp_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether to delete, and delete."""
    webapp = get_object_or_404(WebApp, pk=pk)
    if request.method == "POST":
        label, directory = webapp.label, webapp.directory or webapp.path
        webapp.delete()
        messages.success(request, f"Deleted {label}. Its files stay in {directory}.")
        return redirect("webapps:list")
    return render(request, "webapps/delete.html", {"webapp": webapp, "address": address_of(webapp, request)})
