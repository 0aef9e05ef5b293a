"""Have passwords compared beside the portal (``hasher``), so that wrong ones do not hold up its pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest, HttpResponse

from . import hasher, locks
from .beside import Beside, Room, of_module

#: How many of the portal's threads (``serve.PORTAL_THREADS``) may wait for a hash, in all and for one address.
MOST, MOST_OF_ONE = 4, 2
PATIENCE = 12.0
#: After how long (seconds) whoever finds no place may come again.
AGAIN = 5
LONGEST_NAME = 150


class Busy(Exception):
    """So many passwords are being checked that this one was not looked at; ``status`` is HTTP's."""

    def __init__(self, *, own: bool) -> None:
        whose = "from your address " if own else ""
        super().__init__(f"Many passwords {whose}are being checked at the moment. Try again in {AGAIN} seconds.")
        self.status = 429 if own else 503

    def answer(self, page: HttpResponse) -> HttpResponse:
        """Dress a page for it."""
        page.status_code = self.status
        page["Retry-After"] = str(AGAIN)
        return page


class Hashing(Beside):
    """The portal's side."""

    def __init__(self, argv: Sequence[str] = ()) -> None:
        super().__init__(argv or of_module("portal.hasher"), Room(MOST, MOST_OF_ONE, PATIENCE))

    def verify(self, password: str, encoded: str, address: str) -> tuple[bool, bool]:
        """Return whether it is right, and whether the hash is outdated. Raises Busy."""
        with self.place(address) as admitted:
            if not admitted:
                raise Busy(own=self.waiting[address] >= MOST_OF_ONE)
            answer = self.ask({"password": password, "encoded": encoded})
        if answer is None:
            raise Busy(own=False)
        return answer["right"], answer["outdated"]


#: Where the portal answers requests; commands, and the gate's own process, hash where they are.
_beside: Hashing | None = None


def go_beside(hashing: Hashing | None = None) -> None:
    """Have this process's passwords checked by another one from now on."""
    global _beside
    _beside = hashing or Hashing()


class Backend(ModelBackend):
    """Django's, but for where it hashes."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        """Return the user whose name and password these are, None where there is none. Raises Busy."""
        if username is None or password is None:
            return None
        user = get_user_model().objects.filter(username=username).first()
        address = (locks.client_address(request) if request else None) or ""
        if not is_right(user, password, address) or not self.user_can_authenticate(user):
            return None
        return user


def is_right(user: Any, password: str, address: str = "") -> bool:
    """Say whether it is the user's password; None is nobody, found out in the same time. Raises Busy."""
    encoded = user.password if user else ""
    right, outdated = _beside.verify(password, encoded, address) if _beside else hasher.verify(password, encoded)
    if right and outdated:
        user.set_password(password)
        user.save(update_fields=["password"])
    return right


def typed(request: HttpRequest) -> dict[str, str]:
    """Return the name that was typed, for the form that is shown again."""
    return {"username": request.POST.get("username", "")[:LONGEST_NAME]}
