"""Choices of several rows, as boxes to tick."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet

if TYPE_CHECKING:
    _Choices = forms.ModelMultipleChoiceField[Any]
else:
    _Choices = forms.ModelMultipleChoiceField


class Boxes(_Choices):
    """Rows to tick; ``show`` gives the words of one."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, rows: QuerySet[Any], label: str, **kwargs: Any) -> None:
        super().__init__(rows, label=label, required=False, **kwargs)
        self.error_messages["invalid_choice"] = "One of these was deleted meanwhile. Look again, and save again."


class People(Boxes):
    """Users to tick, by name and full name."""

    def label_from_instance(self, obj: Any) -> str:
        """Show the name, and the full one where there is one."""
        full = obj.get_full_name()
        return f"{obj.get_username()} ({full})" if full else str(obj.get_username())
