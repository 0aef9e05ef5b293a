"""A namespace's limits as a person types them, as they are stored, and as the runtime gets them."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from webapps.forms.limits import LimitsField
from webapps.models import WebApp
from webapps.runtime.spec import AppSpec
from webapps.specs import read_specs

TYPED = (
    "memory: 512 MB\nmemory of all: 2048 MB\ntemporary directory: 64 MB\nopen files: 1000\nprocesses: 100\nnice: 5\n"
    "reach: /srv/data\nports: 9000-9010\nports: 0"
)
STORED = {
    "memory": 512 << 20,
    "memory_all": 2048 << 20,
    "temporary": 64 << 20,
    "open_files": 1000,
    "processes": 100,
    "nice": 5,
    "reach": ["/srv/data"],
    "ports": [[9000, 9010], [0, 0]],
}


def test_it_stores_what_is_typed_and_shows_what_is_stored() -> None:
    field = LimitsField(required=False)

    assert field.clean(TYPED) == STORED
    assert field.prepare_value(STORED) == TYPED
    assert field.clean("") == {}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("speed: 5", "begins with one of"),
        ("memory: much", "a number from 64"),
        ("memory: 1 MB", "a number from 64"),
        ("memory of all: 1 GB", "a number from 64"),
        ("nice: 20", "from 0 to 19"),
        ("nice: 1\nnice: 2", "twice"),
        ("reach: srv", "whole path"),
        ("reach: /etc", "operating system"),
        ("ports: many", "a port or a range"),
        ("ports: 9010-9000", "a port or a range"),
        ("ports: 65536", "a port or a range"),
        ("ports: 7999-8001", "8000 is Stoa’s own"),
        ("ports: 8080", "8080 is Stoa’s own"),
        ("ports: 9000-9999\nports: 0", "1000 ports"),
    ],
)
def test_it_says_what_it_does_not_understand(line: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LimitsField(required=False).clean(line)


def test_it_takes_no_directory_of_stoas_home(stoa_home: Path) -> None:
    with pytest.raises(ValidationError, match="lies in Stoa’s home"):
        LimitsField(required=False).clean(f"reach: {stoa_home}/csp/shared")


@pytest.mark.django_db
def test_they_reach_the_runtime(webapp: WebApp) -> None:
    webapp.namespace.limits = STORED
    webapp.namespace.save()
    spec = read_specs()[0]
    bounds = spec.bounds

    assert (bounds.memory, bounds.processes, bounds.reach) == (512 << 20, 100, ("/srv/data",))
    assert bounds.memory_all == 2048 << 20
    assert bounds.ports == ((9000, 9010), (0, 0))
    assert AppSpec.from_dict(spec.to_dict()) == spec
