"""Look at an application's files without running them."""

from __future__ import annotations

import os
from itertools import islice

from .edits import ENDINGS, SKIPPED
from .hostedfiles import TooMuch, Walk
from .spec import AppSpec

# How many files, and names of any kind, of a failed application are looked at each second.
MOST_WATCHED = 1000
MOST_NAMES = 5000


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
    """Return a number that changes when Python files in a directory or one level below it do; 0: there is none."""
    if not os.path.isdir(directory):
        return 0
    walk = Walk(ENDINGS, SKIPPED, most=MOST_NAMES, deepest=1)
    try:
        return hash(tuple((found.path, found.changed) for found in islice(walk.below(directory), MOST_WATCHED))) or 1
    except TooMuch:
        return 0
