"""Apply routes to nginx: written whole, tested, reloaded, and confirmed by reading a number back."""

from __future__ import annotations

import ipaddress
import os
import pwd
import re
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import removal, rotation, wire
from .front_config import FrontSettings, Rendered, render
from .front_routes import link_of
from .nginx import CONFIG, FrontUnavailable, complaint, start_argv
from .spec import Route, ServeFiles

__all__ = ["Applied", "Front", "FrontSettings"]

PATIENCE = 20.0
# nginx tells its old workers to stop 0.1 s after it has started the new ones (ngx_master_process_cycle);
# until then both take connections. The new configuration is in force when only new workers have answered
# for longer than that.
HANDOVER = 0.15
ASKED_AT_LEAST = 6
# A directory's name is bytes; those that are no text stay what they are.
AS_NAMED = "surrogateescape"
PAUSE = 0.01


@dataclass(frozen=True)
class Applied:
    """What the front was told. ``refused`` has the words by route id; ``error`` is "" where all went well."""

    generation: int
    refused: dict[int, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class _Wish:
    """What ``apply`` was called with."""

    routes: tuple[Route, ...]
    defaults: tuple[tuple[str, str], ...]


class Front:
    """nginx, from the supervisor's side; one thread at a time.

    ``send`` delivers a signal to the master. What it raises as OSError is told as an error.
    """

    def __init__(self, settings: FrontSettings, send: Callable[[int], object]) -> None:
        self.send = send
        self.folder = settings.run_dir / "front"
        self.config = settings.run_dir / CONFIG
        self.folder.mkdir(mode=0o700, exist_ok=True)
        # nginx's own files are its account's: the one that is named, else whoever owns their folder.
        self.owner = pwd.getpwnam(settings.user).pw_uid if settings.user else self.folder.stat().st_uid
        self.settings = self._completed(settings)
        self._clear_away_others(self.folder / "tmp")
        self._wish: _Wish | None = None
        self._applied = Applied(0)

    def _completed(self, settings: FrontSettings) -> FrontSettings:
        """Add what only this machine knows."""
        return replace(
            settings,
            as_root=os.geteuid() == self.owner == 0,
            open_files=settings.open_files or _hard_limit(),
            apps_listen=_resolved(settings.apps_listen),
            portal_listen=_resolved(settings.portal_listen),
        )

    def _clear_away_others(self, kept: Path) -> None:
        """Remove the bodies of an nginx that ran as another account: in its directories ours could keep none.

        They are not given to ours, since what lies there that account has put there.
        """
        if os.geteuid() or not self.owner or not kept.is_dir():
            return
        if any(path.lstat().st_uid != self.owner for path in (kept, *kept.iterdir())):
            removal.remove(kept)

    def argv(self) -> list[str]:
        """Return the master's command line: it is run in the run directory, NGINX names its sockets."""
        return start_argv(self.settings.binary, self.settings.run_dir)

    def apply(self, routes: Sequence[Route], defaults: Mapping[str, str] | None = None, *, running: bool) -> Applied:
        """Have nginx serve these routes, and no others.

        1. Link the directories; write the configuration, if it is another than the one that is written, once
           nginx has tested it; a route that nginx refuses is left out.
        2. Where nginx runs (``running``), reload it, unless it has this configuration, and wait until it has.
        """
        wish = _Wish(tuple(routes), tuple(sorted((defaults or {}).items())))
        try:
            return self._applied_to(wish, running=running)
        except (OSError, ValueError, FrontUnavailable) as error:
            return Applied(self._applied.generation, {}, str(error))

    def _applied_to(self, wish: _Wish, *, running: bool) -> Applied:
        self._prepare(wish.routes)
        if wish != self._wish or self.generation() != self._applied.generation:
            self._wish, self._applied = None, self._written(wish)
            if self._applied.error:
                return self._applied
        applied = self._reloaded(self._applied, PATIENCE) if running else self._applied
        if not applied.error:
            self._wish = wish
            self._forget_links(wish.routes)
        return applied

    def renew(self, tls: str) -> None:
        """Serve with another certificate from the next ``apply`` on; ``tls`` is its stamp."""
        self.settings = replace(self.settings, tls=tls)
        self._wish = None

    def count_anew(self) -> None:
        """Count the bodies that are under way anew from the next ``apply`` on (``front_bodies.counted``)."""
        self.settings = replace(self.settings, epoch=self.settings.epoch + 1)
        self._wish = None

    # The files

    def _prepare(self, routes: Iterable[Route]) -> None:
        """Make what the configuration refers to."""
        self.give(self.folder)
        for path in (self.folder / "tmp", self.settings.run_dir / "files"):
            path.mkdir(mode=0o700, exist_ok=True)
            self.give(path)
        _link(self.folder / "static", Path(self.settings.static_dir))
        _link(self.folder / "log", self.settings.access_log.parent)
        for route in routes:
            if _has_files(route):
                _link(self.settings.run_dir / "files" / link_of(route), Path(route.root or route.files.path))

    def give(self, path: Path | int) -> None:
        """Let the account that nginx runs as own what root has made for it."""
        if os.geteuid() == 0:
            os.chown(path, self.owner, pwd.getpwuid(self.owner).pw_gid)

    def _identity(self) -> dict[str, Any]:
        """Return what makes a child of root's the account that nginx runs as."""
        if os.geteuid() != 0 or self.owner == 0:
            return {}
        account = pwd.getpwuid(self.owner)
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}

    def _forget_links(self, routes: Iterable[Route]) -> None:
        """Remove the links that no route needs any more."""
        folder = self.settings.run_dir / "files"
        wanted = {link_of(route) for route in routes if _has_files(route)}
        for name in set(os.listdir(folder)) - wanted:
            with suppress(OSError):
                (folder / name).unlink()

    def generation(self) -> int:
        """Return the generation of the configuration that is written, 0 where there is none."""
        try:
            first = self.config.read_text(errors=AS_NAMED).partition("\n")[0]
        except OSError:
            return 0
        found = re.fullmatch(r"# generation (\d+)", first)
        return int(found[1]) if found else 0

    def _written(self, wish: _Wish) -> Applied:
        """Write the configuration, unless it is written; leave out each route that nginx refuses."""
        refused: dict[int, str] = {}
        last = self.generation()
        if self._is_written(wish, last):
            return Applied(last, dict(self._rendered(wish.routes, wish, last).refused))
        good = list(wish.routes)
        while words := self._complaint(good, wish):
            culprit = self._culprit(words) or self._searched(good, wish)
            if culprit is None:
                return Applied(last, refused, f"nginx refuses its configuration: {words}")
            refused[culprit] = words.partition(f" in {self.settings.run_dir}")[0]
            good = [route for route in good if route.id != culprit]
        rendered = self._rendered(good, wish, last + 1)
        self._write(self.config, rendered.text)
        return Applied(last + 1, {**rendered.refused, **refused})

    def _is_written(self, wish: _Wish, generation: int) -> bool:
        """Say whether the file has just what would be written, as when only the supervisor was restarted."""
        try:
            return self.config.read_text(errors=AS_NAMED) == self._rendered(wish.routes, wish, generation).text
        except OSError:
            return False

    def _rendered(self, routes: Sequence[Route], wish: _Wish, generation: int, *, trial: bool = False) -> Rendered:
        return render(self.settings, routes, dict(wish.defaults), generation, trial=trial)

    def _complaint(self, routes: Sequence[Route], wish: _Wish) -> str:
        """Have nginx test what these routes make; return its words, or ""."""
        self._write(self._trial, self._rendered(routes, wish, 0, trial=True).text)
        config = str(self._trial.relative_to(self.settings.run_dir))
        return complaint(self.settings.binary, self.settings.run_dir, config, self._identity())

    @property
    def _trial(self) -> Path:
        return self.config.with_suffix(".trial")

    def _write(self, path: Path, text: str) -> None:
        """Put a whole file in the place of another, for the owner alone."""
        fresh = path.with_name(f".{path.name}")
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", errors=AS_NAMED) as file:
            file.write(text)
            file.flush()
            self.give(fd)
        fresh.replace(path)

    def _culprit(self, words: str) -> int | None:
        """Return the route that nginx's complaint is about, by the line that it names."""
        found = re.search(rf"{re.escape(self._trial.name)}:(\d+)$", words)
        if not found:
            return None
        before = self._trial.read_text(errors=AS_NAMED).split("\n")[: int(found[1])]
        marks = [mark for line in before if (mark := line.strip()) == "# end" or mark.startswith("# route ")]
        last = marks[-1] if marks else "# end"
        return None if last == "# end" else int(last.removeprefix("# route "))

    def _searched(self, routes: Sequence[Route], wish: _Wish) -> int | None:
        """Find a route that nginx refuses without naming a line: the last of the fewest that it refuses."""
        if not routes or self._complaint([], wish):
            return None
        fine, bad = 0, len(routes)
        while bad - fine > 1:
            middle = (fine + bad) // 2
            if self._complaint(routes[:middle], wish):
                bad = middle
            else:
                fine = middle
        return routes[bad - 1].id

    # The processes

    def _reloaded(self, applied: Applied, seconds: float) -> Applied:
        """Reload a running nginx, unless it answers with this generation; wait until it does.

        The signal is sent once an older generation has answered: a master that has just been started does not
        know it yet, and would end by it.
        """
        deadline = time.monotonic() + seconds
        while (answer := self._answer()) is None and time.monotonic() < deadline:
            time.sleep(PAUSE)
        if answer == applied.generation:
            return applied
        if answer is not None:
            self.send(signal.SIGHUP)
        return self.confirm(applied, max(0.0, deadline - time.monotonic()))

    def confirm(self, applied: Applied, seconds: float = PATIENCE) -> Applied:
        """Wait until nginx answers with what was applied, and nothing older; else say it in ``error``."""
        deadline = time.monotonic() + seconds
        since, good = time.monotonic(), 0
        while good < ASKED_AT_LEAST or time.monotonic() - since < HANDOVER:
            if time.monotonic() > deadline:
                words = f"nginx did not take over its configuration within {seconds:.0f} s"
                return replace(applied, error=f"{words}; messages.log says why")
            if self._answer() == applied.generation:
                good += 1
            else:
                since, good = time.monotonic(), 0
            time.sleep(PAUSE)
        return applied

    def _answer(self) -> int | None:
        """Ask some worker for its generation, over a connection of its own; None if nobody answers."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(2)
            try:
                with wire.short_path(self.folder / "state.sock") as short:
                    sock.connect(short)
                sock.sendall(b"GET /generation HTTP/1.0\r\n\r\n")
                answer = b""
                while part := sock.recv(4096):
                    answer += part
            except OSError:
                return None
        body = answer.rpartition(b"\r\n\r\n")[2].strip()
        return int(body) if body.isdigit() else None

    def rotate(self, limit: int = rotation.LIMIT) -> bool:
        """Put the access log aside if it is large, and have nginx open a new one. Raises OSError."""
        log = self.settings.access_log
        if not rotation.rotate_when_large(log, limit):
            return False
        # nginx may not be one who can make files there.
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            self.give(fd)
        finally:
            os.close(fd)
        self.send(signal.SIGUSR1)
        return True


def _has_files(route: Route) -> bool:
    return bool(route.files.path) and route.files.serve is not ServeFiles.NO


def _hard_limit() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 65536 if hard == resource.RLIM_INFINITY else hard


def _resolved(address: tuple[str, int]) -> tuple[str, int]:
    """Return the address that a listener on this host has; nginx recognises what it inherits by that."""
    host, port = address
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return str(found[4][0]), port


def _link(path: Path, target: Path) -> None:
    """Let ``path`` be a link to ``target`` at every moment."""
    try:
        if path.readlink() == target:
            return
    except OSError:
        pass
    fresh = path.with_name(f".{path.name}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)
