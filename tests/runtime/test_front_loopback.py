"""Two names of this machine: pages are shown at the one that they belong to, scripts are answered by either."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.patience import within
from tests.runtime.front_site import Site, wsgi
from tests.runtime.test_front_config import SETTINGS
from webapps.runtime.front_config import render
from webapps.runtime.front_loopback import has_two_names, maps
from webapps.runtime.nginx import find_nginx

APPS, PORTAL = "http://127.0.0.1:8000", "http://localhost:8080"
PAGE = {"Sec-Fetch-Mode": "navigate"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"), find_nginx(), apps_url=APPS, portal_url=PORTAL)
    try:
        made.backend(1, "one")
        made.portal()
        made.serve(wsgi(1, "/one"))
        yield made
    finally:
        made.stop()


def led_to(port: int, host: str, path: str, headers: dict[str, str], method: str = "GET") -> str:
    """Return where a request is sent, "" where it is answered."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=within(10))) as connection:
        connection.request(method, path, headers={"Host": host, **headers})
        answer = connection.getresponse()
        answer.read()
        return answer.headers.get("Location", "")


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "[::1]:8080"])
@pytest.mark.parametrize("headers", [PAGE, {"Upgrade-Insecure-Requests": "1"}])
def test_a_page_of_the_portal_is_opened_at_the_portals_name(site: Site, host: str, headers: dict[str, str]) -> None:
    assert led_to(site.portal_port, host, "/portal/a?b=%20", headers) == "http://localhost:8080/portal/a?b=%20"


def test_the_port_is_the_one_by_which_it_was_asked_for(site: Site) -> None:
    assert led_to(site.portal_port, "127.0.0.1:9", "/portal/", PAGE) == "http://localhost:9/portal/"
    assert led_to(site.portal_port, "127.0.0.1", "/portal/", PAGE) == "http://localhost/portal/"


def test_a_page_of_an_application_is_opened_at_the_applications_name(site: Site) -> None:
    assert led_to(site.port, "LOCALHOST:8000", "/one/a?b", PAGE) == "http://127.0.0.1:8000/one/a?b"
    assert led_to(site.port, "127.0.0.1:8000", "/one/", PAGE) == ""
    assert led_to(site.port, "[::1]:8000", "/one/", PAGE) == ""


@pytest.mark.parametrize(
    ("method", "headers"),
    [("GET", {}), ("POST", PAGE), ("GET", {"Sec-Fetch-Mode": "cors", "Upgrade-Insecure-Requests": "1"})],
)
def test_whatever_opens_no_page_is_answered_by_either_name(site: Site, method: str, headers: dict[str, str]) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert led_to(site.port, host, "/one/", headers, method) == ""
        assert led_to(site.portal_port, host, "/portal/", headers, method) == ""


def test_what_lies_at_the_other_is_found_by_its_name(site: Site) -> None:
    assert led_to(site.port, "127.0.0.1:8000", "/portal/", {}) == "http://localhost:8080/portal/"
    assert led_to(site.portal_port, "localhost:8080", "/one/", {}) == "http://127.0.0.1:8000/one/"


@pytest.mark.parametrize(
    ("apps", "portal"),
    [("", ""), ("http://127.0.0.1:8000", "http://127.0.0.1:8080"), ("https://a.example", "https://b.example")],
)
def test_other_names_are_left_as_they_are(apps: str, portal: str) -> None:
    assert not has_two_names(apps, portal)
    assert list(maps(apps, portal)) == []
    assert "stoa_opens" not in render(replace(SETTINGS, apps_url=apps, portal_url=portal), []).text


def test_both_families_are_listened_at(tmp_path: Path) -> None:
    text = render(replace(SETTINGS, twins=("apps6", "portal6"), run_dir=tmp_path), []).text

    for address in ("127.0.0.1:8000", "[::1]:8000", "127.0.0.1:8080", "[::1]:8080"):
        assert f"listen {address} default_server" in text
