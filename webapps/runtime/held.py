"""What the keeper holds for others, by keys whose first word says what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Keys that begin so are reading ends of output, for the log writer.
PIPE = "pipe:"
# A note of each process that the keeper has started, for the next keeper.
CHILD = "child:"
WORKER = "worker:"


@dataclass
class Held:
    """Descriptors that must not be lost, and what their owner notes of them."""

    fds: list[int]
    meta: dict[str, Any]
