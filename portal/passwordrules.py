"""What a password has to be besides Django's own rules (AUTH_PASSWORD_VALIDATORS)."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from django.core.exceptions import ValidationError

#: As MinimumLengthValidator has it, which is asked too.
FEWEST = 8


def _squeezed(text: str) -> str:
    """Return letters, digits and signs in one case, without what nobody sees."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if char.isprintable() and not char.isspace())


class EnoughCharacters:
    """Count what can be seen: eight blanks are no password."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ValidationError where it is mostly blanks; of what is too short anyhow Django says so."""
        if len(_squeezed(password)) < FEWEST <= len(password):
            raise ValidationError(self.get_help_text(), code="password_blank")

    def get_help_text(self) -> str:
        """Say the rule."""
        return f"Blanks do not count: a password has at least {FEWEST} other characters."


class NotOnesName:
    """Refuse one's own name, however often and with whatever between: Django asks only how much of it is alike."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ValidationError where nothing is left of it without the name."""
        words = re.sub(r"[\W_]", "", _squeezed(password))
        for name in _names(user):
            if words and not words.replace(name, ""):
                raise ValidationError("This is your name. Choose a password that is not.", code="password_is_name")

    def get_help_text(self) -> str:
        """Say the rule."""
        return "A password is not one's own name."


def _names(user: Any) -> set[str]:
    """Return what somebody is called: user name, full name, email with and without its host."""
    if user is None:
        return set()
    said = [user.get_username(), user.get_full_name(), user.email or "", (user.email or "").partition("@")[0]]
    return {found for text in said if (found := re.sub(r"[\W_]", "", _squeezed(text)))}
