"""What the forms' layouts are made of."""

from __future__ import annotations

from typing import Any, cast

from crispy_forms.helper import FormHelper
from crispy_forms.layout import Div, Field, Layout
from django.forms import BaseForm


class Section(Div):  # type: ignore[misc]
    """A part of a form with a heading and an address within the page."""

    template = "webapps/_section.html"

    def __init__(self, title: str, *fields: Any, lead: str = "", **kwargs: Any) -> None:
        self.title = title
        self.lead = lead
        super().__init__(*fields, css_id=title.lower().replace(" ", "-"), **kwargs)


class Pair(Div):  # type: ignore[misc]
    """Fields that stand side by side where there is room."""

    css_class = "pair"


def wide(name: str, **attributes: Any) -> Field:
    """Return a field that takes the whole width."""
    return Field(name, wrapper_class="wide", **attributes)


def many(name: str) -> Field:
    """Return boxes that may be many: they scroll."""
    return Field(name, wrapper_class="many")


def mark(form: BaseForm, *names: str) -> None:
    """Mark the fields that a person has to fill in; those that come filled in need no mark."""
    for name in names:
        cast(Any, form.fields[name]).marked = True


def helper(*parts: Any) -> FormHelper:
    """Return a helper that draws the parts; the page has the form's tag and buttons."""
    made = FormHelper()
    made.form_tag = False
    made.include_media = False
    made.layout = Layout(*parts)
    return made
