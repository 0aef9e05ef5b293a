"""The pages of resources: who holds them, which applications require them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from tests.test_people import role
from tests.test_views import said, text
from webapps.models import Change, Namespace, Resource, WebApp

pytestmark = pytest.mark.django_db


def require(webapp: WebApp, name: str) -> None:
    WebApp.objects.filter(pk=webapp.pk).update(resource=name)


def test_it_creates_a_resource(administrator: Client) -> None:
    assert "No resources yet" in text(administrator.get(reverse("portal:resources")))
    data = {"name": "Ledger", "description": "The books", "roles": [role("%Operator").pk]}
    administrator.post(reverse("portal:resource_create"), data)
    ledger = Resource.objects.get()
    assert (ledger.name, ledger.description, ledger.roles.get().name) == ("Ledger", "The books", "%Operator")
    assert "There is a resource LEDGER already" in text(
        administrator.post(reverse("portal:resource_create"), {"name": "LEDGER"})
    )


def test_it_renames_a_resource_in_the_applications_without_a_new_start(administrator: Client, webapp: WebApp) -> None:
    ledger = Resource.objects.create(name="Ledger")
    require(webapp, "LEDGER")
    before = Change.counters()
    administrator.post(reverse("portal:resource", args=[ledger.pk]), {"name": "Journal"})
    row = WebApp.objects.get()
    assert (row.resource, row.revision) == ("Journal", webapp.revision)
    assert Change.counters()[0] > before[0]
    assert Change.counters()[1] > before[1]


def test_it_says_that_only_administrators_may_enter(administrator: Client, webapp: WebApp) -> None:
    require(webapp, "Nothing")
    page = text(administrator.get(reverse("portal:resources")))
    assert "There is no resource Nothing" in page
    assert "?name=Nothing" in page
    assert 'value="Nothing"' in text(administrator.get(reverse("portal:resource_create"), {"name": "Nothing"}))
    Resource.objects.create(name="nothing")
    page = text(administrator.get(reverse("portal:resources")))
    assert "There is no resource" not in page
    assert "only %ALL may enter" in page
    detail = reverse("webapps:detail", args=[webapp.pk])
    assert "No role holds the resource nothing: only %ALL may enter" in text(administrator.get(detail))


def test_it_asks_with_the_applications_before_it_deletes(administrator: Client, webapp: WebApp) -> None:
    ledger = Resource.objects.create(name="Ledger")
    address = reverse("portal:resource_delete", args=[ledger.pk])
    assert "No application requires it" in text(administrator.get(address))
    require(webapp, "ledger")
    page = text(administrator.get(address))
    assert "/csp/notes" in page
    assert "Only %ALL may enter" in page
    response = administrator.post(address)
    assert "For %ALL only, because they require it: /csp/notes" in said(response)
    assert not Resource.objects.exists()
    assert WebApp.objects.get().resource == "ledger"


def test_it_lists_many_resources_with_few_queries(
    administrator: Client, namespace: Namespace, django_assert_max_num_queries: Any
) -> None:
    rows = Resource.objects.bulk_create([Resource(name=f"R{number:02}") for number in range(40)])
    Group.objects.create(name="Clerk").resources.set(rows)
    WebApp.objects.bulk_create(
        [WebApp(name=f"/a/{number}", namespace=namespace, resource=f"r{number % 40:02}") for number in range(80)]
    )
    with django_assert_max_num_queries(8):
        page = text(administrator.get(reverse("portal:resources")))
    assert "R39" in page
    assert "/a/79" in page
