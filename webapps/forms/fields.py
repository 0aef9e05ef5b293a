"""Fields that the forms share: environment variables, bits, megabytes, lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from webapps import validators
from webapps.choices import AVAILABLE, OFFERED_BITS, Authentication, methods, why_off

BLANK_ROWS = 2
MEGABYTE = 1 << 20

Entry = dict[str, Any]
Environment = dict[str, Entry]


class EnvironmentWidget(forms.Widget):
    """Rows of name, value and Secret; the value of a stored secret is never sent to the browser."""

    template_name = "webapps/widgets/environment.html"
    use_fieldset = True

    def get_context(self, name: str, value: Any, attrs: Mapping[str, Any] | None) -> dict[str, Any]:
        """Add the rows, some blank ones included."""
        context = super().get_context(name, value, dict(attrs or {}))
        posted = isinstance(value, list)
        rows = [row for row in value if row["name"] or row["value"]] if posted else rows_of(value or {})
        context["rows"] = [_shown(row, posted) for row in rows] + [{}] * BLANK_ROWS
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[Entry]:
        """Read the rows; Secret arrives as the numbers of the rows that have it."""
        names, values = posted_list(data, f"{name}_name"), posted_list(data, f"{name}_value")
        secret = set(posted_list(data, f"{name}_secret"))
        pairs = zip(names, values, strict=False)
        return [
            {"name": key.strip(), "value": value, "secret": str(number) in secret}
            for number, (key, value) in enumerate(pairs)
        ]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Say whether the form left the rows out."""
        return f"{name}_name" not in data

    def id_for_label(self, id_: str) -> str:
        """Return nothing: the rows have labels of their own."""
        return ""


def posted_list(data: Any, name: str) -> list[str]:
    """Return all that was posted under a name."""
    return list(data.getlist(name)) if hasattr(data, "getlist") else list(data.get(name, []))


def rows_of(environment: Mapping[str, Entry]) -> list[Entry]:
    """Turn stored variables into rows."""
    return [{"name": name, **entry} for name, entry in sorted(environment.items())]


def _shown(row: Entry, posted: bool) -> Entry:
    """Take the value out of a secret row, and say what a blank one means there."""
    if not row.get("secret"):
        return row
    if not row["value"]:
        hint = "" if posted else "Not copied: type the value"
    else:
        hint = "Type the new value again" if posted else "Kept; type to replace"
    return {**row, "value": "", "hint": hint}


class EnvironmentField(forms.Field):
    """Environment variables; ``stored`` is what a secret that is left blank keeps."""

    widget = EnvironmentWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.stored: Environment = {}

    def clean(self, value: Any) -> Environment:
        """Return ``{name: {"value", "secret"}}``. Raises ValidationError."""
        rows = [row for row in value or [] if row["name"] or row["value"].strip()]
        cleaned: Environment = {}
        problems: list[str] = []
        for row in rows:
            try:
                cleaned[row["name"]] = self._entry(row, cleaned)
            except ValidationError as error:
                problems += error.messages
        if problems:
            raise ValidationError(problems)
        return cleaned

    def _entry(self, row: Entry, before: Environment) -> Entry:
        name, value = row["name"], row["value"].replace("\r\n", "\n")
        if not name:
            raise ValidationError("A value has no name. Give its variable’s name, or empty the value.")
        validators.validate_variable(name)
        validators.validate_lines(value)
        if name in before:
            raise ValidationError(f"{name} is given twice. Keep one of the two.")
        return {"value": value or self._kept(name, secret=row["secret"]), "secret": row["secret"]}

    def _kept(self, name: str, *, secret: bool) -> str:
        """Return the stored secret; nobody makes it readable by unticking Secret."""
        stored = self.stored.get(name)
        if stored and stored["secret"] and secret:
            return str(stored["value"])
        if secret:
            raise ValidationError(f"{name} has no value yet. Type the secret’s value.")
        if stored and stored["secret"]:
            raise ValidationError(f"{name} was secret. Type its value again to make it readable.")
        return ""

    def in_words(self, value: Environment) -> str:
        """Name the variables with their values, secrets without."""
        rows = rows_of(value)
        return ", ".join(f"{row['name']}={'(secret)' if row['secret'] else row['value']}" for row in rows)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Say yes: every save is a revision anyway."""
        return True


class MethodBoxes(forms.CheckboxSelectMultiple):
    """Boxes that say which methods do not count, and why; what Stoa does not have can be unticked, not ticked."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = int(AVAILABLE)

    def create_option(self, name: str, value: Any, label: Any, selected: bool, *args: Any, **kwargs: Any) -> Any:
        """Add the reason to the label, and disable what nobody can have."""
        option = super().create_option(name, value, label, selected, *args, **kwargs)
        if why := why_off(int(str(value)), self.allowed):
            option["label"] = f"{label} ({why.lower()})"
        if not int(str(value)) & AVAILABLE and not selected:
            option["attrs"]["disabled"] = True
        return option


class BitsField(forms.TypedMultipleChoiceField):
    """Allowed Authentication Methods as boxes to tick."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=Authentication.choices, coerce=int, required=False, widget=MethodBoxes, **kwargs)

    def allow(self, allowed: int) -> None:
        """Take what the system allows, for the words at the boxes."""
        self.widget.allowed = allowed

    def in_words(self, value: int) -> str:
        """Name the methods."""
        return ", ".join(methods(value))

    def prepare_value(self, value: Any) -> Any:
        """Turn a number into the bits that are ticked."""
        if isinstance(value, int):
            return [str(bit) for bit in Authentication.values if value & bit]
        return value


def merge_bits(ticked: Iterable[int], before: int) -> int:
    """Put the ticked bits together with those that are not offered and were there before."""
    return sum(ticked) | (before & ~OFFERED_BITS)


class MegabytesField(forms.IntegerField):
    """A size that is stored in bytes and shown in MB."""

    def prepare_value(self, value: Any) -> Any:
        """Show bytes as MB."""
        return value // MEGABYTE if isinstance(value, int) else value

    def clean(self, value: Any) -> int | None:
        """Return bytes."""
        megabytes = super().clean(value)
        return None if megabytes is None else megabytes * MEGABYTE


class LinesField(forms.CharField):
    """A list with one item to a line."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        """Show a list as lines."""
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        """Return the list."""
        return validators.lines(super().clean(value) or "")
