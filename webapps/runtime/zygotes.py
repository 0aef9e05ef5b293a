"""The supervisor's zygotes: one per interpreter in use, started by the keeper, spoken to over a packet socket."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import interpreter, processes, walls, wire
from .keeperlink import KeeperLink
from .nestreach import Nest

SCRIPT = Path(__file__).with_name("zygote.py")
# What of Stoa's own environment an interpreter may need; everything else is the application's to define.
PASSED = (
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)

# An interpreter, and the account that it runs as: "" for the one that all run as.
Place = tuple[str, str]


class Zygote:
    """A connection to one zygote."""

    def __init__(self, name: str, place: Place, sock: socket.socket, pid: int) -> None:
        self.name = name
        self.pid = pid
        self.place = place
        self.python = place[0]
        self.sock = sock
        self.greeted = False

    def fork(
        self, key: str, spec: Mapping[str, Any], environment: Mapping[str, str], said: str, fds: list[int]
    ) -> None:
        """Ask for a worker; ``said`` marks what the one before it complained of, ``fds`` are listener, ready, out, err.

        Raises OSError where the zygote has gone.
        """
        around = {name: value for name, value in environment.items() if name == walls.KEY}
        work = _work({"spec": spec, "environment": dict(environment), "said": said})
        try:
            wire.send(self.sock, {"do": "fork", "key": key, "environment": around}, [work, *fds])
        finally:
            os.close(work)

    def preload(self, modules: list[str]) -> None:
        """Have modules imported; workers that are forked later begin with them."""
        try:
            wire.send(self.sock, {"do": "import", "modules": modules})
        except OSError:
            pass  # It has gone, which its closed socket tells; the next one is told again.

    def ask_for_children(self) -> None:
        """Ask which workers it has; the answer comes as a message."""
        wire.send(self.sock, {"do": "list"})


class Zygotes:
    """Find, start and let go zygotes by the interpreter that they run under and the account that they run as."""

    def __init__(
        self,
        run_dir: Path,
        keeper: KeeperLink,
        watch: Callable[[Zygote], None],
        nest: Callable[[str, str], Nest | None],
    ) -> None:
        self.nest = nest
        self.directory = run_dir / "zygotes"
        self.mark = processes.on_command_line(processes.mark_of(run_dir))
        self.keeper = keeper
        self.watch = watch
        self.by_place: dict[Place, Zygote] = {}
        self.learnt: dict[str, list[str]] = {}

    def get(self, place: Place) -> Zygote:
        """Return the zygote of an interpreter (absolute path) and an account, started if need be. Raises OSError."""
        zygote = self.by_place.get(place)
        if zygote is None:
            zygote = self._start(place)
            self._enter(zygote)
            if zygote.python in self.learnt:
                zygote.preload(self.learnt[zygote.python])
        return zygote

    def learn(self, python: str, modules: list[str]) -> None:
        """Have an interpreter's zygotes import what its applications are seen to use, and remember it."""
        known = self.learnt.get(python, [])
        fresh = [name for name in modules if name not in known]
        zygotes = [zygote for zygote in self.by_place.values() if zygote.python == python]
        if not fresh or not zygotes:
            return
        self.learnt[python] = known + fresh
        self.keeper.hold(f"learnt:{python}", {"modules": self.learnt[python]})
        for zygote in zygotes:
            zygote.preload(fresh)

    def _start(self, place: Place) -> Zygote:
        python, user = place
        if problem := interpreter.problem(python):
            raise OSError(problem)
        name = _name_of(place)
        path = self.directory / f"{name[7:]}.sock"
        listener = wire.listen(path)
        self.keeper.hold(f"unix:{name}", {"python": python, "user": user, "path": str(path)}, [listener.fileno()])
        listener.close()
        argv, environment = self._command(place, f"{{fd:unix:{name}}}")
        pids = self.keeper.start(name, argv, environment, [f"unix:{name}"], again=False, user=user)
        return Zygote(name, place, wire.connect(path), pids.get(name, 0))

    def _command(self, place: Place, listener: str) -> tuple[list[str], dict[str, str]]:
        """Return the command that begins a zygote, behind walls where there are any, and its environment."""
        python, nest, environment = place[0], self.nest(*place), environment_for(place[0])
        words = [python, *self.mark, "-I", str(SCRIPT)]
        if nest is None:
            return [*words, listener, _gunicorn()], environment
        around = [sys.executable, "-P", "-S", *self.mark, "-m", "webapps.runtime.nest", listener, json.dumps(nest.own)]
        carried = {walls.KEY: nest.wished.to_json(), "PYTHONPATH": str(SCRIPT.parents[2])}
        return [*around, *words, "{link}", _gunicorn()], {**environment, **carried}

    def _enter(self, zygote: Zygote) -> None:
        self.by_place[zygote.place] = zygote
        self.watch(zygote)

    def adopt(self, name: str, meta: Mapping[str, str]) -> Zygote | None:
        """Speak again to a zygote that an earlier supervisor started; None where it has gone.

        One that runs other code than ours has to go: it would not understand us. Its workers serve on.
        """
        place = meta["python"], meta.get("user", "")
        if name != _name_of(place):
            self._end(name)
            return None
        try:
            zygote = Zygote(name, place, wire.connect(Path(meta["path"])), self.keeper.children().get(name, 0))
        except OSError:
            return None
        self._enter(zygote)
        zygote.ask_for_children()
        return zygote

    def _end(self, name: str) -> None:
        """End a zygote alone: told to leave, it would take its workers with it."""
        pid = self.keeper.children().get(name, 0)
        if pid:
            with suppress(ProcessLookupError):  # It has ended meanwhile.
                os.kill(pid, signal.SIGKILL)
        self.keeper.stop(name)

    def forget(self, zygote: Zygote) -> None:
        """Let go of a zygote that ended."""
        if self.by_place.get(zygote.place) is zygote:
            del self.by_place[zygote.place]
        zygote.sock.close()
        self.keeper.stop(zygote.name)
        self.keeper.drop(f"unix:{zygote.name}")

    def release(self, used: set[Place]) -> list[Zygote]:
        """Have the zygotes that nothing needs leave; return them."""
        gone = [zygote for place, zygote in self.by_place.items() if place not in used]
        pythons = {python for python, _user in used}
        for zygote in gone:
            self.forget(zygote)
            if zygote.python not in pythons and zygote.python in self.learnt:
                del self.learnt[zygote.python]
                self.keeper.drop(f"learnt:{zygote.python}")
        return gone

    def dead(self) -> list[Zygote]:
        """Return the zygotes that ended before they said hello: the interpreter cannot run them."""
        waiting = [zygote for zygote in self.by_place.values() if not zygote.greeted]
        if not waiting:
            return []
        living = self.keeper.children()
        return [zygote for zygote in waiting if zygote.name not in living]


def _work(what: Mapping[str, Any]) -> int:
    """Return a file in memory that says what a worker is to do.

    Only the worker reads it: what the zygote has read, other workers find in their memory.
    """
    fd = os.memfd_create("stoa-work")
    os.write(fd, json.dumps(what).encode())
    return fd


def _name_of(place: Place) -> str:
    """Return the keeper's name for a zygote: by its interpreter, its account and the code that it would run."""
    mark = hashlib.sha256("\0".join(filter(None, place)).encode())
    for path in sorted(SCRIPT.parent.glob("*.py")):
        mark.update(path.read_bytes())
    return f"zygote:{mark.hexdigest()[:12]}"


def environment_for(python: str) -> dict[str, str]:
    """Return the whitelisted environment of a zygote: a search path that begins with the interpreter's own."""
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    bin_dir = str(Path(python).parent)
    passed.setdefault("LANG", "C.UTF-8")
    passed["PATH"] = os.pathsep.join([bin_dir, "/usr/local/bin", "/usr/bin", "/bin"])
    if (Path(bin_dir).parent / "pyvenv.cfg").exists():
        passed["VIRTUAL_ENV"] = str(Path(bin_dir).parent)
    return passed


def _gunicorn() -> str:
    found = importlib.util.find_spec("gunicorn")
    if found is None or not found.submodule_search_locations:
        raise OSError("gunicorn is not installed beside Stoa; run script/serve again")
    return str(found.submodule_search_locations[0])
