"""What an application's settings open to it beyond its own directories: by whose word, and what nobody's word opens."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from webapps.runtime.reach import NAMED_BY, PROGRAM, Opening, Reach, Source, is_below
from webapps.runtime.spec import AppSpec, Bounds, Protocol

SETTINGS = (*NAMED_BY, "sqlite", "socket")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A machine: Stoa's home with two applications, roots elsewhere with two more, and what belongs to nobody."""
    for name in (
        "home/csp/one",
        "home/csp/two",
        "apps/three",
        "apps/four/code",
        "apps/shared",
        "srv/data",
        "srv/certs",
    ):
        (tmp_path / name).mkdir(parents=True)
    for name in ("home/secret_key", "home/db.sqlite3", "srv/certs/ca.pem", "apps/shared/ca.pem"):
        (tmp_path / name).touch()
    return tmp_path


def spec(site: Path, directory: str = "home/csp/one", **more: object) -> AppSpec:
    given = {"roots": (str(site / "apps"),), "directory": str(site / directory), **more}
    return AppSpec(1, 1, "/one", "", "USER", Protocol.WSGI, **given)  # type: ignore[arg-type]


def naming(site: Path, setting: str, path: Path | str, *, own: bool, directory: str = "home/csp/one") -> AppSpec:
    """Return an application one of whose variables names a path: its own, or the namespace's."""
    values = {
        "sqlite": ("DATABASE_URL", f"sqlite:///{path}"),
        "socket": ("DATABASE_URL", f"postgresql://u@{quote(str(path), safe='')}/db"),
    }
    name, value = values.get(setting, (setting, str(path)))
    return spec(site, directory, environment={name: value}, own_variables=(name,) if own else ())


def openings(site: Path, of: AppSpec, outside: Mapping[str, str] | None = None) -> list[Opening]:
    names = ("home/csp/one", "home/csp/two", "apps/three", "apps/four/code")
    return Reach(of, site / "home", lambda: {os.path.realpath(site / name) for name in names}, outside or {}).openings()


def opened(site: Path, of: AppSpec) -> list[str]:
    return [path for opening in openings(site, of) for path in opening.paths]


def why_not(site: Path, of: AppSpec) -> str:
    (opening,) = openings(site, of)
    assert opening.paths == ()
    return opening.why_not


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("own", [True, False], ids=["the application's", "the namespace's"])
@pytest.mark.parametrize("target", ["secret_key", "db.sqlite3", "csp/two/app.py", "run/front/nginx.conf", "csp/x"])
def test_nobody_opens_stoas_home(site: Path, setting: str, own: bool, target: str) -> None:
    assert "Stoa’s home" in why_not(site, naming(site, setting, site / "home" / target, own=own))


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("own", [True, False], ids=["the application's", "the namespace's"])
def test_nobody_opens_what_has_the_home_in_it_or_stoas_program(site: Path, setting: str, own: bool) -> None:
    inside = f"{site}/x.db" if setting == "sqlite" else site
    assert "lies below it" in why_not(site, naming(site, setting, inside, own=own))
    assert why_not(site, naming(site, setting, f"{PROGRAM}/portal/settings.py", own=own)) == "it is Stoa’s own program"
    assert openings(site, naming(site, setting, "/x.db" if setting == "sqlite" else "/", own=own))[0].why_not


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_variable_opens_where_another_application_lives(site: Path, setting: str) -> None:
    for target in ("apps/three/key.pem", "apps/four/x.db" if setting == "sqlite" else "apps/four"):
        for own in (True, False):
            refused = naming(site, setting, site / target, own=own)
            assert why_not(site, refused) == "another application lives there", target
            assert "reach: " in openings(site, refused)[0].remedy


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_administrators_variable_opens_and_an_applications_own_does_not(site: Path, setting: str) -> None:
    path = site / "srv/data/x.db" if setting == "sqlite" else site / "srv/certs/ca.pem"
    named = str(path.parent if setting == "sqlite" else path)

    assert opened(site, naming(site, setting, path, own=False)) == [named]
    refused = naming(site, setting, path, own=True)
    assert why_not(site, refused) == f"an application’s own variables open what lies below {site}/apps only"
    assert openings(site, refused)[0].remedy.endswith(f"in the namespace, or name it in its limits: reach: {named}")


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_applications_own_variable_opens_what_an_editor_may_name(site: Path, setting: str) -> None:
    path = site / "apps/shared/ca.pem"
    named = str(path.parent if setting == "sqlite" else path)

    assert opened(site, naming(site, setting, path, own=True)) == [named]
    assert openings(site, naming(site, setting, path, own=True))[0].naming.write is (setting == "sqlite")


def test_a_database_in_its_own_directories_needs_no_word(site: Path) -> None:
    for place in ("csp/one/db.sqlite3", "csp/one/data/db.sqlite3", "namespaces/USER/db.sqlite3"):
        for own in (True, False):
            assert openings(site, naming(site, "sqlite", site / "home" / place, own=own)) == []
    assert "Stoa’s home" in why_not(site, naming(site, "sqlite", site / "home/namespaces/OTHER/x.db", own=False))


def test_what_lies_on_its_python_path_is_read_anyhow_and_not_written(site: Path) -> None:
    named = {"SSL_CERT_FILE": f"{site}/home/csp/lib/ca.pem", "DATABASE_URL": f"sqlite:///{site}/home/csp/lib/x.db"}
    of = spec(site, environment=named, python_path=(str(site / "home/csp/lib"),))
    assert [(found.naming.setting, bool(found.why_not)) for found in openings(site, of)] == [("DATABASE_URL", True)]


def test_a_link_that_the_application_has_made_opens_nothing(site: Path) -> None:
    (site / "home/csp/one/ca.pem").symlink_to(site / "srv/certs/ca.pem")
    (site / "home/csp/one/key").symlink_to(site / "home/secret_key")
    refused = naming(site, "SSL_CERT_FILE", site / "home/csp/one/ca.pem", own=False)

    assert why_not(site, refused) == "a link leads there that the application may have made"
    assert openings(site, refused)[0].remedy == f"Name what it leads to: {site}/srv/certs/ca.pem."
    assert "Stoa’s home" in why_not(site, naming(site, "SSL_CERT_FILE", site / "home/csp/one/key", own=False))


def test_nor_does_one_in_what_it_may_write_besides(site: Path) -> None:
    (site / "srv/data/ca.pem").symlink_to(site / "srv/certs/ca.pem")
    (site / "apps/four/ca.pem").symlink_to(site / "srv/certs/ca.pem")
    in_reach = naming(site, "SSL_CERT_FILE", site / "srv/data/ca.pem", own=False)
    in_reach = dataclasses.replace(in_reach, bounds=Bounds(reach=(str(site / "srv/data"),)))
    in_parent = naming(site, "SSL_CERT_FILE", site / "apps/four/ca.pem", own=False, directory="apps/four/code")

    for refused in (in_reach, in_parent):
        assert [found.why_not for found in openings(site, refused) if found.naming.setting != "reach"] == [
            "a link leads there that the application may have made"
        ]


def test_a_link_of_an_administrator_is_followed_and_kept(site: Path) -> None:
    (site / "srv/current").symlink_to("certs")
    assert opened(site, naming(site, "SSL_CERT_FILE", site / "srv/current/ca.pem", own=False)) == [
        str(site / "srv/current"),
        str(site / "srv/certs/ca.pem"),
    ]


def test_a_link_to_its_own_directory_is_no_way_beyond(site: Path) -> None:
    (site / "apps/current").symlink_to("three")
    ours = naming(site, "SSL_CERT_FILE", site / "apps/current/ca.pem", own=True, directory="apps/current")
    assert openings(site, ours) == []


def test_reach_opens_all_but_stoas_home(site: Path) -> None:
    named = (str(site / "srv/data"), str(site / "apps/three"), str(site / "home/csp/two"), str(site / "home/csp/one/x"))
    found = openings(site, spec(site, bounds=Bounds(reach=named)))

    assert [(opening.paths, bool(opening.why_not)) for opening in found] == [
        ((named[0],), False),
        ((named[1],), False),
        ((), True),
    ]
    assert {opening.naming.source for opening in found} == {Source.LIMITS}


def test_what_the_system_has_is_reached_by_everybody_and_no_opening_to_show(site: Path) -> None:
    for path in ("/etc/ssl/certs/ca-certificates.crt", "/usr/lib"):
        (opening,) = openings(site, naming(site, "SSL_CERT_FILE", path, own=True))
        assert (opening.why_not, opening.widens) == ("", False)


@pytest.mark.parametrize("path", ["/etc/x.db", "/usr/x.db", "/opt/x.db", "/var/x.db", "/sys/x.db", "/dev/x.db"])
def test_no_database_makes_a_directory_of_the_system_writable(site: Path, path: str) -> None:
    assert openings(site, naming(site, "sqlite", path, own=False))[0].why_not == "it belongs to the operating system"


@pytest.mark.parametrize("path", ["/proc/self/environ", "/proc/1/root/etc", "/dev/mem", "/var"])
def test_no_variable_opens_processes_devices_or_much_of_the_system(site: Path, path: str) -> None:
    assert openings(site, naming(site, "SSL_CERT_DIR", path, own=False))[0].why_not


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "postgres://[x/db",
        "sqlite:////%00",
        "sqlite:////a%00b/x.db",
        "postgres://%2F%00/x",
        "",
        "sqlite://",
        "?",
    ],
)
def test_what_is_no_path_names_nothing(site: Path, url: str) -> None:
    of = spec(site, environment={"DATABASE_URL": url, "SSL_CERT_FILE": "\0:relative:"}, own_variables=("DATABASE_URL",))
    assert openings(site, of) == []


def test_links_in_a_circle_lead_nowhere(site: Path) -> None:
    (site / "home/csp/one/round").symlink_to("round")
    assert opened(site, naming(site, "SSL_CERT_FILE", site / "home/csp/one/round", own=True)) == []


def test_what_stoa_was_started_with_is_an_administrators_word(site: Path) -> None:
    found = openings(site, spec(site), dict.fromkeys(NAMED_BY, str(site / "srv/certs/ca.pem")))

    assert {opening.naming.source for opening in found} == {Source.STOA}
    assert [opening.naming.setting for opening in found] == ["SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH"]


def test_where_others_live_is_not_asked_where_nothing_is_named(site: Path) -> None:
    def asked() -> Iterable[str]:
        raise AssertionError("asked")

    of = naming(site, "sqlite", site / "home/csp/one/db.sqlite3", own=True)
    assert Reach(of, site / "home", asked, {}).openings() == []


def test_a_root_itself_is_not_below_it(site: Path) -> None:
    assert not is_below(str(site / "apps"), [str(site / "apps")])
    assert is_below(str(site / "apps/x"), [str(site / "apps")])
