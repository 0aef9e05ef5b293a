"""Notice that the Python files of an application with DEBUG have been edited."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .spec import AppSpec

# How many files are looked at: more than that is not one application's own.
MOST = 3000
SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__"})


def stamp(spec: AppSpec) -> int:
    """Return a number that changes when a Python file in its directory or Python Path does.

    Virtual environments and hidden directories are left out.
    """
    seen = []
    for directory in (spec.directory, *spec.python_path):
        for entry in _python_files(directory):
            try:
                stat = entry.stat()
            except OSError:
                continue  # It is being replaced just now; the next look sees it.
            seen.append((entry.path, stat.st_mtime_ns, stat.st_size))
            if len(seen) >= MOST:
                return hash(tuple(seen))
    return hash(tuple(seen)) or 1


def _python_files(directory: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    if any(entry.name == "pyvenv.cfg" for entry in found):
        return
    for entry in found:
        if entry.name.endswith((".py", ".wsgi")):
            yield entry
        elif not entry.name.startswith(".") and entry.name not in SKIPPED and entry.is_dir(follow_symlinks=False):
            yield from _python_files(entry.path)
