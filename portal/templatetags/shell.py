"""What the shell of every page needs of the template language."""

from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import mark_safe

register = template.Library()

#: The names of the pages that belong to each part of the navigation.
PARTS = {
    "webapps": {"list", "create", "detail", "edit", "delete", "install"},
    "namespaces": {"namespaces", "namespace_create", "namespace_edit", "namespace_delete"},
    "log": {"log"},
    "system": {"system"},
}


@register.simple_tag(takes_context=True)
def nav_link(context: dict[str, Any], view: str, words: str, part: str, **kwargs: Any) -> str:
    """Draw a link of the navigation, marked where the page belongs to it."""
    request: HttpRequest | None = context.get("request")
    match = request.resolver_match if request else None
    here = match is not None and match.app_name == "webapps" and match.url_name in PARTS[part]
    current = mark_safe(' aria-current="page"') if here else ""
    return format_html('<a href="{}"{}>{}</a>', reverse(view, kwargs=kwargs or None), current, words)
