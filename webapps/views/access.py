"""Who may see a page."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def administrators(view: View[P]) -> View[P]:
    """Let administrators in; send strangers to sign in and tell colleagues what they lack."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not (request.user.is_staff or request.user.is_superuser):
            raise PermissionDenied("Web applications are for administrators. Ask one to give you the right.")
        return view(request, *args, **kwargs)

    return login_required(guarded)
