"""A namespace's limits as a person types them, as they are stored, and as the runtime gets them."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from webapps.forms.limits import LimitsField
from webapps.forms.namespace import NamespaceForm
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
        ("memory of all: 1 TB", "a number from 64 to 16777216 MB"),
        ("memory: 20000 GB", "a number from 64 to 16777216 MB"),
        ("open files: 1 GB", "a number from 64"),
        ("memory 512", "colon is missing. Write it behind “memory”"),
        ("Memory of all 512 MB", "colon is missing. Write it behind “memory of all”"),
        ("memory", "colon is missing"),
        ("memoryless", "begins with one of"),
        ("reach /srv/data", "colon is missing. Write it behind “reach”"),
        ("nice: 20", "from 0 to 19"),
        ("nice: 1\nnice: 2", "twice"),
        ("reach: srv", "“reach: srv”: Give the whole path"),
        ("reach: /etc", "“reach: /etc”: /etc belongs to the operating system. Give a directory elsewhere"),
        ("reach: /", "“reach: /”: This is the root of the file system, which has everything in it. Give"),
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


def test_it_says_all_that_it_does_not_understand_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        LimitsField(required=False).clean("memory 512\nnice: 5\nnice: 6\nreach: srv\nspeed: 5")

    assert [message.partition("”")[0][1:] for message in caught.value.messages] == [
        "memory 512", "nice: 6", "reach: srv", "speed: 5",
    ]  # fmt: skip


def test_it_understands_gigabytes() -> None:
    assert LimitsField(required=False).clean("memory: 2 GB\nmemory of all: 4gb") == {
        "memory": 2 << 30,
        "memory_all": 4 << 30,
    }


@pytest.mark.parametrize("below", ["", "/csp/shared", "/keys"])
def test_it_takes_no_directory_of_stoas_home(stoa_home: Path, below: str) -> None:
    with pytest.raises(ValidationError, match="lies in Stoa’s home"):
        LimitsField(required=False).clean(f"reach: {stoa_home}{below}")


@pytest.mark.django_db
def test_there_is_a_row_for_each_line_and_one_more(webapp: WebApp) -> None:
    webapp.namespace.limits = STORED

    assert NamespaceForm(instance=webapp.namespace).fields["limits"].widget.attrs["rows"] == 10
    assert NamespaceForm({"limits": "nice: 5\n" * 20}).fields["limits"].widget.attrs["rows"] == 21
    assert NamespaceForm().fields["limits"].widget.attrs["rows"] == 3


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
