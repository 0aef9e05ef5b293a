"""The tails of WSGI.log and messages.log."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from webapps.models import WebApp
from webapps.runtime.logs import Tail, read_tail

from .access import seers

FILES = {"applications": "WSGI.log", "stoa": "messages.log"}
SOURCES = ("supervisor", "portal", "front", "keeper", "log")
LINES = (200, 1000, 5000)


@require_safe
@seers
def log(request: HttpRequest, which: str) -> HttpResponse:
    """Show the last lines; with ``part`` those after a position, for the script that follows the log."""
    file = _file(which)
    after = request.GET.get("after") if request.GET.get("part") == "lines" else None
    lines = _lines(request.GET.get("lines", ""))
    label, text = request.GET.get("app", ""), request.GET.get("q", "").strip()
    problem = ""
    try:
        tail = read_tail(file, lines=lines, label=label, text=text, after=after)
    except OSError as error:
        tail, problem = Tail([], "", False), f"{file} cannot be read: {error.strerror}."
    if request.GET.get("part") == "lines":
        response = render(request, "webapps/_lines.html", {"lines": tail.lines})
        response["X-Log-Position"] = tail.position
        response["X-Log-Truncated"] = "1" if tail.truncated else "0"
        return response
    context = {
        "which": which,
        "file": file,
        "tail": tail,
        "problem": problem,
        "label": label,
        "query": text,
        "count": lines,
        "counts": LINES,
        "choices": _choices(which, label),
    }
    return render(request, "webapps/log.html", context)


def _file(which: str) -> Path:
    if which not in FILES:
        raise Http404
    return Path(settings.STOA_HOME) / "log" / FILES[which]


def _lines(text: str) -> int:
    return int(text) if text in {str(count) for count in LINES} else LINES[0]


def _choices(which: str, label: str) -> list[str]:
    """Name what the log can be filtered by; what is chosen stays, even when it was deleted since."""
    if which == "stoa":
        return list(SOURCES)
    labels = [f"{host}{name}" for host, name in WebApp.objects.values_list("host", "name")]
    return labels if not label or label in labels else [*labels, label]


@require_safe
@seers
def download(request: HttpRequest, which: str) -> HttpResponseBase:
    """Offer the file as it is."""
    file = _file(which)
    try:
        content = file.open("rb")
    except OSError:
        raise Http404 from None
    return FileResponse(content, as_attachment=True, filename=file.name, content_type="text/plain; charset=utf-8")
