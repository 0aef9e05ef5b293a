"""Two people edit one application or one namespace: the second save is refused once, and says what the first did."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from tests.test_forms import filled, variables
from tests.test_views import said, text
from webapps.forms import NamespaceForm, WebAppForm
from webapps.models import Namespace, WebApp

pytestmark = pytest.mark.django_db


def made_from(page: str) -> str:
    found = re.search(r'name="made_from" value="([^"]*)"', page)
    assert found
    return found[1]


def posted(webapp: WebApp, made: str, **changes: Any) -> QueryDict:
    return filled(webapp.namespace, directory=webapp.directory, made_from=made, **changes)


def opened(client: Client, webapp: WebApp) -> str:
    """Open the form and return what it was made from."""
    return made_from(text(client.get(reverse("webapps:edit", args=[webapp.pk]))))


def test_the_second_save_is_refused_and_says_who_and_what(administrator: Client, webapp: WebApp) -> None:
    address = reverse("webapps:edit", args=[webapp.pk])
    made = opened(administrator, webapp)
    webapp.description = "Bea’s"
    webapp.save(by="bea")

    page = text(administrator.post(address, posted(webapp, made, description="Ada’s", threads="9")))

    assert "Nothing is saved yet" in page and "bea saved this too" in page
    assert re.search(r"Description</strong>: stored is <code>Bea’s</code>, yours is <code>Ada’s</code>", page)
    assert 'value="Ada’s"' in page and 'value="9"' in page
    assert WebApp.objects.get().description == "Bea’s"


def test_save_pressed_again_saves_over_it(administrator: Client, webapp: WebApp) -> None:
    address = reverse("webapps:edit", args=[webapp.pk])
    made = opened(administrator, webapp)
    WebApp.objects.get().save()
    webapp.description = "Bea’s"
    webapp.save(by="bea")
    refused = text(administrator.post(address, posted(webapp, made, description="Ada’s")))

    response = administrator.post(address, posted(webapp, made_from(refused), description="Ada’s"))

    assert "Saved /csp/notes" in said(response)
    row = WebApp.objects.get()
    assert (row.description, row.modified_by) == ("Ada’s", "ada")


def test_what_changes_no_field_is_no_conflict(administrator: Client, webapp: WebApp) -> None:
    """A reload, or a save of the namespace, starts a generation and changes nothing that was typed."""
    made = opened(administrator, webapp)
    webapp.save(by="bea")
    webapp.namespace.save()

    response = administrator.post(reverse("webapps:edit", args=[webapp.pk]), posted(webapp, made, description="Ada’s"))

    assert "Saved" in said(response)


def test_two_who_typed_the_same_do_not_disagree(administrator: Client, webapp: WebApp) -> None:
    made = opened(administrator, webapp)
    form = WebAppForm(posted(webapp, made, description="Ours"), instance=webapp)
    assert form.is_valid() and form.saved("bea")

    response = administrator.post(reverse("webapps:edit", args=[webapp.pk]), posted(webapp, made, description="Ours"))

    assert "Saved" in said(response)


def test_a_merge_meanwhile_is_named(administrator: Client, webapp: WebApp) -> None:
    made = opened(administrator, webapp)
    webapp.threads = 7
    webapp.save(by="manage.py merge")

    page = text(administrator.post(reverse("webapps:edit", args=[webapp.pk]), posted(webapp, made)))

    assert "manage.py merge saved this too" in page
    assert "Threads</strong>: stored is <code>7</code>, yours is <code>4</code>" in page


def test_a_secret_is_said_to_differ_and_never_shown(webapp: WebApp) -> None:
    webapp.environment = {"TOKEN": {"value": "first", "secret": True}}
    webapp.save()
    made = WebAppForm(instance=WebApp.objects.get()).made_from
    webapp.environment = {"TOKEN": {"value": "second", "secret": True}}
    webapp.save()

    form = WebAppForm(posted(webapp, made, **variables(("TOKEN", "third", True))), instance=WebApp.objects.get())

    assert not form.is_valid() and form.conflict
    (difference,) = [found for found in form.conflict.differences if found.label == "Environment variables"]
    assert (difference.stored, difference.typed) == ("TOKEN=(secret)", "TOKEN=(secret) (another value)")
    assert "first" not in made and made != form.made_from


def test_a_save_between_the_look_and_the_save_is_noticed(webapp: WebApp) -> None:
    made = WebAppForm(instance=webapp).made_from
    form = WebAppForm(posted(webapp, made, description="Ada’s"), instance=WebApp.objects.get())
    assert form.is_valid()
    webapp.description = "Bea’s"
    webapp.save(by="bea")

    assert not form.saved("ada")
    assert form.conflict and form.conflict.by == "bea"
    assert WebApp.objects.get().description == "Bea’s"


def test_no_directory_is_made_for_a_save_that_is_refused(webapp: WebApp) -> None:
    made = WebAppForm(instance=webapp).made_from
    webapp.description = "Bea’s"
    webapp.save(by="bea")
    missing = f"{webapp.directory}-new"
    data = filled(webapp.namespace, made_from=made, directory=missing, make_directory="on")

    form = WebAppForm(data, instance=WebApp.objects.get())

    assert not form.is_valid() and form.conflict and not form.made


def test_what_is_wrong_is_said_first_and_the_conflict_is_not_forgotten(administrator: Client, webapp: WebApp) -> None:
    address = reverse("webapps:edit", args=[webapp.pk])
    made = opened(administrator, webapp)
    webapp.description = "Bea’s"
    webapp.save(by="bea")

    wrong = text(administrator.post(address, posted(webapp, made, threads="0")))
    right = text(administrator.post(address, posted(webapp, made_from(wrong), threads="5")))

    assert made_from(wrong) == made
    assert "bea saved this too" in right


def of_namespace(made: str, **changes: str) -> dict[str, str]:
    return {
        "name": "USER",
        "description": "",
        "interpreter": "",
        "database_url": "",
        "roots": "",
        "made_from": made,
        **changes,
    }


def test_a_namespace_is_kept_the_same_way(administrator: Client, namespace: Namespace) -> None:
    address = reverse("webapps:namespace_edit", args=["USER"])
    made = made_from(text(administrator.get(address)))
    namespace.roots = ["/srv/bea"]
    namespace.save(by="bea")

    refused = text(administrator.post(address, of_namespace(made, roots="/srv/ada")))
    assert "bea saved this too" in refused
    assert "Roots</strong>: stored is <code>/srv/bea</code>, yours is <code>/srv/ada</code>" in refused

    administrator.post(address, of_namespace(made_from(refused), roots="/srv/ada"))
    row = Namespace.objects.get()
    assert (row.roots, row.modified_by) == (["/srv/ada"], "ada")


def test_a_new_row_was_made_from_nothing(namespace: Namespace) -> None:
    assert WebAppForm().made_from == NamespaceForm().made_from == ""
