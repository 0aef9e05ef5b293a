"""Look at an application's files without running them."""

from __future__ import annotations

import itertools
import os

from .spec import AppSpec

# How many files of a failed application are looked at each second.
MOST_WATCHED = 200


def problem_of(spec: AppSpec) -> str:
    """Say what can be seen to be wrong before anything is started."""
    if not os.path.exists(spec.directory):
        return f"the directory {spec.directory} does not exist; it is started as soon as it is there"
    if not os.path.isdir(spec.directory):
        return f"{spec.directory} is a file, and WSGI App Directory has to be a directory"
    if not os.access(spec.directory, os.R_OK | os.X_OK):
        return f"the directory {spec.directory} cannot be read by the user that Stoa runs as"
    return ""


def last_change(directory: str) -> int:
    """Return a number that changes when Python files in a directory, or one level below it, do."""
    seen = []
    try:
        for folder in (directory, *_folders(directory)):
            with os.scandir(folder) as entries:
                found = (entry for entry in entries if entry.name.endswith((".py", ".wsgi")))
                seen += [(entry.path, entry.stat().st_mtime_ns) for entry in itertools.islice(found, MOST_WATCHED)]
    except OSError:
        return 0
    return hash(tuple(sorted(seen))) or 1


def _folders(directory: str) -> list[str]:
    with os.scandir(directory) as entries:
        found = (entry.path for entry in entries if entry.is_dir() and not entry.name.startswith((".", "__")))
        return list(itertools.islice(found, MOST_WATCHED // 10))
