"""Application Roles and Matching Roles: their text, their tabs."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from tests.test_views import said, text
from webapps import matchroles
from webapps.matchroles import application_roles, matching_roles, with_application_roles, with_matching_roles
from webapps.models import WebApp

MIXED = "%ALL, :A:B ,Clerk:C, :D,Keeper:E:F,::"


def test_it_reads_what_everybody_has_and_what_follows_from_a_role() -> None:
    assert application_roles(MIXED) == ["A", "B", "D"]
    assert matching_roles(MIXED) == [("Clerk", ("C",)), ("Keeper", ("E", "F"))]
    assert (application_roles(""), matching_roles("")) == ([], [])
    assert application_roles(":%ALL") == ["%ALL"]


@pytest.mark.parametrize(
    ("roles", "written"),
    [
        (["A", "B", "D"], MIXED),
        (["X"], "%ALL,:X,Clerk:C,Keeper:E:F,::"),
        ([], "%ALL,Clerk:C,Keeper:E:F,::"),
    ],
)
def test_it_writes_application_roles_and_keeps_the_rest(roles: list[str], written: str) -> None:
    assert with_application_roles(MIXED, roles) == written
    assert application_roles(written) == roles


@pytest.mark.parametrize(
    ("rows", "written"),
    [
        ([("Clerk", ("C",)), ("Keeper", ("E", "F"))], MIXED),
        ([("Clerk", ("C", "G"))], "%ALL, :A:B ,Clerk:C:G, :D,::"),
        ([("New", ("N",)), ("Keeper", ("E",)), ("Third", ("T",))], "%ALL, :A:B ,New:N, :D,Keeper:E,::,Third:T"),
        ([], "%ALL, :A:B , :D,::"),
    ],
)
def test_it_writes_matching_roles_and_keeps_the_rest(rows: list[tuple[str, tuple[str, ...]]], written: str) -> None:
    assert with_matching_roles(MIXED, rows) == written
    assert matching_roles(written) == rows


def test_it_warns_of_everything_for_everyone_and_of_what_grants_nothing() -> None:
    everything, nothing, *more = list(matchroles.warnings(":%All:X,%ALL,Clerk:C"))
    assert everything == "“:%All:X” grants everything to everyone in the application."
    assert nothing == "“%ALL” has no target and grants nothing. “:%ALL” would, to everyone."
    assert not more


# The tabs


@pytest.fixture
def mixed(webapp: WebApp) -> WebApp:
    webapp.match_roles = "Legacy, :%ALL,Clerk:C"
    webapp.save()
    return webapp


def rows(*cells: tuple[str, ...]) -> QueryDict:
    """Return what a browser sends for rows of one or two columns."""
    data = QueryDict(mutable=True)
    for row in [*cells, ("",) * len(cells[0])]:
        for number, value in enumerate(row):
            data.appendlist(f"rows_{number}", value)
    return data


def post(client: Client, address: str, data: QueryDict) -> Any:
    return client.post(address, data.urlencode(), content_type="application/x-www-form-urlencoded")


@pytest.mark.django_db
def test_it_edits_application_roles_on_a_tab(editor: Client, mixed: WebApp) -> None:
    address = reverse("webapps:roles", args=[mixed.pk])
    page = text(editor.get(address))
    assert 'value="%ALL"' in page
    assert "grants everything to everyone" in page
    assert "“Legacy” has no target and grants nothing" in page
    assert "Kept as written, and granting nothing: Legacy" in page
    response = post(editor, address, rows(("Reader",), ("reader",), ("%Operator",)))
    assert "Saved" in said(response)
    row = WebApp.objects.get()
    assert row.match_roles == "Legacy,:Reader:%Operator,Clerk:C"
    assert row.revision == mixed.revision + 1
    page = text(editor.get(address))
    assert "There are no roles Reader, Clerk, C (yet)" in page


@pytest.mark.django_db
def test_it_edits_matching_roles_on_a_tab(editor: Client, mixed: WebApp) -> None:
    Group.objects.create(name="Keeper")
    address = reverse("webapps:matching_roles", args=[mixed.pk])
    page = text(editor.get(address))
    assert 'value="Clerk"' in page
    assert '<option value="Keeper">' in page
    post(editor, address, rows(("Clerk", "C, D"), ("Keeper", "E:F")))
    assert WebApp.objects.get().match_roles == "Legacy, :%ALL,Clerk:C:D,Keeper:E:F"
    detail = text(editor.get(reverse("webapps:detail", args=[mixed.pk])))
    assert "Clerk → C, D" in detail
    assert "grants everything to everyone" in detail


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("tab", "row", "words"),
    [
        ("roles", ("a:b",), "“a:b” is no name of a role"),
        ("roles", ("a,b",), "“a,b” is no name of a role"),
        ("roles", ("x" * 65,), "is no name of a role"),
        ("roles", ("a\x00b",), "is no name of a role"),
        ("matching_roles", ("", "A"), "“A” has no match role"),
        ("matching_roles", ("A", " , "), "“A” grants nothing"),
        ("matching_roles", ("A", "b/c"), "“b/c” is no name of a role"),
    ],
)
def test_it_refuses_in_words_and_keeps_what_was_typed(
    editor: Client, mixed: WebApp, tab: str, row: tuple[str, ...], words: str
) -> None:
    page = text(post(editor, reverse(f"webapps:{tab}", args=[mixed.pk]), rows(row)))
    assert words in page
    assert "Nothing is saved yet" in page
    assert row[-1].strip() in page
    assert WebApp.objects.get().match_roles == mixed.match_roles


@pytest.mark.django_db
def test_it_refuses_more_than_it_can_keep(editor: Client, mixed: WebApp) -> None:
    many = [(f"{number:04}" + "x" * 60,) for number in range(70)]
    assert "more roles than" in text(post(editor, reverse("webapps:roles", args=[mixed.pk]), rows(*many)))


@pytest.mark.django_db
def test_it_leads_from_tab_to_tab(editor: Client, mixed: WebApp) -> None:
    names = ("edit", "roles", "matching_roles")
    addresses = [reverse(f"webapps:{name}", args=[mixed.pk]) for name in names]
    for address in addresses:
        page = text(editor.get(address))
        assert all(f'href="{other}"' in page for other in addresses)
        assert f'href="{address}" aria-current="page"' in page


@pytest.mark.django_db
def test_it_copies_the_roles_with_the_rest(editor: Client, mixed: WebApp) -> None:
    from tests.test_forms import filled

    data = filled(mixed.namespace, name="/csp/copy", directory=mixed.directory)
    post(editor, f"{reverse('webapps:create')}?copy={mixed.pk}", data)
    assert WebApp.objects.get(name="/csp/copy").match_roles == mixed.match_roles
