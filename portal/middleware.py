"""What keeps a page of the portal to itself: headers, one session cookie, requests of its own pages only."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.loader import render_to_string

from .views import csrf_failure

#: Nothing inline, nothing from elsewhere: what somebody typed into a field can be shown but never run.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
SAFE = ("GET", "HEAD", "OPTIONS")
METHODS = ("GET", "HEAD", "POST")

Handler = Callable[[HttpRequest], HttpResponse]


class SecurityHeaders:
    """Add the headers that Django has no setting for, and keep pages out of shared caches."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on and dress the response."""
        response = self.get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if not request.path.startswith("/portal/static/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


class PagesMethods:
    """Answer 405 to what no page knows: each is read or is a form, and Django would answer the others as GET."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Let GET, HEAD and POST through."""
        if request.method in METHODS:
            return self.get_response(request)
        return HttpResponseNotAllowed(METHODS)


class OneSessionCookie:
    """Take nobody for signed in who sends two session cookies: script on another port can add one."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Count them as they were sent: Django keeps one of each name. Where there are two, neither counts.

        Sent to the sign-in page, which may get one cookie alone, somebody would be sent back at once: so it is said
        here, and the browser is asked to forget both (Clear-Site-Data).
        """
        pairs = request.META.get("HTTP_COOKIE", "").split(";")
        names = [pair.partition("=")[0].strip() for pair in pairs]
        if names.count(settings.SESSION_COOKIE_NAME) <= 1:
            return self.get_response(request)
        page = HttpResponse(render_to_string("portal/two_cookies.html"), status=400)
        page["Clear-Site-Data"] = '"cookies"'
        return page


class OwnPagesOnly:
    """Refuse what changes something and was not sent by a page of the portal (Fetch Metadata, Origin)."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Let through what is safe, and what a browser says comes from here."""
        if request.method in SAFE or self._is_ours(request):
            return self.get_response(request)
        return csrf_failure(request)

    def _is_ours(self, request: HttpRequest) -> bool:
        site = request.META.get("HTTP_SEC_FETCH_SITE", "same-origin")
        origin = request.META.get("HTTP_ORIGIN")
        return site == "same-origin" and (origin is None or _authority(origin) == request.get_host())


def _authority(origin: str) -> str:
    """Return host and port of an Origin header, "" where it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:  # Such as a bracket that is never closed.
        return ""
