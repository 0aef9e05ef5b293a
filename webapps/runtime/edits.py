"""Notice that the Python files of an application with DEBUG have been edited."""

from __future__ import annotations

from dataclasses import dataclass

from .hostedfiles import TooMuch, Walk
from .spec import AppSpec

# How many files are looked at: more than that is not one application's own.
MOST = 3000
SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__"})
ENDINGS = (".py", ".wsgi")


@dataclass(frozen=True)
class Edits:
    """What an application's files were like when it was last begun: ``stamp`` of those ``below`` these directories."""

    below: tuple[str, ...] = ()
    stamp: int = 0

    @classmethod
    def of(cls, spec: AppSpec, number: int) -> Edits:
        """Return what its files are like now, by their ``stamp``."""
        return cls((spec.directory, *spec.python_path), number)

    def follow(self, before: Edits) -> bool:
        """Say whether these are the same directories, with files that were edited since."""
        return self.below == before.below and before.stamp not in (0, self.stamp)


def stamp(spec: AppSpec) -> int:
    """Return a number that changes when a Python file in its directory or Python Path does; 0 where that is not known.

    Virtual environments and hidden directories are left out, and what lies deeper or is more than a walk may look at.
    """
    walk = Walk(ENDINGS, SKIPPED, without="pyvenv.cfg")
    seen = []
    try:
        for directory in (spec.directory, *spec.python_path):
            for found in walk.below(directory):
                seen.append((directory, *found))
                if len(seen) >= MOST:
                    return hash(tuple(seen)) or 1
    except TooMuch:
        return 0
    return hash(tuple(seen)) or 1
