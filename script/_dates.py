"""What script/lock needs of uv's own lock file, the one place where it tells when a release was uploaded.

``project OLDEST LOCK…`` prints a project that asks for what the lock files pin;
``dates UV_LOCK LOCK…`` prints a line for each pin: ``name==version YYYY-MM-DD``, the day of its first file.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PIN = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", re.MULTILINE)


def pins(paths: list[str]) -> list[tuple[str, str]]:
    """Return what lock files pin, each once."""
    found = [pin for path in paths for pin in PIN.findall(Path(path).read_text())]
    return sorted(set(found))


def project(oldest: str, paths: list[str]) -> str:
    """Return a pyproject.toml."""
    wanted = ", ".join(f'"{name}=={version}"' for name, version in pins(paths))
    return f'[project]\nname = "stoa-dates"\nversion = "0"\nrequires-python = ">={oldest}"\ndependencies = [{wanted}]\n'


def dates(lock: str, paths: list[str]) -> str:
    """Return the lines of requirements.dates. Raises KeyError where the registry does not tell."""
    days = {}
    for package in tomllib.loads(Path(lock).read_text())["package"]:
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        if files:
            days[package["name"], package["version"]] = min(file["upload-time"] for file in files)[:10]
    lines = [f"{name}=={version} {days[name, version]}" for name, version in pins(paths)]
    return "\n".join(["# When each pin was released. Written by script/lock.", *lines, ""])


if __name__ == "__main__":
    kind, first, *rest = sys.argv[1:]
    sys.stdout.write({"project": project, "dates": dates}[kind](first, rest))
