"""What the shell of every page needs of the template language."""

from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import mark_safe

register = template.Library()

PEOPLE = {"people", "person_create", "person", "person_password", "person_delete"}
ROLES = {"roles", "role_create", "role", "role_delete"}
RESOURCES = {"resources", "resource_create", "resource", "resource_delete"}
#: The pages that belong to each part of the navigation: names by application.
PARTS = {
    "webapps": {"webapps": {"list", "create", "detail", "edit", "delete", "install", "roles", "matching_roles"}},
    "namespaces": {"webapps": {"namespaces", "namespace_create", "namespace_edit", "namespace_delete"}},
    "log": {"webapps": {"log"}},
    "system": {"webapps": {"system"}},
    "people": {"portal": PEOPLE},
    "roles": {"portal": ROLES},
    "resources": {"portal": RESOURCES},
    "options": {"portal": {"options"}},
    "locks": {"portal": {"locks"}},
    "security": {"portal": PEOPLE | ROLES | RESOURCES | {"options", "locks"}},
}


@register.simple_tag(takes_context=True)
def nav_link(context: dict[str, Any], view: str, words: str, part: str, **kwargs: Any) -> str:
    """Draw a link of the navigation, marked where the page belongs to it."""
    request: HttpRequest | None = context.get("request")
    match = request.resolver_match if request else None
    here = match is not None and match.url_name in PARTS[part].get(match.app_name, ())
    current = mark_safe(' aria-current="page"') if here else ""
    return format_html('<a href="{}"{}>{}</a>', reverse(view, kwargs=kwargs or None), current, words)
