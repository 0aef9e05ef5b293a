"""The form of a role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from crispy_forms.helper import FormHelper
from crispy_forms.layout import Field
from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError

from portal import administrators
from webapps import matchroles, validators
from webapps.forms.layout import Section, helper, many, mark
from webapps.models import Resource
from webapps.roles import ALL, EDIT, SEE

from .choices import Boxes, People
from .names import is_taken

RIGHTS = {"": (), "see": (SEE,), "edit": (SEE, EDIT)}
WORDS = {
    "": "Nothing",
    "see": "See web applications, namespaces and logs",
    "edit": "See and edit web applications: that is running code, below the roots of their namespaces",
}

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Group]
else:
    _ModelForm = forms.ModelForm


class RoleForm(_ModelForm):
    """A role: its name, what it may do in the portal, the resources that it grants USE on, its members."""

    rights = forms.ChoiceField(
        label="In the portal it may", choices=list(WORDS.items()), required=False, widget=forms.RadioSelect
    )
    resources = Boxes(
        Resource.objects.all(), "Resources", help_text="Applications that require one of these let it in."
    )
    members = People(get_user_model().objects.order_by("username"), "Users who hold it")

    class Meta:
        model = Group
        fields = ("name",)

    def __init__(self, *args: Any, by: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.by = by
        self.old = self.instance.name
        self.is_all = self.old == ALL
        cast(Any, self.fields["name"]).max_length = 64
        self.fields["name"].widget.attrs |= {"maxlength": "64", "spellcheck": "false", "autocapitalize": "off"}
        self.fields["name"].help_text = "Letters, digits, “_”, “.”, “-” and blanks; “%” may come first."
        mark(self, "name")
        if self.instance.pk:
            self._begin_with_the_row()
        if self.is_all:
            self.fields["name"].disabled = True
            self.fields["name"].help_text = "This name is fixed: whoever holds it administers Stoa."
            del self.fields["rights"], self.fields["resources"]

    def _begin_with_the_row(self) -> None:
        self.fields["rights"].initial = rights_of(self.instance)
        self.fields["resources"].initial = list(self.instance.resources.all())
        self.fields["members"].initial = list(self.instance.user_set.all())

    @property
    def helper(self) -> FormHelper:
        """How the form is drawn."""
        own = [] if self.is_all else [Field("rights", css_class="radios"), many("resources")]
        return helper(Section("General", "name", *own), Section("Members", many("members")))

    def clean_name(self) -> str:
        """Check the name against the rules of roles. Raises ValidationError."""
        name = str(self.cleaned_data["name"]).strip()
        if len(name) > 64 or not validators.ROLE.fullmatch(name):
            raise ValidationError(
                "A role’s name has up to 64 letters, digits, “_ . -” and blanks, after a “%” or none."
            )
        if is_taken(Group.objects.exclude(pk=self.instance.pk), "name", name):
            raise ValidationError(f"There is a role {name} already (case does not count). Choose another name.")
        return name

    def clean_members(self) -> Any:
        """Keep an administrator. Raises ValidationError."""
        members = self.cleaned_data["members"]
        if self.is_all:
            for person in self.instance.user_set.exclude(pk__in=members):
                if problem := administrators.why_needed(person, self.by):
                    raise ValidationError(problem)
        return members

    def save(self, commit: bool = True) -> Any:
        """Save the row and all that hangs on it; a changed name is changed in the applications too."""
        role = super().save(commit)
        role.user_set.set(self.cleaned_data["members"])
        if not self.is_all:
            role.resources.set(self.cleaned_data["resources"])
            give(role, self.cleaned_data["rights"])
        if self.old and self.old != role.name:
            matchroles.rename(self.old, role.name)
        return role


def rights_of(role: Group) -> str:
    """Return what a role may do in the portal: "", "see" or "edit"."""
    held = {f"webapps.{permission.codename}" for permission in role.permissions.all()}
    return "edit" if EDIT in held else "see" if SEE in held else ""


def give(role: Group, rights: str) -> None:
    """Give a role these rights in the portal, and no other."""
    names = {name: name.partition(".")[2] for name in (SEE, EDIT)}
    rows = Permission.objects.filter(content_type__app_label="webapps", codename__in=names.values())
    role.permissions.remove(*rows)
    role.permissions.add(*rows.filter(codename__in=[names[right] for right in RIGHTS[rights]]))
