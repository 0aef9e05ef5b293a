"""Directories with anything in them, at names that Stoa looks for: nothing that it reads raises, waits, ends the tick.

What is there follows from a number, so that a failure can be had again: it is in the test's name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests import hostile
from tests.patience import within
from tests.runtime.supervisor_site import Site
from webapps import directories
from webapps.runtime import hostedfiles, loader, removal
from webapps.runtime.environments import Environment
from webapps.runtime.sandboxes import Sandbox

SEEDS = range(16)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    found = Site(tmp_path, monkeypatch)
    yield found
    found.close()
    for place in ("csp", "namespaces"):  # pytest's own way of removing them calls itself for each level.
        removal.remove(tmp_path / place)


def read_all(site: Site) -> None:
    """Read what the portal's pages and the commands do of an application and its namespace."""
    directory, namespace = str(site.home / "csp" / "bad"), site.home / "namespaces" / "BAD"
    environment = Environment(namespace)
    environment.python()
    environment.tidy(set())
    note = environment.installation()
    shown = [note.message, note.state, note.label] if note else []
    roots = directories.installed_roots("", str(namespace))
    shown += roots
    for name in ("app", "x.wsgi", "site-packages.x", "a/b.wsgi", "requirements"):
        shown.append(directories.without_module(directory, [directory, *roots], name, "application"))
    shown.append(directories.problem(directory))
    for path, below in ((f"{directory}/requirements.txt", directory), (f"{namespace}/install/log", str(namespace))):
        shown.append(hostedfiles.problem(path, below))
        try:
            shown += [hostedfiles.tail(path, below), hostedfiles.text(path, below)]
        except OSError as error:
            shown.append(str(error))
    "".join(shown).encode()


@pytest.mark.parametrize("seed", SEEDS)
def test_anything_in_an_applications_and_a_namespaces_directory(site: Site, seed: int) -> None:
    random = Random(seed)
    if seed % 2:
        site.tick()
    for place in (site.home / "csp" / "bad", site.home / "namespaces" / "BAD"):
        shutil.rmtree(place)
        place.mkdir()
        hostile.fill(random, place)
    began = time.monotonic()
    read_all(site)
    site.tick(4)
    assert time.monotonic() - began < within(20)
    assert site.runs("good")
    str(site.supervisor.status()).encode()


@pytest.mark.parametrize(
    "name",
    [
        "csp/bad", "csp/bad/app.py", "csp/bad/x.wsgi", "csp/bad/requirements.txt", "csp/bad/deep", "namespaces/BAD",
        "namespaces/BAD/env", "namespaces/BAD/envs", "namespaces/BAD/envs/foo", "namespaces/BAD/envs/1",
        "namespaces/BAD/envs/²", "namespaces/BAD/envs/2", "namespaces/BAD/envs/2/bin/python", "namespaces/BAD/install",
        "namespaces/BAD/install/json", "namespaces/BAD/install/log", "namespaces/BAD/install/running",
        "namespaces/BAD/requirements", "namespaces/BAD/home",
    ],
)  # fmt: skip
def test_anything_at_each_place_that_is_looked_at(site: Site, name: str) -> None:
    path = site.home / name
    path.parent.mkdir(exist_ok=True)
    site.tick()
    for thing in hostile.FILES:
        with contextlib.suppress(FileNotFoundError):
            removal.remove(path)
        thing(path)
        read_all(site)
        site.tick(1)
        assert site.runs("good"), thing
        str(site.supervisor.status()).encode()


def test_an_installation_goes_on_or_fails_with_a_reason_whatever_is_there(tmp_path: Path) -> None:
    for number, thing in enumerate(hostile.FILES):
        for name in ("log", "lock", "running", "json", ".fresh", "../requirements", "../requirements/a.txt", "../envs"):
            environment = Environment(tmp_path / f"{number}-{name.replace('/', '_')}")
            path = Path(os.path.normpath(environment.notes / name))
            environment.notes.mkdir(parents=True)
            path.parent.mkdir(exist_ok=True)
            thing(path)
            environment._make = lambda target, *_rest: target.mkdir()  # type: ignore[method-assign]
            with contextlib.suppress(OSError):  # That is how it says that it cannot write what it does.
                environment.install("/a", None, Sandbox())
            removal.remove(environment.directory)


def test_the_names_of_modules_can_be_shown(tmp_path: Path) -> None:
    for raw in (b"\xff.wsgi", b"a\nb.wsgi", b"good.wsgi", b"ok.py", b"\xffx.py"):
        (tmp_path / os.fsdecode(raw)).touch()
    assert loader.modules_in(str(tmp_path)) == ["good.wsgi", "ok"]


@pytest.mark.parametrize("name", ["csp/bad/deep", "namespaces/BAD/envs/1/deep"])
def test_directories_that_are_deeper_than_calls_go(site: Site, name: str) -> None:
    hostile.deep(site.home / name)
    site.tick(4)
    read_all(site)
    assert site.runs("bad") and site.runs("good")
