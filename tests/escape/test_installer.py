"""What an application asks to be installed is built by its own code: that reaches no more than the application does."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts import StoaOfTwo, give, need
from tests.serving import CHECKOUT, Stoa
from tests.waiting import wait_for
from webapps.runtime import processes, sandboxes

FIXTURES = CHECKOUT / "tests" / "fixtureapps"
ESCAPE = (FIXTURES / "escape" / "app.py").read_text()
HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
# What is tried of a process that is not the installer's.
ON_OTHERS = ("kill", "trace", "limit", "stand_back", "memory_of")
Step = tuple[object, ...]
ELSEWHERE = tuple(Path(top) / "stoa-was-here" for top in ("/etc", "/usr", "/root"))
STOAS = ("keeper", "supervisor", "portal", "log", "front", "zygote", "victim")


class Hostile:
    """An application in a namespace of its own, whose package does what it is told while it is built."""

    def __init__(self, stoa: Stoa) -> None:
        self.stoa = stoa
        self.namespace = stoa.home / "namespaces" / "HOSTILE"
        files = {name: (FIXTURES / "hostile" / name).read_text() for name in ("pyproject.toml", "backend.py")}
        package = {f"package/{name}": text for name, text in {**files, "escape.py": ESCAPE}.items()}
        self.directory = stoa.write("hostile", {"app.py": HELLO, "requirements.txt": "./package\n", **package})
        self.write("plan.json", "[]")

    def write(self, name: str, text: str) -> None:
        """Write into the package, as the account would."""
        (self.directory / "package" / name).write_text(text)
        if isinstance(self.stoa, StoaOfTwo):
            for path in (self.directory, *self.directory.rglob("*")):
                give(path)

    def install(self, *plan: Step) -> list[str]:
        """Have it installed while it does these things; return what each of them met."""
        self.try_to(*plan)
        return self.met()

    def try_to(self, *plan: Step) -> subprocess.CompletedProcess[str]:
        """Have it installed while it does these things; return how that ended."""
        self.write("plan.json", json.dumps([[str(word) for word in step] for step in plan]))
        (self.directory / "package" / "met.json").unlink(missing_ok=True)
        # What has not changed is taken from the cache, and not built.
        (self.directory / "package" / "pyproject.toml").touch()
        return self.stoa.command("webapp", "install", "/hostile", check=False)

    def met(self) -> list[str]:
        """Return what the last attempts met, "" for one that succeeded."""
        found: list[str] = json.loads((self.directory / "package" / "met.json").read_text())
        return found

    def next_environment(self) -> Path:
        """Return the environment that the next installation makes."""
        numbers = [int(path.name) for path in (self.namespace / "envs").iterdir()]
        return self.namespace / "envs" / str(max(numbers) + 1)

    def in_use(self) -> Path:
        """Return the environment in use."""
        return (self.namespace / "env").resolve()


@pytest.fixture(scope="module")
def hostile(stoa: Stoa) -> Iterator[Hostile]:
    need(stoa, "Files")
    make = "from webapps.models import *; n = Namespace.objects.get(name='USER'); "
    limits = {"memory": 400 << 20}  # So an installer that fills its memory ends soon.
    more = f"Namespace.objects.create(name='HOSTILE', interpreter=n.interpreter, limits={limits!r})"
    stoa.command("shell", "-c", make + more)
    victim = stoa.write("victim", {"app.py": HELLO})
    found = Hostile(stoa)
    if isinstance(stoa, StoaOfTwo):
        for path in (victim, *victim.rglob("*")):
            give(path)
    stoa.create("/victim", victim)
    stoa.merge(
        f'CreateApplication:Name=/hostile,NameSpace=HOSTILE,WSGIAppLocation="{found.directory}",WSGIAppName="app",'
        'WSGICallable="application",AutheEnabled=64'
    )
    for name in ("victim", "hostile"):
        stoa.eventually(f"/{name}/", text="hello")
    yield found
    found.write("plan.json", "[]")


def outside(hostile: Hostile) -> list[Path]:
    """Name what is Stoa's, another namespace's, or this one's and in use."""
    home, user = hostile.stoa.home, hostile.stoa.home / "namespaces" / "USER"
    packages = next((user / "env").resolve().glob("lib/python3*/site-packages"))
    return [
        home / "secret_key",
        home / "db.sqlite3",
        home / "log" / "WSGI.log",
        home / "run" / "front" / "x",
        home / "csp" / "victim" / "app.py",
        user / "x",
        packages / "x.pth",
        user / "install" / "cache" / "x",
        user / "requirements" / "x.txt",
        hostile.namespace / "install" / "json",
        hostile.namespace / "install" / "log",
        hostile.namespace / "requirements" / "x.txt",
        hostile.namespace / "home" / "x",
        hostile.in_use() / "x",
        *ELSEWHERE,
    ]


def private(hostile: Hostile) -> list[Path]:
    names = ("secret_key", "db.sqlite3", "log/WSGI.log", "run", "csp/victim/app.py", "namespaces/USER/envs")
    return [*(hostile.stoa.home / name for name in names), hostile.namespace / "install" / "log"]


def pids_of(stoa: Stoa) -> dict[int, str]:
    """Return the processes of Stoa and of the victim with what they are."""
    found = {pid: name.partition(":")[0] for name, pid in stoa.children().items()}
    front = {pid: "front" for pid in processes.marked(stoa.run_dir) if processes.is_front(pid, stoa.run_dir)}
    return {**found, **front, **dict.fromkeys(stoa.status()["/victim"]["pids"], "victim")}


@pytest.fixture(scope="module")
def met(hostile: Hostile) -> dict[Step, str]:
    """What each attempt met that harms nobody where it succeeds; reading comes before writing."""
    stoa, run = hostile.stoa, hostile.stoa.run_dir
    pids = pids_of(stoa)
    assert {*STOAS} <= {*pids.values()}
    plan: list[Step] = [
        *(("read", path) for path in private(hostile)),
        ("secret", "secret-of-the-test"),
        *((do, pid, pids[pid]) for do in ON_OTHERS for pid in pids),
        *(("connect", run / name, "packets") for name in ("keeper.sock", "control.sock")),
        ("connect", run / "apps" / f"{stoa.key_of('/victim')}.sock"),
        ("mount",),
        *(("write", path) for path in outside(hostile)),
    ]
    return dict(zip(plan, hostile.install(*plan), strict=True))


def succeeded(met: dict[Step, str], *ways: str) -> list[Step]:
    tried = [step for step in met if step[0] in ways]
    assert tried
    return [step for step in tried if not met[step]]


def test_it_writes_nothing_outside(hostile: Hostile, met: dict[Step, str]) -> None:
    # Below /tmp it may have written into a temporary directory of its own, by the same name.
    written = [path for path in outside(hostile) if path.exists() and path.read_bytes() == b"x"]
    for path in {*written} & {*ELSEWHERE}:
        path.unlink()
    assert written == []


def test_it_reads_nothing_of_others(met: dict[Step, str]) -> None:
    assert succeeded(met, "read") == []


def test_it_sees_no_secret_of_stoas_in_anybodys_environment(met: dict[Step, str]) -> None:
    assert "LookupError" in met["secret", "secret-of-the-test"]


def test_it_does_nothing_to_other_processes(met: dict[Step, str]) -> None:
    assert succeeded(met, *ON_OTHERS) == []


def test_it_speaks_to_nobody_of_stoas(met: dict[Step, str]) -> None:
    assert succeeded(met, "connect") == []


def test_it_does_not_undo_its_walls(met: dict[Step, str]) -> None:
    assert succeeded(met, "mount") == []


def test_it_listens_at_no_port_and_at_sockets_of_its_own(hostile: Hostile) -> None:
    need(hostile.stoa, "TCP ports that the namespace does not name")

    bound, never_bound, own = hostile.install(("listen", "bound"), ("listen", "never bound"), ("unix_sockets",))

    assert "PermissionError" in bound and "PermissionError" in never_bound
    assert own == ""


def test_nothing_that_it_started_outlives_it(hostile: Hostile) -> None:
    beating = hostile.directory / "package" / "beat"

    assert hostile.install(("survive", beating)) == [""]

    size = beating.stat().st_size
    later = time.monotonic() + 1
    wait_for(lambda: time.monotonic() > later, 10)
    assert beating.stat().st_size == size


def test_one_that_prints_without_end_is_ended(hostile: Hostile) -> None:
    """It is uv that keeps all of it, up to what its memory may be."""
    done = hostile.try_to(("say_without_end",))

    assert done.returncode == 1
    assert (hostile.namespace / "install" / "log").stat().st_size <= sandboxes.OUTPUT + 4096
    assert hostile.stoa.get("/hostile/").text == "hello"


# What it makes of the environment that is being made, and why that is not switched to (all: test_envcheck).
MADE = {"put_interpreter": "has replaced its interpreter", "put_depth": "lies too deep", "put_nothing": ""}


@pytest.mark.parametrize("way", MADE)
def test_what_is_not_simply_an_environment_is_not_switched_to(hostile: Hostile, way: str) -> None:
    before, target = hostile.in_use(), hostile.next_environment()

    done = hostile.try_to((way, target))

    assert done.returncode == 1, done.stdout
    assert MADE[way] in done.stderr
    assert hostile.in_use() == before
    assert not target.exists()
    assert hostile.stoa.get("/hostile/").text == "hello"


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_requirements_that_are_no_file_of_its_own_are_not_read(hostile: Hostile, kind: str) -> None:
    path = hostile.directory / "requirements.txt"
    path.unlink()
    try:
        put(path, kind, hostile.stoa.home / "secret_key")
        done = hostile.try_to()
        assert done.returncode == 1, done.stdout
    finally:
        subprocess.run(["rm", "-rf", path], check=True)
        path.write_text("./package\n")
    secret = (hostile.stoa.home / "secret_key").read_text().strip()
    kept = [*(hostile.namespace / "requirements").iterdir(), hostile.namespace / "install" / "log"]
    assert not [path for path in kept if secret in path.read_text()]


def put(path: Path, kind: str, target: Path) -> None:
    if kind == "link":
        path.symlink_to(target)
    elif kind == "fifo":
        subprocess.run(["mkfifo", path], check=True)
    else:
        path.mkdir()


def test_a_directory_that_became_a_link_is_not_reached(hostile: Hostile) -> None:
    """Another application's directory in the place of its own: what that asks for is not installed into it."""
    moved = hostile.directory.with_name("hostile-moved")
    victim = hostile.stoa.home / "csp" / "victim"
    (victim / "requirements.txt").write_text("./package\n")
    hostile.directory.rename(moved)
    try:
        hostile.directory.symlink_to(victim)
        done = hostile.stoa.command("webapp", "install", "/hostile", check=False)
        assert done.returncode == 1, done.stdout
    finally:
        hostile.directory.unlink()
        moved.rename(hostile.directory)
        (victim / "requirements.txt").unlink()


def test_it_installs_what_lies_in_its_own_directory(hostile: Hostile) -> None:
    hostile.directory.joinpath("more.txt").write_text("-e ./package\n")
    hostile.directory.joinpath("requirements.txt").write_text("-r more.txt\n")

    try:
        assert hostile.install(("write", "hostile.egg-info"), ("network",)) == ["", ""]
    finally:
        hostile.directory.joinpath("requirements.txt").write_text("./package\n")

    assert list(hostile.in_use().glob("lib/python3*/site-packages/hostile.py"))
    assert (hostile.directory / "package" / "hostile.egg-info").exists()
