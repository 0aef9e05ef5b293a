"""What a namespace's environment is made of: what its applications asked for that are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runtime.supervisor_site import QuietKeeper, Site
from webapps.runtime.environments import Environment, InstallFailed, file_name
from webapps.runtime.sandboxes import Sandbox


class Recorded(Environment):
    """An environment that is made of nothing, and remembers of which files."""

    made: list[str]
    broken = ""

    def _make(self, target: Path, files: list[Path], *_rest: object) -> None:
        self.made = sorted(path.name for path in files)
        if self.broken:
            raise OSError(self.broken)
        target.mkdir()


@pytest.fixture
def environment(tmp_path: Path) -> Recorded:
    found = Recorded(tmp_path / "namespaces" / "USER")
    kept = found.directory / "requirements"
    kept.mkdir(parents=True)
    for name in ("gone.txt", "off.txt", "new.txt"):
        (kept / name).write_text("flask\n")
    (tmp_path / "requirements.txt").write_text("django\n")
    return found


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path, monkeypatch)
    yield made
    made.close()


def kept(environment: Environment) -> list[str]:
    return sorted(path.name for path in (environment.directory / "requirements").iterdir())


def build(environment: Environment, wanted: Path | None, live: list[str] | None) -> str:
    said: list[str] = []
    environment.notes.mkdir(exist_ok=True)
    environment.build("/new", wanted, said.append, Sandbox(), live)
    return "\n".join(said)


def test_the_requirements_of_an_application_that_is_gone_are_left_out_and_removed(
    environment: Recorded, tmp_path: Path
) -> None:
    said = build(environment, tmp_path / "requirements.txt", ["off.txt"])

    assert environment.made == kept(environment) == ["new.txt", "off.txt"]
    assert "Left out: gone.txt" in said and "off.txt" not in said


def test_they_stay_where_the_new_environment_could_not_be_made(environment: Recorded, tmp_path: Path) -> None:
    environment.broken = "no room"
    with pytest.raises(InstallFailed):
        build(environment, tmp_path / "requirements.txt", ["off.txt"])

    assert kept(environment) == ["gone.txt", "new.txt", "off.txt"]


def test_what_went_wrong_is_one_sentence(environment: Recorded) -> None:
    environment.broken = "no solution: unsatisfiable."
    environment.install("/new", None, Sandbox())
    end = environment.installation()

    assert end and end.message == "no solution: unsatisfiable. Nothing has changed."


def test_all_are_kept_where_nobody_says_who_is_there(environment: Recorded) -> None:
    build(environment, None, None)

    assert environment.made == kept(environment) == ["gone.txt", "new.txt", "off.txt"]


def test_nothing_is_removed_through_a_link(environment: Recorded, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (environment.directory / "requirements").rename(elsewhere)
    (environment.directory / "requirements").symlink_to(elsewhere)
    build(environment, None, [])

    assert sorted(path.name for path in elsewhere.iterdir()) == ["gone.txt", "new.txt", "off.txt"]


def test_the_installer_is_told_whose_requirements_are_kept(site: Site) -> None:
    directory = site.home / "namespaces" / "GOOD"
    (directory / "requirements").mkdir()
    for name in ("gone.txt", "off.txt"):
        (directory / "requirements" / name).touch()
    wanted = site.home / "csp" / "good" / "requirements.txt"
    wanted.touch()
    keeper = site.supervisor.keeper
    assert isinstance(keeper, QuietKeeper)
    request = {"do": "install", "namespace": "GOOD", "label": "/good", "requirements": str(wanted)}

    assert site.supervisor._answered({**request, "labels": ["/good", "/off"]}) == {"ok": True}
    assert keeper.requests[-1]["argv"][-4:] == [str(directory), "/good", str(wanted), "off.txt"]


def test_an_application_that_is_renamed_keeps_what_it_asked_for(site: Site) -> None:
    site.tick()
    kept_by = site.home / "namespaces" / "GOOD" / "requirements"
    kept_by.mkdir()
    (kept_by / file_name("/good")).write_text("flask\n")
    site.specs = [replace(spec, name="/better") if spec.name == "/good" else spec for spec in site.specs]
    site.supervisor.counter = None
    site.tick()

    assert [path.name for path in kept_by.iterdir()] == [file_name("/better")]
