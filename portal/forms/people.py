"""The form of a user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crispy_forms.helper import FormHelper
from django import forms
from django.contrib.auth import get_user_model, password_validation
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError

from portal import administrators
from portal.gate.decision import UNKNOWN_USER
from webapps.forms.layout import Pair, Section, helper, many, mark
from webapps.roles import ALL

from .choices import Boxes
from .names import is_taken
from .passwords import new_password

HELP = {
    "username": "The name to sign in with, which applications receive as REMOTE_USER.",
    "full_name": "",
    "email": "",
    "is_active": "Off: nobody can sign in with it, and what is signed in ends.",
    "groups": f"{ALL} administers Stoa and enters every application.",
}

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[User]
else:
    _ModelForm = forms.ModelForm


class PersonForm(_ModelForm):
    """A user: name, full name, email, whether he is active, his roles; a new one has a password too."""

    full_name = forms.CharField(label="Full name", max_length=150, required=False)
    groups = Boxes(Group.objects.order_by("name"), "Roles that this user holds")
    password = new_password("Password", "Blank: one is made and shown once.")

    class Meta:
        model = get_user_model()
        fields = ("username", "email", "is_active", "groups")
        labels = {"username": "User name", "email": "Email", "is_active": "Active"}

    def __init__(self, *args: Any, by: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.by = by
        for name, text in HELP.items():
            self.fields[name].help_text = text
        self.fields["username"].widget.attrs |= {"spellcheck": "false", "autocomplete": "off", "autocapitalize": "none"}
        self.fields["full_name"].initial = self.instance.get_full_name()
        mark(self, "username")
        if self.instance.pk:
            del self.fields["password"]

    @property
    def helper(self) -> FormHelper:
        """How the form is drawn."""
        general = [Pair("username", "full_name"), Pair("email", "password") if "password" in self.fields else "email"]
        return helper(Section("General", *general, "is_active"), Section("Roles", many("groups")))

    def clean_username(self) -> str:
        """Refuse a name that is taken in any case. Raises ValidationError."""
        name = str(self.cleaned_data["username"])
        if name.lower() == UNKNOWN_USER.lower():
            raise ValidationError(f"{UNKNOWN_USER} stands for whoever has not signed in. Choose another name.")
        if is_taken(get_user_model().objects.exclude(pk=self.instance.pk), "username", name):
            raise ValidationError(f"There is a user {name} already (case does not count). Choose another name.")
        return name

    def clean(self) -> dict[str, Any]:
        """Keep an administrator, and check the password."""
        cleaned = super().clean() or {}
        if self.instance.pk:
            self._keep_administrator(cleaned)
        elif cleaned.get("password"):
            self._check_password(cleaned)
        return cleaned

    def _keep_administrator(self, cleaned: dict[str, Any]) -> None:
        stays = {role.name for role in cleaned.get("groups", ())}
        lost = [name for name, kept in (("is_active", cleaned.get("is_active")), ("groups", ALL in stays)) if not kept]
        if lost and (problem := administrators.why_needed(self.instance, self.by)):
            self.add_error(lost[0], problem)

    def _check_password(self, cleaned: dict[str, Any]) -> None:
        person = User(username=cleaned.get("username", ""), email=cleaned.get("email", ""))
        person.first_name = cleaned.get("full_name", "")
        try:
            password_validation.validate_password(cleaned["password"], person)
        except ValidationError as error:
            self.add_error("password", error)

    def save(self, commit: bool = True) -> Any:
        """Save, with the full name in one piece."""
        self.instance.first_name, self.instance.last_name = self.cleaned_data["full_name"], ""
        return super().save(commit)
