"""The form of a resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crispy_forms.helper import FormHelper
from django import forms
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError

from webapps import resources
from webapps.forms.layout import Section, helper, many, mark
from webapps.models import Resource
from webapps.roles import ALL

from .choices import Boxes
from .names import is_taken

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Resource]
else:
    _ModelForm = forms.ModelForm


class ResourceForm(_ModelForm):
    """A resource: its name, what it is for, the roles that hold USE on it."""

    roles = Boxes(Group.objects.exclude(name=ALL).order_by("name"), "Roles that hold it")

    class Meta:
        model = Resource
        fields = ("name", "description", "roles")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.old = self.instance.name
        self.fields["name"].widget.attrs |= {"spellcheck": "false", "autocapitalize": "off"}
        self.fields["name"].help_text = "What applications name in Resource Required. Case does not count."
        self.fields["roles"].help_text = f"{ALL} holds every resource."
        mark(self, "name")

    @property
    def helper(self) -> FormHelper:
        """How the form is drawn."""
        return helper(Section("General", "name", "description", many("roles")))

    def clean_name(self) -> str:
        """Refuse a name that is taken in any case. Raises ValidationError."""
        name = str(self.cleaned_data["name"])
        if is_taken(Resource.objects.exclude(pk=self.instance.pk), "name", name):
            raise ValidationError(f"There is a resource {name} already (case does not count). Choose another name.")
        return name

    def save(self, commit: bool = True) -> Any:
        """Save; a changed name is changed in the applications too."""
        resource = super().save(commit)
        if self.old and self.old != resource.name:
            resources.rename(self.old, resource.name)
        return resource
