"""What is installed runs in the zygote of its environment before any application does: it reaches nothing from there.

The packages of an environment, its ``.pth`` files and its ``sitecustomize`` are whoever's may have them installed.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.accounts import host, need
from tests.serving import CHECKOUT, Stoa, free_port
from tests.waiting import stays_untrue, wait_for
from webapps.runtime import processes

FIXTURE = CHECKOUT / "tests" / "fixtureapps" / "zygote"
HELLO = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'hello']\n"
APP = {"app.py": (FIXTURE / "app.py").read_text()}
NAME, VICTIM = "/escape/zygote", "/escape/victim"
WALL = "Packages of an environment"
PLACES = ("pth", "sitecustomize", "flask")
PARTS = ("keeper", "log", "supervisor", "portal", "gate", "front")


class Evil:
    """An application in a namespace of its own, whose environment has packages that try to leave it."""

    def __init__(self, stoa: Stoa) -> None:
        self.stoa = stoa
        self.packages = next((stoa.home / "namespaces" / "EVIL" / "envs").glob("*/lib/python3*/site-packages"))
        self.victim = stoa.fact(VICTIM)["pids"][0]

    def plan(self, lie: int = 0) -> dict[str, Any]:
        """Return what there is to reach."""
        home, children = self.stoa.home, self.stoa.children()
        others = {name: children[name] for name in PARTS} | {"another application": self.victim}
        return {
            "read": [str(path) for path in (home / "secret_key", home / "db.sqlite3", self.of_another())],
            "list": [str(path) for path in (home / "run", home / "csp", home / "namespaces" / "USER")],
            "write": [str(path) for path in (home / "run" / "front" / "evil", home / "csp" / "x", "/etc/x", "/usr/x")],
            "connect": [str(home / "run" / "keeper.sock")],
            "processes": others,
            "ports": [0, free_port()],
            "lie": lie,
        }

    def of_another(self) -> Path:
        """Return a file of another namespace's application."""
        return self.stoa.home / "csp" / "escape" / "victim" / "app.py"

    def install(self, lie: int = 0) -> None:
        """Put the packages there, and have the zygote begin anew."""
        self._put("evil.py", (FIXTURE / "evil.py").read_text())
        self._put("plan.json", json.dumps(self.plan(lie)))
        self._put("evil.pth", "import evil; evil.act('pth')\n")
        self._put("sitecustomize.py", "import evil\nevil.act('sitecustomize')\n")
        self._put("flask/__init__.py", "import evil\nevil.act('flask')\n")
        self._put("flask/json.py", "")
        before = self.zygotes()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(processes.started_at(pid) for pid in before), 10)

    def _put(self, name: str, text: str) -> None:
        path = self.packages / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)

    def zygotes(self) -> list[int]:
        return [pid for name, pid in self.stoa.children().items() if name.startswith("zygote:")]

    def reload(self) -> dict[str, Any]:
        """Have another generation, and return what it says."""
        revision = self.stoa.fact(NAME)["generation"]
        before = self.stoa.fact(NAME)["pids"]
        self.stoa.command("webapp", "reload", NAME)
        wait_for(lambda: self.stoa.fact(NAME)["generation"] > revision, 40, lambda: self.stoa.log("WSGI"))
        wait_for(lambda: not any(processes.started_at(pid) for pid in before), 40)
        found: dict[str, Any] = json.loads(self.stoa.get(f"{NAME}/").text)
        return found


@pytest.fixture(scope="module")
def evil(stoa: Stoa) -> Iterator[Evil]:
    need(stoa, WALL)
    host(stoa, VICTIM, {"app.py": HELLO})
    stoa.merge("CreateNamespace:Name=EVIL")
    directory = stoa.write(NAME.strip("/"), {"app.py": HELLO})
    words = f'WSGIAppLocation="{directory}",WSGIAppName="app",WSGICallable="application",AutheEnabled="64"'
    stoa.merge(f"CreateApplication:Name={NAME},NameSpace=EVIL,{words}")
    stoa.eventually(f"{NAME}/")
    found = Evil(stoa)
    found.install()
    (directory / "app.py").write_text(APP["app.py"])
    yield found
    stoa.set(NAME, enabled=False)
    for path in found.plan()["write"]:
        Path(path).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def met(evil: Evil) -> dict[str, Any]:
    """What the packages met in the zygote, the one that applications are seen to use with the second generation."""
    evil.reload()
    return evil.reload()


@pytest.mark.parametrize("place", PLACES)
def test_what_is_installed_reaches_nothing_from_the_zygote(met: dict[str, Any], place: str) -> None:
    if place == "sitecustomize" and place not in met["met"]:
        pytest.skip("this Python has one of its own, which comes first")
    tried = met["met"][place]

    assert tried["pid"] != met["pid"], "it did not run in the zygote"
    assert len(tried["met"]) > 50
    assert {way: what for way, what in tried["met"].items() if what is not None} == {}


def test_nothing_was_written(evil: Evil, met: dict[str, Any]) -> None:
    assert not [path for path in evil.plan()["write"] if os.path.lexists(path)]


def test_a_process_that_it_names_as_its_worker_is_none(evil: Evil, met: dict[str, Any]) -> None:
    victim, start = evil.victim, processes.started_at(evil.victim)
    evil.install(lie=victim)
    for _generation in range(2):  # Of the first one, before flask is imported in the zygote, it may tell the truth.
        evil.stoa.command("webapp", "reload", NAME, "--timeout", "5", check=False)

    assert stays_untrue(lambda: victim in evil.stoa.fact(NAME)["pids"], 3)
    assert processes.started_at(victim) == start
    assert evil.stoa.get(f"{VICTIM}/").text == "hello"
    evil.stoa.set(NAME, enabled=False)
    wait_for(lambda: not evil.stoa.fact(NAME).get("pids"), 40)
    assert processes.started_at(victim) == start
    assert evil.stoa.get(f"{VICTIM}/").text == "hello"
