"""The forms that take a password."""

from __future__ import annotations

import secrets
from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError

from portal import hashing


def made() -> str:
    """Make a password that nobody guesses."""
    return secrets.token_urlsafe(12)


def new_password(label: str, help_text: str = "") -> forms.CharField:
    """Return a field for a password that is to be."""
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
    return forms.CharField(
        label=label, help_text=help_text, required=False, strip=False, max_length=1024, widget=widget
    )


class Reset(forms.Form):
    """Another password for somebody: typed, or made."""

    password = new_password("New password", "Blank: one is made and shown once.")

    def __init__(self, *args: Any, person: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person

    def clean_password(self) -> str:
        """Check a typed one against the rules. Raises ValidationError."""
        password = str(self.cleaned_data["password"])
        if password:
            password_validation.validate_password(password, self.person)
        return password


class Own(forms.Form):
    """One's own password: the old one, and the new one twice."""

    old = forms.CharField(
        label="Old password",
        strip=False,
        max_length=1024,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )
    new = new_password("New password", "At least 8 characters, not a common word, nothing that is like your name.")
    again = new_password("New password, again")

    def __init__(self, *args: Any, person: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person
        self.fields["new"].required = self.fields["again"].required = True

    def clean_old(self) -> str:
        """Compare the old password. Raises ValidationError."""
        old = str(self.cleaned_data["old"])
        try:
            right = hashing.is_right(self.person, old)
        except hashing.Busy as busy:
            raise ValidationError(f"{busy} Nothing was changed.") from None
        if not right:
            raise ValidationError("This is not your password. Type it again.")
        return old

    def clean_new(self) -> str:
        """Check the new one against the rules. Raises ValidationError."""
        new = str(self.cleaned_data["new"])
        password_validation.validate_password(new, self.person)
        return new

    def clean(self) -> dict[str, Any]:
        """Compare the two new ones."""
        cleaned = super().clean() or {}
        if {"new", "again"} <= cleaned.keys() and cleaned["new"] != cleaned["again"]:
            self.add_error("again", "The two new passwords differ. Type both again.")
        return cleaned
