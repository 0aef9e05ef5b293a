"""From where each application's files are served; looked at again now and then, since a link may have been turned."""

from __future__ import annotations

import time
from collections.abc import Callable

from .areas import Areas, Place
from .spec import AppSpec

#: How long (seconds) a look is good for, up to twice as long. It is no risk: nginx follows no link that was looked at.
GOOD_FOR = 3.0
NOWHERE = Place("")


class FilePlaces:
    """Know the place of each application's files."""

    def __init__(self, areas: Callable[[], Areas]) -> None:
        self.survey = areas
        self.areas: Areas | None = None
        self.known: dict[int, tuple[AppSpec, float, Place]] = {}

    def look_anew(self) -> None:
        """Forget the areas: there may be other applications now."""
        self.areas = None

    def of(self, spec: AppSpec) -> Place:
        """Return where an application's files are."""
        now = time.monotonic()
        known = self.known.get(spec.id)
        if known and known[0] is spec and now < known[1]:
            return known[2]
        self.areas = self.areas or self.survey()
        place = self.areas.place(spec.files.path) if spec.files.path else NOWHERE
        # Not all in one tick: there may be a thousand.
        self.known[spec.id] = (spec, now + GOOD_FOR * (1 + spec.id % 10 / 10), place)
        return place

    def forget(self, app_id: int) -> None:
        """Forget one that has gone."""
        self.known.pop(app_id, None)
