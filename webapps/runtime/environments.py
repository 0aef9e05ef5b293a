"""The virtual environment of a namespace: made beside the one in use, and switched when it is whole.

``<home>/namespaces/<NAME>/`` holds ``env`` (a link to ``envs/<number>``), ``requirements/`` (what has been installed,
one file an application), ``install/log`` and ``install/json``. Run as ``python -m webapps.runtime.environments
NAMESPACE_DIR LABEL [REQUIREMENTS [KEPT…]]``, by the keeper for the supervisor: it goes on when the supervisor is
restarted. KEPT are the files of ``requirements/`` whose applications are still there.
What runs other people's code, it runs in a sandbox (``sandboxes``), with the confinement of its own environment.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from . import envcheck, hostedfiles, installer, ownroot, removal, requirements, seclusion, walls
from .sandboxes import CommandFailed, Sandbox, Say, remove

# How the directories of environments are named, and how long the note of an installation may be.
NUMBER = re.compile(r"[1-9][0-9]{0,8}")
MOST_NOTED = 64 << 10
# So long (seconds) a lock is waited for: without mounts an application can have it, and the keeper starts no second
# installer of a namespace anyway.
PATIENCE = 10.0


class InstallFailed(Exception):
    """The environment could not be made; the one in use is as it was."""


@dataclass(frozen=True)
class Installation:
    """How the last installation into a namespace went. ``state`` is running, done or failed; times are ISO 8601 UTC."""

    state: str
    label: str
    started: str
    ended: str = ""
    message: str = ""

    @classmethod
    def read(cls, text: str) -> Installation:
        """Return what a note says. Raises ValueError where it is none, whoever wrote it."""
        try:
            values = json.loads(text)
        except RecursionError:
            raise ValueError("too deep for a note") from None
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or not names >= values.keys() >= {"state", "label", "started"}:
            raise ValueError("no note of an installation")
        return cls(**{name: hostedfiles.plain(str(value)) for name, value in values.items()})


class Environment:
    """One namespace's virtual environment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.link = directory / "env"
        # Of its own, so that applications, which write into the namespace's directory, are kept out of it.
        self.notes = directory / "install"

    @property
    def name(self) -> str:
        """The namespace's name."""
        return self.directory.name

    def python(self) -> Path | None:
        """Return the interpreter in use, by the environment's own path, or None where there is none yet."""
        target = self._target()
        python = target / "bin" / "python" if target else None
        return python if python and os.path.exists(python) else None

    def _target(self) -> Path | None:
        """Return where the link leads, None where that is nothing that Stoa has made.

        Applications may write beside the link; only what Stoa itself has made is run.
        """
        if not os.path.islink(self.link):
            return None
        target = Path(os.path.realpath(self.link))
        return target if target.parent == Path(os.path.realpath(self.directory / "envs")) else None

    def build(
        self,
        label: str,
        wanted: Path | None,
        say: Say,
        sandbox: Sandbox | None = None,
        live: Collection[str] | None = None,
    ) -> Path:
        """Make a new environment with all that the namespace's applications asked for, and switch to it.

        1. Make ``envs/<next>`` and install the new requirements and the old ones. 2. Look at what was made.
        3. Keep the new requirements beside the old ones, and switch the link. Raises InstallFailed; nothing has
        changed then. Of the old ones those that are not ``live`` are left out, and removed at the end; None keeps all.
        """
        sandbox = sandbox or Sandbox()
        sandbox.own(self.notes, 0o750)
        with self._locked("lock"), self._room(sandbox, wanted) as (behind, temporary):
            kept, target = self.directory / "requirements", self._next()
            files, gone = self._kept(live)
            try:
                text = requirements.read(wanted, behind) if wanted else ""
                if wanted:
                    files[file_name(label)] = fresh = temporary / file_name(label)
                    fresh.write_text(text)
                self._make(target, list(files.values()), say, behind.reaching(read=[kept], write=[target]))
            except (CommandFailed, envcheck.NotWhole, OSError) as error:
                remove(target)
                raise InstallFailed(str(error)) from error
            if wanted:
                self._keep(kept / file_name(label), text)
            self._switch(target)
            self._forget(gone - {kept / file_name(label)}, say)
        return target

    def _kept(self, live: Collection[str] | None) -> tuple[dict[str, Path], set[Path]]:
        """Return what is installed already, by its file's name, and what is not wanted any more.

        Raises InstallFailed for what would hang the installer.
        """
        kept = self.directory / "requirements"
        kept.mkdir(exist_ok=True)
        found = {path.name: path for path in sorted(kept.glob("*.txt"))}
        files = {name: path for name, path in found.items() if live is None or name in live}
        for path in files.values():
            if why := hostedfiles.problem(path, self.directory):
                raise InstallFailed(why)
        return files, set(found.values()) - set(files.values())

    def _forget(self, gone: Collection[Path], say: Say) -> None:
        """Remove the requirements of applications that are not there any more: they would come back with a name."""
        for path in sorted(gone):
            say(f"Left out: {hostedfiles.plain(path.name)}, whose application is not there any more.")
            with suppress(OSError):  # What the application has put there instead is left out the next time too.
                hostedfiles.unlink(path, self.directory)

    @contextmanager
    def _room(self, sandbox: Sandbox, wanted: Path | None) -> Iterator[tuple[Sandbox, Path]]:
        """Have a cache, which no other namespace and no application shares, and temporary directories for a while."""
        cache, temporary = sandbox.own(self.notes / "cache"), self.notes / "tmp"
        remove(temporary)
        sandbox.own(temporary)
        for name, mode in {"home": 0o700, **dict.fromkeys(ownroot.TEMPORARY.values(), 0o1777)}.items():
            sandbox.own(temporary / name, mode)
        behind = sandbox.reaching(write=[cache]).in_room(temporary)
        try:
            yield behind.at(wanted.parent if wanted else "/", {**_variables(), "UV_CACHE_DIR": str(cache)}), temporary
        finally:
            remove(temporary)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with os.fdopen(hostedfiles.lockable(self.notes / name, self.directory), "r+") as lock:
            until = time.monotonic() + PATIENCE
            while not _lock(lock) and time.monotonic() < until:
                time.sleep(0.05)
            yield

    def _next(self) -> Path:
        envs = self.directory / "envs"
        envs.mkdir(exist_ok=True)
        return envs / str(max(self._numbers(), default=0) + 1)

    def _numbers(self) -> list[int]:
        """Return the numbers of the environments that are there; what else lies between them is nobody's."""
        try:
            names = hostedfiles.folders(self.directory / "envs", self.directory)
        except OSError:
            return []
        return [int(name) for name in names if NUMBER.fullmatch(name)]

    def _make(self, target: Path, files: list[Path], say: Say, sandbox: Sandbox) -> None:
        sandbox.own(target, 0o755)
        _run(sandbox, [uv(), "venv", "--no-project", "--python", sys.executable, str(target)], say)
        empty = envcheck.Skeleton(target)
        if files:
            install = [uv(), "pip", "install", "--python", str(target / "bin" / "python")]
            _run(sandbox, [*install, *(word for path in files for word in ("-r", str(path)))], say)
            empty.check()
            _compile(target, sandbox)
        empty.check()

    def _keep(self, path: Path, text: str) -> None:
        """Note what has been installed, in place of what was installed before."""
        fresh = self.notes / ".requirements"
        with os.fdopen(hostedfiles.written(fresh, self.directory), "w") as file:
            file.write(text)
        fresh.replace(path)

    def _switch(self, target: Path) -> None:
        fresh = self.directory / f".env-{target.name}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("envs") / target.name)
        fresh.replace(self.link)

    def tidy(self, used: set[Path]) -> None:
        """Remove the environments that neither the link nor an instance uses."""
        current = self._target()
        if current is None or not NUMBER.fullmatch(current.name):
            return
        for number in self._numbers():
            path = self.directory / "envs" / str(number)
            if number < int(current.name) and path not in used:
                removal.begin(path)

    def installation(self) -> Installation | None:
        """Return how the last installation went or goes; None if there was none."""
        try:
            known = Installation.read(hostedfiles.text(self.notes / "json", self.directory, MOST_NOTED))
        except (OSError, ValueError):
            return None
        if known.state == "running" and not self._is_running():
            return Installation("failed", known.label, known.started, message="the installer was interrupted")
        return known

    def _is_running(self) -> bool:
        try:
            with os.fdopen(hostedfiles.opened(self.notes / "running", self.directory, os.O_RDWR), "r+") as lock:
                return not _lock(lock)
        except OSError:
            return False

    def install(self, label: str, wanted: Path | None, sandbox: Sandbox, live: Collection[str] | None = None) -> bool:
        """Build, each line to ``install/log`` as it comes, the end to ``install/json``; say if it went well."""
        self.notes.mkdir(mode=0o750, parents=True, exist_ok=True)
        started = now()
        with self._locked("running"):
            with os.fdopen(hostedfiles.written(self.notes / "log", self.directory), "w", buffering=1) as log:
                self._note(Installation("running", label, started))
                end = self._tried(label, wanted, lambda line: print(line, file=log), started, sandbox, live)
                print(end.message, file=log)
            self._note(end)
        return end.state == "done"

    def _tried(
        self,
        label: str,
        wanted: Path | None,
        say: Say,
        started: str,
        sandbox: Sandbox,
        live: Collection[str] | None,
    ) -> Installation:
        say(sandbox.words())
        try:
            self.build(label, wanted, say, sandbox, live)
        except InstallFailed as error:
            return Installation("failed", label, started, now(), f"{error}. Nothing has changed.")
        except OSError as error:
            return Installation("failed", label, started, now(), f"{error}. Nothing has changed.")
        return Installation("done", label, started, now(), f"The environment of {self.name} is ready.")

    def _note(self, installation: Installation) -> None:
        fresh = self.notes / ".fresh"
        with os.fdopen(hostedfiles.written(fresh, self.directory), "w") as file:
            file.write(json.dumps(asdict(installation)))
        fresh.replace(self.notes / "json")


def _lock(file: TextIO) -> bool:
    """Say whether a file could be locked now; the lock goes with the file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def uv() -> str:
    """Return the path of uv, which is installed beside the interpreter that runs Stoa."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise InstallFailed("uv is not installed beside Stoa's Python; run script/serve again")
    return found


def _run(sandbox: Sandbox, argv: list[str], say: Say) -> None:
    say("$ " + " ".join([Path(argv[0]).name, *argv[1:]]))
    sandbox.run(argv, say)


def _compile(target: Path, sandbox: Sandbox) -> None:
    """Write bytecode of what is installed, once: nobody who imports it later may write there (``nestwalls``)."""
    with suppress(CommandFailed):  # Some of it is not meant to be compiled.
        sandbox.run([str(target / "bin" / "python"), "-I", "-m", "compileall", "-qq", str(target / "lib")], _unheard)


def _unheard(_line: str) -> None:
    """Say nothing."""


def _variables() -> dict[str, str]:
    """Return what installers are told: what an administrator has set, then what is so here."""
    # Copied, not linked: what writes into a file of the cache, or of the new environment, changes no other one.
    own = {"NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
    return {**installer.passed(os.environ), **own}


def file_name(label: str) -> str:
    """Return the name under which an application's requirements are kept."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", label).strip("_") + ".txt"


def now() -> str:
    """Return the time as ISO 8601 UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def main() -> int:
    """Install for one application, or only make the environment."""
    seclusion.seclude()
    directory, label, *rest = sys.argv[1:]
    wanted, live = (Path(rest[0]), rest[1:]) if rest else (None, None)
    sandbox = Sandbox.of(os.environ.pop(walls.KEY, ""))
    return 0 if Environment(Path(directory)).install(label, wanted, sandbox, live) else 1


if __name__ == "__main__":
    sys.exit(main())
