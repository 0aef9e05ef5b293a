"""Where an application's files are, and the links among them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from webapps.runtime import fileplaces
from webapps.runtime.areas import Areas
from webapps.runtime.fileplaces import FilePlaces
from webapps.runtime.spec import AppSpec, Files, Protocol, ServeFiles


@pytest.fixture
def spec(tmp_path: Path) -> AppSpec:
    """An application with some files."""
    (tmp_path / "app" / "static" / "releases" / "5").mkdir(parents=True)
    files = Files(ServeFiles.ALWAYS, str(tmp_path / "app" / "static"))
    return AppSpec(1, 1, "/a", "", "USER", Protocol.WSGI, directory=str(tmp_path / "app"), files=files)


@pytest.fixture
def places(spec: AppSpec) -> FilePlaces:
    """Looks each time."""
    return FilePlaces("/nowhere/home", lambda: Areas([spec.directory]))


def links(places: FilePlaces, spec: AppSpec) -> dict[str, str]:
    return dict(places.of(replace(spec)).links)


def test_links_among_the_files_are_found(places: FilePlaces, spec: AppSpec) -> None:
    static = Path(spec.files.path)
    (static / "current").symlink_to("releases/5")
    (static / "newest").symlink_to(static / "current")
    (static / "releases" / "5" / "a.txt").write_text("a")
    (static / "releases" / "b.txt").symlink_to("5/a.txt")

    assert links(places, spec) == {
        "current": "releases/5",
        "newest": "releases/5",
        "releases/b.txt": "releases/5/a.txt",
    }


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("out", "../app.py"), ("up", ".."), ("self", "."), ("abroad", "/etc"), ("round", "round"), (".dot", "releases"),
        ("x.py", "releases"), ("hidden", "releases/.env"), ("asks", "what?"), ("there", "back/../.."),
    ],
)  # fmt: skip
def test_those_that_leave_or_hide_are_not(places: FilePlaces, spec: AppSpec, name: str, target: str) -> None:
    (Path(spec.files.path) / name).symlink_to(target)
    (Path(spec.files.path) / "back").symlink_to("releases")

    assert links(places, spec) == {"back": "releases"}


def test_what_lies_behind_a_link_is_not_searched(places: FilePlaces, spec: AppSpec, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").symlink_to("y")
    (Path(spec.files.path) / "out").symlink_to(tmp_path / "elsewhere")

    assert links(places, spec) == {}


def test_a_link_that_is_turned_is_noticed_without_a_search(
    places: FilePlaces, spec: AppSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    static = Path(spec.files.path)
    (static / "releases" / "6").mkdir()
    (static / "current").symlink_to("releases/5")
    first = places.of(spec)
    (static / "current").unlink()
    (static / "current").symlink_to("releases/6")
    assert places.of(spec) is first

    monkeypatch.setattr(fileplaces, "_found", lambda _directory: pytest.fail("searched"))
    places.known[spec.id] = (spec, 0.0, first)

    assert places.of(spec).links == (("current", "releases/6"),)


@pytest.mark.parametrize("name", [".", "run", "run/front", "..", "namespaces/USER"])
def test_nothing_of_stoas_own_is_served(spec: AppSpec, tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "home" / name)
    places = FilePlaces(str(tmp_path / "home"), lambda: Areas([spec.directory]))

    place = places.of(replace(spec, files=replace(spec.files, path=str(tmp_path / "link"))))

    assert place.root == ""
    assert "Stoa’s own" in place.refused


def test_there_is_an_end_to_searching(places: FilePlaces, spec: AppSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fileplaces, "MOST_ENTRIES", 20)
    monkeypatch.setattr(fileplaces, "MOST_LINKS", 3)
    for number in range(10):
        (Path(spec.files.path) / f"{number}").symlink_to("releases")
    assert len(links(places, spec)) == 3

    for number in range(100):
        (Path(spec.files.path) / "releases" / f"n{number}").symlink_to("5")
    assert len(list(fileplaces._found(spec.files.path))) <= 20
