"""The virtual environment of a namespace: made beside the one in use, and switched when it is whole.

``<home>/namespaces/<NAME>/`` holds ``env`` (a link to ``envs/<number>``), ``requirements/`` (what has been installed,
one file an application), ``install/log`` and ``install/json``. Run as ``python -m webapps.runtime.environments
NAMESPACE_DIR LABEL [REQUIREMENTS]``, by the keeper for the supervisor: it goes on when the supervisor is restarted.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from . import hostedfiles, removal, seclusion

Say = Callable[[str], None]
# How the directories of environments are named, and how long the note of an installation may be.
NUMBER = re.compile(r"[1-9][0-9]{0,8}")
MOST_NOTED = 64 << 10


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

    def build(self, label: str, requirements: Path | None, say: Say) -> Path:
        """Make a new environment with all that the namespace's applications asked for, and switch to it.

        1. Note the new requirements beside the old ones. 2. Make ``envs/<next>`` and install them all.
        3. Switch the link, and only then keep the note. Raises InstallFailed; nothing has changed then.
        """
        self.notes.mkdir(mode=0o750, parents=True, exist_ok=True)
        with self._alone():
            kept = self.directory / "requirements"
            kept.mkdir(exist_ok=True)
            files = {path.name: path for path in sorted(kept.glob("*.txt"))}
            if requirements:
                files[_file_name(label)] = requirements
            self._check(kept, files.values())
            target = self._next()
            try:
                self._make(target, list(files.values()), say)
            except InstallFailed:
                shutil.rmtree(target, ignore_errors=True)
                raise
            if requirements:
                self._keep(kept / _file_name(label), requirements)
            self._switch(target)
        return target

    def _check(self, kept: Path, files: Iterable[Path]) -> None:
        """Refuse what would hang the installer, or have it show a file that is nobody's requirements."""
        for path in files:
            if why := hostedfiles.problem(path, self.directory if path.parent == kept else path.parent):
                raise InstallFailed(why)

    def _keep(self, path: Path, requirements: Path) -> None:
        """Note what has been installed, in place of what was installed before."""
        with os.fdopen(hostedfiles.written(path, self.directory), "wb") as file:
            file.write(hostedfiles.read(requirements, requirements.parent))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with os.fdopen(hostedfiles.lockable(self.notes / "lock", self.directory), "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
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

    def _make(self, target: Path, files: list[Path], say: Say) -> None:
        run([uv(), "venv", "--no-project", "--python", sys.executable, str(target)], say)
        if files:
            install = [uv(), "pip", "install", "--python", str(target / "bin" / "python")]
            run([*install, *(word for path in files for word in ("-r", str(path)))], say)

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
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def install(self, label: str, requirements: Path | None) -> bool:
        """Build, each line to ``install/log`` as it comes, the end to ``install/json``; say if it went well."""
        self.notes.mkdir(mode=0o750, parents=True, exist_ok=True)
        started = now()
        with os.fdopen(hostedfiles.lockable(self.notes / "running", self.directory), "r+") as running:
            fcntl.flock(running, fcntl.LOCK_EX)
            with os.fdopen(hostedfiles.written(self.notes / "log", self.directory), "w", buffering=1) as log:
                self._note(Installation("running", label, started))
                end = self._tried(label, requirements, lambda line: print(line, file=log), started)
                print(end.message, file=log)
            self._note(end)
        return end.state == "done"

    def _tried(self, label: str, requirements: Path | None, say: Say, started: str) -> Installation:
        try:
            self.build(label, requirements, say)
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


def uv() -> str:
    """Return the path of uv, which is installed beside the interpreter that runs Stoa."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise InstallFailed("uv is not installed beside Stoa's Python; run script/serve again")
    return found


def run(argv: list[str], say: Say) -> None:
    """Run a command and say each line as it comes. Raises InstallFailed with the last lines."""
    say("$ " + " ".join([Path(argv[0]).name, *argv[1:]]))
    process = subprocess.Popen(  # noqa: S603
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=_installer_environment(),
    )
    last = ""
    for line in process.stdout or ():
        say(line.rstrip())
        last = line.strip() or last
    if process.wait():
        raise InstallFailed(f"{Path(argv[0]).name} {argv[1]} ended with status {process.returncode}: {last}")


def _installer_environment() -> dict[str, str]:
    """Pass on what an installer needs (indexes, proxies, certificates), and nothing of Stoa's."""
    passed = re.compile(r"(UV_|PIP_|SSL_|REQUESTS_|LC_|XDG_)\w*|LANG|PATH|HOME|TMPDIR|(?i:(https?|no|all)_proxy)")
    environment = {name: value for name, value in os.environ.items() if passed.fullmatch(name)}
    if "UV_CACHE_DIR" not in environment and not os.access(os.environ.get("HOME", ""), os.W_OK):
        environment["UV_NO_CACHE"] = "1"  # An account such as nobody has no directory to keep one in.
    return {**environment, "NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}


def _file_name(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", label).strip("_") + ".txt"


def now() -> str:
    """Return the time as ISO 8601 UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def main() -> int:
    """Install for one application, or only make the environment."""
    seclusion.seclude()
    directory, label, *requirements = sys.argv[1:]
    done = Environment(Path(directory)).install(label, Path(requirements[0]) if requirements else None)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
