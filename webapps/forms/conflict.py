"""Two people edit one row: whoever saves second is told what the first has changed, and may save all the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.db import transaction
from django.utils.crypto import salted_hmac

from webapps.models import Namespace, WebApp

MADE_FROM = "made_from"


@dataclass(frozen=True)
class Difference:
    """A field of which something else is stored than what was typed, both in words."""

    label: str
    stored: str
    typed: str


@dataclass(frozen=True)
class Conflict:
    """Who saved the row while the form was filled in, when, and what differs."""

    by: str
    at: datetime
    differences: tuple[Difference, ...]


if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Any]
else:
    _ModelForm = forms.ModelForm


class Careful(_ModelForm):
    """A form that knows what it was made from, and never saves over what its maker has not seen."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conflict: Conflict | None = None
        self._remember(self.instance)

    def _remember(self, row: WebApp | Namespace) -> None:
        """Note what is stored, before the form writes into its instance."""
        self._stored = {name: getattr(row, name) for name in self.fields if hasattr(row, name) and row.pk}
        self._saved = (row.modified_by, row.modified)
        self._now = _digest(row, self._stored)

    @property
    def made_from(self) -> str:
        """What the form was made from: a keyed digest, because some values are secret; it goes along hidden."""
        if self.is_bound and not self.conflict:
            return str(self.data.get(MADE_FROM) or self._now)
        return self._now

    def full_clean(self) -> None:
        """Look for a conflict once everything else is right."""
        super().full_clean()
        if self.is_bound and not self.errors and self.made_from != self._now:
            self._find_conflict()

    def is_valid(self) -> bool:
        """Say whether it can be saved."""
        return super().is_valid() and not self.conflict

    def _find_conflict(self) -> None:
        differences = tuple(self._differences())
        if differences:
            by, at = self._saved
            self.conflict = Conflict(by, at, differences)

    def _differences(self) -> list[Difference]:
        return [
            _difference(self.fields[name], stored, self.cleaned_data[name])
            for name, stored in self._stored.items()
            if self.cleaned_data[name] != stored
        ]

    def saved(self, by: str) -> bool:
        """Save in somebody's name; False, with ``conflict`` set, where somebody else has saved since we looked."""
        with transaction.atomic():
            rows = type(self.instance)._default_manager.select_for_update()
            row = rows.filter(pk=self.instance.pk).first() if self.instance.pk else None
            if row and _digest(row, self._stored) != self._now:
                self._remember(row)
                self._find_conflict()
            if not self.conflict:
                self.save(commit=False).save(by=by)
        return not self.conflict


def _digest(row: WebApp | Namespace, names: Mapping[str, object]) -> str:
    if not row.pk:
        return ""
    values = json.dumps(forms.model_to_dict(row, list(names)), sort_keys=True, default=str)
    return salted_hmac("webapps.forms.conflict", values).hexdigest()[:32]


def _difference(field: forms.Field, stored: Any, typed: Any) -> Difference:
    before, after = _words(field, stored), _words(field, typed)
    if before == after:  # A secret's value.
        after += " (another value)"
    return Difference(str(field.label), before, after)


def _words(field: forms.Field, value: Any) -> str:
    """Say a value as the form shows it."""
    in_words = getattr(field, "in_words", None)
    if in_words:
        return str(in_words(value))
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(field, forms.ChoiceField) and not isinstance(field, forms.ModelChoiceField):
        return str({str(key): label for key, label in _choices(field)}.get(str(value), value))
    return str(field.prepare_value(value)) if not isinstance(field, forms.ModelChoiceField) else str(value)


def _choices(field: Any) -> list[tuple[Any, Any]]:
    return list(field.choices)
