"""Who may do what in the portal: see, edit, administer. The decorator decides, the template hides."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from webapps.roles import EDIT, SEE

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


class Rights:
    """What somebody may do; asked of the database when somebody wants to know, and once."""

    def __init__(self, user: Any) -> None:
        self.user = user

    @cached_property
    def administer(self) -> bool:
        """Whether he may do everything: %ALL."""
        return bool(self.user.is_active and self.user.is_superuser)

    @cached_property
    def edit(self) -> bool:
        """Whether he may create, edit and delete web applications."""
        return self.administer or bool(self.user.has_perm(EDIT))

    @cached_property
    def see(self) -> bool:
        """Whether he may look at them; editing implies it."""
        return self.edit or bool(self.user.has_perm(SEE))


def seers(view: View[P]) -> View[P]:
    """Let those in who may see web applications."""
    return _guarded(view, lambda rights: rights.see, "see web applications")


def editors(view: View[P]) -> View[P]:
    """Let those in who may edit web applications."""
    return _guarded(view, lambda rights: rights.edit, "edit web applications")


def administrators(view: View[P]) -> View[P]:
    """Let administrators in."""
    return _guarded(view, lambda rights: rights.administer, "do this: it is for administrators, who hold %ALL")


def _guarded(view: View[P], allows: Callable[[Rights], bool], what: str) -> View[P]:
    """Send strangers to sign in and tell colleagues what they lack."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not allows(Rights(request.user)):
            raise PermissionDenied(f"You may not {what}. Ask an administrator for a role that may.")
        return view(request, *args, **kwargs)

    return login_required(guarded)
