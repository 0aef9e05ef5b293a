"""Variables that name what is not the application's: an editor sets them, and a sandbox that believes them is open."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from tests.accounts import need
from tests.serving import CHECKOUT, Stoa
from webapps.runtime.reach import NAMED_BY

ESCAPE = (CHECKOUT / "tests" / "fixtureapps" / "escape" / "app.py").read_text()
SETTINGS = (*NAMED_BY, "sqlite", "socket")
CREATE = """
import json
from webapps.models import Namespace, WebApp
given = json.loads({given!r})
user = Namespace.objects.get(name="USER")
wide = Namespace(name="WIDE", interpreter=user.interpreter, environment=given.pop("WIDE"))
wide.save()
for name, environment in given.items():
    namespace = wide if name.startswith("/wide") else user
    own = {{}} if name.startswith("/wide") else environment
    WebApp(name=name, namespace=namespace, app_name="app", directory={directory!r}, authe_enabled=64,
           environment=own, processes_min=0).save()
"""


@dataclass(frozen=True)
class Places:
    """What the variables name: of Stoa, of another application, and outside of both."""

    home: Path
    outside: Path

    @property
    def closed(self) -> list[Path]:
        return [self.home / name for name in ("secret_key", "db.sqlite3", "csp/neighbour/app.py")]


def variable(setting: str, places: Places) -> dict[str, str]:
    """Return a variable that names what is closed, and what is outside."""
    if setting == "sqlite":
        return {"DATABASE_URL": f"sqlite:///{places.home}/csp/neighbour/x.db"}
    if setting == "socket":
        return {"DATABASE_URL": f"postgresql://u@{quote(str(places.home / 'secret_key'), safe='')}/db"}
    return {setting: ":".join(map(str, [*places.closed, places.outside]))}


@pytest.fixture(scope="module")
def places(stoa: Stoa) -> Places:
    """Host the applications: one for each variable, and one whose namespace has them all."""
    outside = stoa.directory / "outside" / "ca.pem"
    outside.parent.mkdir()
    outside.write_text("x")
    found = Places(stoa.home, outside)
    directory = stoa.write("variables", {"app.py": ESCAPE})
    directory.chmod(0o777)
    stoa.write("neighbour", {"app.py": ESCAPE}).chmod(0o777)
    own = {"DATABASE_URL": f"sqlite:///{directory}/own.db"}
    wished = {f"/own-{name.lower()}": variable(name, found) for name in SETTINGS} | {"/own-database": own, "/wide": {}}
    wished["WIDE"] = {key: value for name in SETTINGS for key, value in variable(name, found).items()}
    given = {
        name: {key: {"value": value, "secret": False} for key, value in values.items()}
        for name, values in wished.items()
    }
    stoa.create("/neighbour", stoa.home / "csp" / "neighbour")
    stoa.command("shell", "--no-imports", "-c", CREATE.format(given=json.dumps(given), directory=str(directory)))
    for name in given.keys() - {"WIDE"}:
        stoa.eventually(f"{name}/?do=read&with=.", deadline=60)
    need(stoa, "Files")
    return found


def met(stoa: Stoa, name: str, do: str, path: Path) -> str:
    """Return what an attempt of an application met, "" where it succeeded."""
    answer = stoa.get(f"{name}/?{urlencode({'do': do, 'with': str(path)})}")
    assert answer.status == 200, answer.text
    return str(json.loads(answer.text))


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_applications_own_variable_opens_nothing(stoa: Stoa, places: Places, setting: str) -> None:
    name = f"/own-{setting.lower()}"
    for path in (*places.closed, places.outside):
        assert met(stoa, name, "read", path), path
    assert met(stoa, name, "write", places.home / "csp" / "neighbour" / "planted")
    assert met(stoa, name, "write", places.outside.with_name("planted"))


def test_a_namespaces_variable_opens_what_is_outside_and_nothing_of_stoas(stoa: Stoa, places: Places) -> None:
    assert met(stoa, "/wide", "read", places.outside) == ""
    assert met(stoa, "/wide", "write", places.outside)
    for path in places.closed:
        assert met(stoa, "/wide", "read", path), path


def test_a_database_in_its_own_directory_works(stoa: Stoa, places: Places) -> None:
    answer = stoa.get("/own-database/", timeout=60)
    assert "database" not in json.loads(answer.text), answer.text
    assert (stoa.home / "csp" / "variables" / "own.db").exists()
