"""Commands that run behind walls: what starts a sandbox, listens to it, and ends it when it says or takes too much."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from . import processes, sandbox, walls

Say = Callable[[str], None]

# How long (seconds) a command may take, and how much (bytes) it may say.
SECONDS = 3600
OUTPUT = 8 << 20
LINE = 4096


class CommandFailed(Exception):
    """A command did not end well; the text says why, with its last line."""


@dataclass(frozen=True)
class Sandbox:
    """Where commands run: ``confinement`` None is without walls, ``account`` None as who we are."""

    confinement: walls.Confinement | None = None
    account: pwd.struct_passwd | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"
    seconds: float = SECONDS
    output: int = OUTPUT

    @classmethod
    def of(cls, text: str) -> Sandbox:
        """Return the sandbox of a confinement that was carried as text, "" for none."""
        return cls(walls.Confinement.from_json(text) if text else None)

    def reaching(self, *, read: Sequence[Path] = (), write: Sequence[Path] = ()) -> Sandbox:
        """Return it with paths that may be read or written too."""
        if self.confinement is None:
            return self
        readable, writable = (*self.confinement.read, *map(str, read)), (*self.confinement.write, *map(str, write))
        return dataclasses.replace(
            self, confinement=dataclasses.replace(self.confinement, read=readable, write=writable)
        )

    def in_room(self, temporary: Path) -> Sandbox:
        """Return it with a home and temporary directories (``ownroot.TEMPORARY``) of its own, below a directory."""
        inside = self.reaching(write=[temporary])
        known, home = inside.confinement, str(temporary / "home")
        if known is None:
            return dataclasses.replace(self, environment={"HOME": home, "TMPDIR": str(temporary / "tmp")})
        mounts = known.means.mounts
        own = {"HOME": home, "TMPDIR": "/tmp" if mounts else str(temporary / "tmp")}  # noqa: S108
        confinement = dataclasses.replace(known, private=str(temporary) if mounts else "", home=home)
        return dataclasses.replace(inside, confinement=confinement, environment=own)

    def at(self, directory: Path | str, environment: Mapping[str, str]) -> Sandbox:
        """Return it with the directory and the variables that commands begin with."""
        return dataclasses.replace(self, directory=str(directory), environment={**environment, **self.environment})

    def words(self) -> str:
        """Say what keeps commands from what is not theirs."""
        if self.confinement is None:
            return "There are no walls around the installer: STOA_WALLS=0."
        if not self.confinement.means.files:
            return f"There are no walls around the installer here: {self.confinement.means.why_no_mounts}."
        return "The installer reaches " + ", ".join((*self.confinement.write, "its environment")) + ", and the network."

    def own(self, path: Path, mode: int = 0o700) -> Path:
        """Make a directory that belongs to whoever commands run as."""
        path.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.fchmod(fd, mode)
            if self.account:
                os.fchown(fd, self.account.pw_uid, self.account.pw_gid)
        finally:
            os.close(fd)
        return path

    def run(self, argv: Sequence[str], say: Say) -> None:
        """Run a command and say each line as it comes. Raises CommandFailed with the last one."""
        # It ends when we do: the pipe is closed then.
        with subprocess.Popen(
            self._argv(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment(),
            cwd="/",
            **self._identity(),
        ) as process:
            assert process.stdin and process.stdout
            last, whole = _listened(process.stdout, say, self.output)
            process.stdin.close()
            if not whole:
                last = f"it printed more than {self.output >> 10} KB"
        if process.returncode or not whole:
            name = " ".join([Path(argv[0]).name, *argv[1:2]])
            raise CommandFailed(f"{name} ended with status {process.returncode}: {last}")

    def _argv(self, argv: Sequence[str]) -> list[str]:
        mark = processes.on_command_line(os.environ.get(processes.MARK, ""))
        started = [sys.executable, "-P", *mark, "-m", sandbox.__name__]
        return [*started, str(self.seconds), self.directory, *argv]

    def _environment(self) -> dict[str, str]:
        own = {"PYTHONPATH": str(Path(__file__).parents[2])}
        if processes.MARK in os.environ:
            own[processes.MARK] = os.environ[processes.MARK]
        if self.confinement:
            own[walls.KEY] = self.confinement.to_json()
        return {**self.environment, **own}

    def _identity(self) -> dict[str, Any]:
        if self.account is None or os.geteuid():
            return {}
        groups = os.getgrouplist(self.account.pw_name, self.account.pw_gid)
        return {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": groups}


def _listened(output: IO[bytes], say: Say, most: int) -> tuple[str, bool]:
    """Say what comes, line by line; return the last one, and whether that was all of it."""
    last, said = "", 0
    while line := output.readline(LINE):
        said += len(line)
        if said > most:
            return last, False
        text = line.decode(errors="replace").rstrip()
        say(text)
        last = text.strip() or last
    return last, True


def remove(path: Path) -> None:
    """Remove a tree that hosted code has made, however deep it is; links are not followed."""
    with contextlib.suppress(OSError):
        subprocess.run(["rm", "-rf", "--", str(path)], check=False, stderr=subprocess.DEVNULL, env={"PATH": os.defpath})
