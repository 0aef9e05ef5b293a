"""What every page's shell needs to know."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from webapps.views.access import Rights


def shell(request: HttpRequest) -> dict[str, Any]:
    """Name the address of the applications, and what the person may do."""
    user = getattr(request, "user", None) or AnonymousUser()
    return {"stoa_url": settings.STOA_URL, "may": Rights(user)}
