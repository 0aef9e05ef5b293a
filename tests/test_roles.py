"""The pages of roles: what they may do in the portal, what they grant, who holds them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from tests.test_people import person, role
from tests.test_views import said, text
from webapps.models import Change, Resource, WebApp

pytestmark = pytest.mark.django_db

ALL = "%ALL"


def rights(client: Client) -> tuple[bool, bool]:
    """Say whether somebody may see and edit."""
    return client.get("/portal/").status_code == 200, client.get(reverse("webapps:create")).status_code == 200


def test_it_creates_a_role_with_all_that_hangs_on_it(administrator: Client, colleague: Client) -> None:
    ledger, bob = Resource.objects.create(name="Ledger"), User.objects.get(username="bob")
    data = {"name": " Book keepers ", "rights": "see", "resources": [ledger.pk], "members": [bob.pk]}
    before = Change.counters()[1]
    assert "Saved the role Book keepers" in said(administrator.post(reverse("portal:role_create"), data))
    made = role("Book keepers")
    assert list(made.resources.all()) == [ledger]
    assert list(made.user_set.all()) == [bob]
    assert rights(colleague) == (True, False)
    assert Change.counters()[1] > before


def test_it_gives_and_takes_rights(administrator: Client, colleague: Client) -> None:
    clerk, bob = Group.objects.create(name="Clerk"), User.objects.get(username="bob")
    address = reverse("portal:role", args=[clerk.pk])
    for given, expected in (("edit", (True, True)), ("see", (True, False)), ("", (False, False))):
        administrator.post(address, {"name": "Clerk", "rights": given, "members": [bob.pk]})
        assert rights(colleague) == expected
        checked = text(administrator.get(address)).split(f'value="{given}"')[1].split(">")[0]
        assert "checked" in checked
    administrator.post(address, {"name": "Clerk", "rights": "edit"})
    assert rights(colleague) == (False, False)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("%all", "There is a role %all already"),
        ("CLERK", "There is a role CLERK already"),
        ("a:b", "A role’s name has"),
        ("a,b", "A role’s name has"),
        ("x" * 65, "A role’s name has"),
        ("%", "A role’s name has"),
        ("", "required"),
    ],
)
def test_it_refuses_a_name_in_words(administrator: Client, name: str, words: str) -> None:
    Group.objects.create(name="Clerk")
    count = Group.objects.count()
    assert words in text(administrator.post(reverse("portal:role_create"), {"name": name}))
    assert Group.objects.count() == count


def test_it_keeps_all_as_it_is(administrator: Client) -> None:
    ada, pat, every = User.objects.get(username="ada"), person(), role(ALL)
    address = reverse("portal:role", args=[every.pk])
    page = text(administrator.get(address))
    assert "Its members administer Stoa" in page
    assert "In the portal it may" not in page
    administrator.post(address, {"name": "Other", "members": [ada.pk, pat.pk]})
    assert role(ALL) == every
    assert User.objects.get(username="pat").is_superuser
    assert "This is you" in text(administrator.post(address, {"members": [pat.pk]}))
    administrator.post(address, {"members": [ada.pk]})
    assert not User.objects.get(username="pat").is_superuser
    assert "the last active administrator" in text(administrator.post(address, {"members": []}))
    delete = reverse("portal:role_delete", args=[every.pk])
    assert "cannot be deleted" in text(administrator.get(delete))
    assert "stays" in said(administrator.post(delete))
    assert role(ALL) == every


def test_it_renames_a_role_in_the_applications(administrator: Client, webapp: WebApp) -> None:
    clerk = Group.objects.create(name="Clerk")
    webapp.match_roles = "clerk:A:Clerk, Clerks:B,:x"
    webapp.save()
    page = text(administrator.get(reverse("portal:role", args=[clerk.pk])))
    assert "/csp/notes" in page
    administrator.post(reverse("portal:role", args=[clerk.pk]), {"name": "Keeper", "rights": ""})
    assert WebApp.objects.get().match_roles == "Keeper:A:Keeper, Clerks:B,:x"


def test_it_asks_before_it_deletes(administrator: Client, webapp: WebApp) -> None:
    clerk = Group.objects.create(name="Clerk")
    clerk.user_set.add(person())
    webapp.match_roles = "CLERK:A"
    webapp.save()
    address = reverse("portal:role_delete", args=[clerk.pk])
    page = text(administrator.get(address))
    assert "1 user holds it" in page
    assert "/csp/notes" in page
    administrator.post(address)
    assert not Group.objects.filter(name="Clerk").exists()


def test_it_lists_many_roles_with_few_queries(administrator: Client, django_assert_max_num_queries: Any) -> None:
    Group.objects.bulk_create([Group(name=f"Role {number}") for number in range(50)])
    with django_assert_max_num_queries(8):
        page = text(administrator.get(reverse("portal:roles")))
    assert "Role 49" in page
    assert "Administer everything" in page
    assert "See and edit" in page
