"""What a newcomer says on its pipe when it is ready, or why it is not: hosted code can have written anything there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .frameworks import SAFE
from .hostedfiles import plain
from .readiness import DETAIL, REASON

# So many bytes are read of it, in so many pieces: more than the longest that readiness.py says.
MOST, MOST_PIECES = 512 << 10, 100
NOTHING_SAID = "it did not say why it cannot serve"


@dataclass(frozen=True)
class Heard:
    """A newcomer's word; ``where`` it hangs is None where that is not why it is not ready."""

    ready: bool
    reason: str = ""
    detail: str = ""
    remedy: str = ""
    where: str | None = None
    modules: tuple[str, ...] = ()

    @classmethod
    def read(cls, message: bytes) -> Heard | None:
        """Return what is said, as far as it can be shown; None where that is not all of it, or nothing."""
        said = _object(message)
        if said is None:
            return None
        where = said.get("where")
        return cls(
            ready=said.get("ready") is True,
            reason=_text(said.get("reason"), REASON) or NOTHING_SAID,
            detail=_text(said.get("detail"), DETAIL),
            remedy=_text(said.get("remedy"), REASON),
            where=_text(where, REASON) if where is not None else None,
            modules=_modules(said.get("modules")),
        )


def _object(message: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _text(value: object, most: int) -> str:
    return plain(value[:most]) if isinstance(value, str) else ""


def _modules(value: object) -> tuple[str, ...]:
    return tuple(name for name in SAFE if name in value) if isinstance(value, list) else ()
