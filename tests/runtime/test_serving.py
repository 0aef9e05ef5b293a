"""What a start is told: the two origins, and what is to be warned of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from webapps.runtime.serving import Serving

HERE = Serving("", "", "", ("127.0.0.1", 8000), ("127.0.0.1", 8080))


def test_the_origins_are_the_public_ones_where_somebody_has_named_them() -> None:
    assert HERE.origins == ("http://127.0.0.1:8000", "http://127.0.0.1:8080")
    named = replace(HERE, apps_url="https://apps.example", portal_url="https://portal.example")
    assert named.origins == ("https://apps.example", "https://portal.example")


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"apps_address": ("0.0.0.0", 80), "portal_address": ("0.0.0.0", 8080)},  # noqa: S104
        {"apps_url": "http://here.example", "portal_url": "http://here.example:8080"},
        {"portal_url": "http://127.0.0.1"},
    ],
)
def test_one_host_name_for_both_is_warned_of_with_the_two_ways_out(told: dict[str, object]) -> None:
    words = replace(HERE, **told).warning  # type: ignore[arg-type]

    assert "have one host name" in words
    assert "STOA_PORTAL_URL" in words and "HTTPS" in words
    assert "\n" not in words


@pytest.mark.parametrize(
    "told",
    [
        {"portal_url": "http://localhost:8080"},
        {"apps_url": "https://here.example", "portal_url": "https://here.example:8080"},
        {"tls_cert": "/c.pem", "tls_key": "/k.pem"},
        {"portal_address": ("::1", 8080)},
    ],
)
def test_two_names_and_https_are_not(told: dict[str, object]) -> None:
    assert replace(HERE, **told).warning == ""  # type: ignore[arg-type]


def test_what_an_earlier_stoa_wrote_is_read(tmp_path: Path) -> None:
    here = replace(HERE, home=str(tmp_path), twins=("apps6",))
    here.run_dir.mkdir()
    path = here.write()
    assert Serving.read(here.run_dir) == here

    path.write_text(path.read_text().replace(', "twins": ["apps6"]', ""))
    assert Serving.read(here.run_dir) == replace(here, twins=())
