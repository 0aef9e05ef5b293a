"""The rows as the runtime is told of them: read whole once, then what has changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from webapps.models import Namespace, Options, WebApp
from webapps.runtime.spec import AppSpec
from webapps.specs import SpecReader, read_specs

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(webapp: WebApp) -> WebApp:
    return WebApp.objects.create(
        name="/other", namespace=webapp.namespace, app_name="app", directory=webapp.directory, authe_enabled=64
    )


def test_it_builds_only_what_has_changed(webapp: WebApp, other: WebApp) -> None:
    reader = SpecReader()
    first, second = reader.read()
    webapp.app_name = "another"
    webapp.save()
    changed, same = reader.read()
    assert same is second
    assert (changed.module, changed.revision) == ("another", first.revision + 1)


def test_a_namespace_that_is_saved_is_read_again_in_all_its_applications(
    webapp: WebApp, other: WebApp, namespace: Namespace
) -> None:
    reader = SpecReader()
    reader.read()
    namespace.environment = {"A": {"value": "1", "secret": False}}
    namespace.save()
    assert [spec.environment["A"] for spec in reader.read()] == ["1", "1"]


def test_it_says_whose_the_variables_are_and_how_far_an_editor_goes(webapp: WebApp, namespace: Namespace) -> None:
    namespace.environment = {"A": {"value": "1", "secret": False}, "B": {"value": "1", "secret": False}}
    namespace.roots = ["/srv/apps"]
    namespace.save()
    webapp.environment = {"B": {"value": "2", "secret": True}}
    webapp.save()
    (spec,) = read_specs()

    assert (spec.environment["A"], spec.environment["B"]) == ("1", "2")
    assert (spec.own_variables, spec.roots) == (("B",), ("/srv/apps",))
    assert AppSpec.from_dict(spec.to_dict()) == spec
    earlier = {name: value for name, value in spec.to_dict().items() if name not in ("own_variables", "roots")}
    assert AppSpec.from_dict(earlier).own_variables == ()


def test_what_the_system_allows_is_read_again(webapp: WebApp) -> None:
    reader = SpecReader()
    opened = reader.read()[0].open
    options = Options.current()
    options.allow_unauthenticated = False
    options.save()
    assert (opened, reader.read()[0].open) == (True, False)


def test_one_that_is_gone_is_left_out_and_comes_back(webapp: WebApp, other: WebApp) -> None:
    reader = SpecReader()
    reader.read()
    other.enabled = False
    other.save()
    assert [spec.id for spec in reader.read()] == [webapp.pk]
    other.enabled = True
    other.save()
    assert [spec.id for spec in reader.read()] == [webapp.pk, other.pk]
    webapp.delete()
    assert reader.read() == read_specs()


def test_the_reading_of_what_has_not_changed_asks_three_times(
    webapp: WebApp, other: WebApp, django_assert_max_num_queries: Any
) -> None:
    reader = SpecReader()
    reader.read()
    with django_assert_max_num_queries(3):
        reader.read()


def test_a_row_that_cannot_be_a_spec_stays_as_it_was_and_keeps_no_other(webapp: WebApp, other: WebApp) -> None:
    reader, caught = SpecReader(), list[str]()

    @contextmanager
    def catching(doing: str) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            caught.append(f"{doing}: {error}")

    before, _other = reader.read(catching)
    WebApp.objects.filter(pk=webapp.pk).update(serve_files=9, revision=7)
    other.app_name = "another"
    other.save()
    same, changed = reader.read(catching)

    assert same is before
    assert changed.module == "another"
    assert caught == [f"reading the row of {webapp.label}: 9 is not a valid ServeFiles"]
    with pytest.raises(ValueError, match="9"):
        read_specs()
    assert [spec.id for spec in SpecReader().read(catching)] == [other.pk]
