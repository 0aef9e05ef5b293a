"""Whether applications are started with walls around them, and what happens where one does not hold: ``STOA_WALLS``."""

from __future__ import annotations

import enum
from collections.abc import Mapping

VARIABLE = "STOA_WALLS"


class WallMode(enum.StrEnum):
    """The values of ``STOA_WALLS``."""

    OFF = "0"
    PERMITTED = "1"
    REQUIRED = "required"


def read(environment: Mapping[str, str], user: str) -> WallMode:
    """Return what is wished; who names an account for applications (``user``) wants them kept from others.

    Raises ValueError, in words, where the value is none of ours.
    """
    given = environment.get(VARIABLE, "")
    if not given:
        return WallMode.REQUIRED if user else WallMode.PERMITTED
    try:
        return WallMode(given)
    except ValueError:
        known = ", ".join(mode.value for mode in WallMode)
        raise ValueError(f"{VARIABLE} is “{given}”, which is none of {known}") from None


def is_off(environment: Mapping[str, str]) -> bool:
    """Say whether applications are started without any walls."""
    return environment.get(VARIABLE, "") == WallMode.OFF
