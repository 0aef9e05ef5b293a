"""Apply routes to nginx: written whole, tested, reloaded, and confirmed by reading a number back."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import wire
from .front_config import MARK, FrontSettings, RouteRefused, check, render
from .rotation import rotate_when_large
from .spec import Route

__all__ = ["Applied", "Front", "FrontSettings"]

CONFIG = "front/nginx.conf"
# So many answers in a row of the new configuration say that no worker of the old one accepts any more.
CONFIRMATIONS = 6
PATIENCE = 20.0


@dataclass(frozen=True)
class Applied:
    """What the front was told. ``refused`` has nginx's words by route id; ``error`` is "" where all went well."""

    generation: int
    refused: dict[int, str] = field(default_factory=dict)
    error: str = ""


class Front:
    """nginx, from the supervisor's side. ``send`` delivers a signal to its master."""

    def __init__(self, settings: FrontSettings, send: Callable[[int], None]) -> None:
        self.settings = settings
        self.send = send
        self.config = settings.run_dir / CONFIG
        self.generation = time.time_ns()
        self.applied_text = ""

    def argv(self) -> list[str]:
        """Return the command line of the master; its working directory is the run directory."""
        run_dir = str(self.settings.run_dir)
        return [self.settings.binary.path, "-p", run_dir, "-c", CONFIG, "-e", "stderr"]

    def apply(self, routes: Sequence[Route], defaults: Mapping[str, str], *, running: bool) -> Applied:
        """Write, test and, where nginx runs, reload and confirm; leave out each route that is refused."""
        self._link_files(routes)
        good, refused = self._checked(routes)
        self.generation += 1
        for _attempt in range(len(routes) + 1):
            words = self._write_and_test(good, defaults)
            if not words:
                break
            culprit = self._culprit(words)
            if culprit is None:
                return Applied(self.generation, refused, words)
            refused[culprit] = words
            good = [route for route in good if route.id != culprit]
        self.config.with_suffix(".next").replace(self.config)
        applied = Applied(self.generation, refused)
        if not running:
            return applied
        self.send(signal.SIGHUP)
        return self.confirm(applied, PATIENCE)

    def _checked(self, routes: Sequence[Route]) -> tuple[list[Route], dict[int, str]]:
        good, refused = [], {}
        for route in routes:
            try:
                check(route)
                good.append(route)
            except RouteRefused as error:
                refused[route.id] = str(error)
        return good, refused

    def _write_and_test(self, routes: Sequence[Route], defaults: Mapping[str, str]) -> str:
        """Write the configuration beside the one in use and have nginx test it; return its complaint or ""."""
        following = self.config.with_suffix(".next")
        try:
            text = render(self.settings, routes, defaults, self.generation)
        except RouteRefused as error:
            return str(error)
        following.write_text(text)
        if self.settings.user:
            shutil.chown(following, self.settings.user)
        argv = [*self.argv()[:-3], f"{CONFIG[:-5]}.next", "-e", "stderr", "-t", "-q"]
        done = subprocess.run(  # noqa: S603
            argv,
            cwd=self.settings.run_dir,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            user=self.settings.user or None,  # The test makes nginx's files, which have to be nginx's own.
        )
        return "" if done.returncode == 0 else _complaint(done.stderr)

    def _culprit(self, words: str) -> int | None:
        """Return the route that nginx's complaint is about, by the line that it names."""
        found = re.search(r"\.next:(\d+)", words)
        if not found:
            return None
        lines = self.config.with_suffix(".next").read_text().splitlines()[: int(found[1])]
        marks = (line.strip().removeprefix(MARK) for line in reversed(lines) if line.strip().startswith(MARK))
        return int(next(marks, "0")) or None

    def confirm(self, applied: Applied, seconds: float) -> Applied:
        """Wait until every worker answers with the generation that was applied."""
        deadline = time.monotonic() + seconds
        in_a_row = 0
        while in_a_row < CONFIRMATIONS:
            if time.monotonic() > deadline:
                return replace(applied, error=f"nginx did not take over its configuration within {seconds:.0f} s")
            if self._answers() == str(applied.generation):
                in_a_row += 1
            else:
                in_a_row = 0
                time.sleep(0.01)
        return applied

    def _answers(self) -> str:
        """Ask a worker for its generation over a connection of its own."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(2)
            try:
                with wire.short_path(self.settings.run_dir / "front" / "state.sock") as short:
                    sock.connect(short)
                sock.sendall(b"GET /generation HTTP/1.0\r\n\r\n")
                answer = b""
                while part := sock.recv(4096):
                    answer += part
            except OSError:
                return ""
        return answer.rpartition(b"\r\n")[2].decode()

    def _link_files(self, routes: Sequence[Route]) -> None:
        """Let ``files/<id>`` name each route's directory, so that no directory stands in the configuration."""
        folder = self.settings.run_dir / "files"
        folder.mkdir(exist_ok=True)
        wanted = {str(route.id): route.files.path for route in routes if route.files.path}
        for name in os.listdir(folder):
            if name not in wanted:
                (folder / name).unlink()
        for name, target in wanted.items():
            _link(folder / name, target)

    def rotate(self) -> None:
        """Put the access log aside when it is large, and have nginx open a new one."""
        if rotate_when_large(self.settings.access_log):
            self.send(signal.SIGUSR1)


def _link(path: Path, target: str) -> None:
    try:
        if os.readlink(path) == target:
            return
    except OSError:
        pass
    fresh = path.with_name(f".{path.name}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)


def _complaint(output: str) -> str:
    """Return nginx's own words without time and process."""
    for line in output.splitlines():
        found = re.search(r"\[(?:emerg|alert|crit|error)\] (?:\d+#\d+: )?(.*)", line)
        if found:
            return found[1]
    return output.strip() or "nginx -t failed without a word"
