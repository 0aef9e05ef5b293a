"""Application Roles and Matching Roles, as rows of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from webapps import validators

from .fields import posted_list

BLANK_ROWS = 2
LONGEST_NAME = 64
#: How long the text of all entries may be.
LONGEST = 4096

Row = tuple[str, ...]


class RowsWidget(forms.Widget):
    """Rows of text fields, some blank ones at the end."""

    template_name = "webapps/widgets/rows.html"
    use_fieldset = True

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__()
        self.columns = columns

    def get_context(self, name: str, value: Any, attrs: Mapping[str, Any] | None) -> dict[str, Any]:
        """Add the rows."""
        context = super().get_context(name, value, dict(attrs or {}))
        rows = [*(value or ()), *[("",) * len(self.columns)] * BLANK_ROWS]
        context["columns"] = self.columns
        context["rows"] = [
            [
                {"name": f"{name}_{index}", "label": label, "value": row[index]}
                for index, label in enumerate(self.columns)
            ]
            for row in rows
        ]
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[Row]:
        """Read the rows; blank ones are none."""
        columns = [posted_list(data, f"{name}_{index}") for index in range(len(self.columns))]
        rows = [tuple(value.strip() for value in row) for row in zip(*columns, strict=False)]
        return [row for row in rows if any(row)]

    def id_for_label(self, id_: str) -> str:
        """Return nothing: the rows have labels of their own."""
        return ""


def role_name(value: str) -> str:
    """Check the name of a role. Raises ValidationError."""
    if len(value) > LONGEST_NAME or not validators.ROLE.fullmatch(value):
        raise ValidationError(f"“{value[:LONGEST_NAME]}” is no name of a role: letters, digits, “_ . -” and blanks.")
    return value


def once(names: Sequence[str]) -> tuple[str, ...]:
    """Leave names out that were there before in another case or the same."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name.lower(), name)
    return tuple(found.values())


class RolesForm(forms.Form):
    """Application Roles: everybody has them while in the application."""

    rows = forms.Field(
        label="Application Roles",
        required=False,
        widget=RowsWidget(["Role"]),
        help_text="Whoever is in the application has these roles there, besides their own.",
    )

    def clean_rows(self) -> list[str]:
        """Return the names, each once. Raises ValidationError."""
        return list(once([role_name(row[0]) for row in self.cleaned_data["rows"]]))


class MatchingRolesForm(forms.Form):
    """Matching Roles: who holds one role has others while in the application."""

    rows = forms.Field(
        label="Matching Roles",
        required=False,
        widget=RowsWidget(["Match role", "Granted roles"]),
        help_text="Whoever holds the match role has the granted ones in the application. Commas between several.",
    )

    def clean_rows(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return match roles with what they grant. Raises ValidationError."""
        return [self._row(match, granted) for match, granted in self.cleaned_data["rows"]]

    def _row(self, match: str, granted: str) -> tuple[str, tuple[str, ...]]:
        targets = [name.strip() for name in granted.replace(":", ",").split(",") if name.strip()]
        if not match:
            raise ValidationError(
                f"“{granted}” has no match role. What everybody gets is on the tab Application Roles."
            )
        if not targets:
            raise ValidationError(f"“{match}” grants nothing. Name the roles that it grants, or empty the row.")
        return role_name(match), once([role_name(name) for name in targets])
