"""The form of Authentication/Web Session Options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crispy_forms.helper import FormHelper
from django import forms

from webapps.choices import Authentication
from webapps.entrance import closed_by, enabled
from webapps.forms.layout import Pair, Section, helper
from webapps.models import Options, WebApp

HELP = {
    "allow_unauthenticated": "Applications that allow it let everybody in.",
    "allow_password": "A user name and a password, on the portal’s sign-in page or in a Basic header.",
    "allow_login_cookie": "One sign-in for all applications that allow it.",
    "login_cookie_expires": "Seconds that a Login Cookie lasts.",
    "session_timeout": "Seconds without a request after which somebody has to sign in again.",
    "invalid_login_limit": "Wrong passwords after which a pair of account and address is locked.",
    "lock_seconds": "Seconds that it stays locked.",
}
#: The methods that can be switched, and the field of each.
SWITCHES = {
    "allow_unauthenticated": Authentication.UNAUTHENTICATED,
    "allow_password": Authentication.PASSWORD,
    "allow_login_cookie": Authentication.LOGIN_COOKIE,
}
#: What Stoa does not have yet: shown, so that nobody looks for it.
LATER = {
    "allow_delegated": "Allow Delegated authentication",
    "allow_kerberos": "Allow Kerberos authentication",
    "allow_ldap": "Allow LDAP authentication",
    "allow_oauth2": "Allow OAuth2 authentication",
    "allow_totp": "Allow two-factor TOTP authentication",
}

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Options]
else:
    _ModelForm = forms.ModelForm


class OptionsForm(_ModelForm):
    """The switches and times that hold for the whole system."""

    class Meta:
        model = Options
        fields = tuple(HELP)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        allowed, webapps = Options.current().methods, enabled()
        for name, text in HELP.items():
            self.fields[name].help_text = text
        for name, method in SWITCHES.items():
            self.fields[name].help_text += _without(method, allowed, webapps)
        for name, label in LATER.items():
            self.fields[name] = forms.BooleanField(
                label=label, required=False, disabled=True, help_text="Not available yet."
            )

    @property
    def helper(self) -> FormHelper:
        """How the form is drawn."""
        return helper(
            Section("Methods", *SWITCHES, *LATER, lead="A method that is off here is off for every application."),
            Section("Times", Pair("login_cookie_expires", "session_timeout")),
            Section("Wrong passwords", Pair("invalid_login_limit", "lock_seconds")),
        )


def _without(method: Authentication, allowed: int, webapps: list[WebApp]) -> str:
    """Say how many applications nobody could enter any more without a method."""
    if not allowed & method:
        return ""
    lost = len(closed_by(allowed & ~method, webapps)) - len(closed_by(allowed, webapps))
    if lost <= 0:
        return ""
    return f" Off: nobody can enter {lost} application{'' if lost == 1 else 's'} that can be entered now."
