"""What an installer may reach."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from webapps.runtime import installer, walls
from webapps.runtime.confines import Confines
from webapps.runtime.installer import Reach
from webapps.runtime.owners import Owners
from webapps.runtime.spec import AppSpec, Bounds, Protocol


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("csp/own", "csp/other", "namespaces/USER"):
        (tmp_path / "home" / name).mkdir(parents=True)
    (tmp_path / "home" / "secret_key").write_text("secret")
    return tmp_path / "home"


def spec(home: Path, number: int, name: str) -> AppSpec:
    return AppSpec(number, 1, f"/{name}", "", "USER", Protocol.WSGI, directory=str(home / "csp" / name))


def confinement(home: Path, directories: Iterable[Path], bounds: Bounds | None = None) -> walls.Confinement:
    around = Confines(home, Owners(""), lambda: [spec(home, 1, "own"), spec(home, 2, "other")])
    around.machine.known[os.geteuid()] = walls.Means(mounts=True, landlock=6, kernel=(6, 18), uid=1000)
    return installer.confinement(around, None, Reach(tuple(map(str, directories)), bounds or Bounds()))


def test_it_writes_into_the_applications_directory_alone(home: Path) -> None:
    found = confinement(home, [home / "csp" / "own"])

    assert found.write == (str(home / "csp" / "own"),)
    assert not [path for path in found.read if path.startswith(str(home))]


@pytest.mark.parametrize("target", ["secret_key", ".", "csp", "csp/other", "namespaces/USER", "run"])
def test_a_link_in_the_place_of_the_directory_leads_to_nothing(home: Path, target: str) -> None:
    (home / "csp" / "own").rmdir()
    (home / "csp" / "own").symlink_to(home / target)

    assert confinement(home, [home / "csp" / "own"]).write == ()


def test_a_home_behind_a_link_is_the_home(home: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(home)

    assert str(home / "csp" / "own") in confinement(home, [tmp_path / "link" / "csp" / "own"]).write


def test_what_an_administrator_names_is_read_but_nothing_of_stoas(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", f"{tmp_path / 'wheels'},https://example.org/wheels")
    monkeypatch.setenv("SSL_CERT_FILE", str(home / "secret_key"))

    found = confinement(home, [], Bounds(reach=(str(tmp_path / "reach"), str(home))))

    assert {str(tmp_path / "wheels"), str(tmp_path / "reach")} <= {*found.read}
    assert not [path for path in found.read if path.startswith(str(home))]


def test_a_namespaces_limits_are_its_installers_too(home: Path) -> None:
    found = confinement(home, [], Bounds(memory=1 << 30, processes=60, open_files=200, nice=5))

    assert (found.memory, found.processes, found.open_files, found.nice) == (1 << 30, 60, 200, 5)
    assert confinement(home, [], Bounds(memory=1)).memory == installer.LEAST_MEMORY
    assert 0 < confinement(home, []).memory <= installer.MEMORY


def test_indexes_proxies_and_certificates_are_passed_on_and_nothing_of_stoas() -> None:
    given = ("UV_INDEX_URL", "PIP_INDEX_URL", "https_proxy", "NO_PROXY", "SSL_CERT_FILE", "LANG", "PATH")
    kept_back = ("STOA_SECRET_KEY", "DATABASE_URL", "STOA_ADMIN_PASSWORD", "UV_PUBLISH_TOKEN", "HOSTED_AS", "AWS_X")

    assert {*installer.passed(dict.fromkeys((*given, *kept_back), "x"))} == {*given}
