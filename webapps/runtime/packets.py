"""Answers of the control socket as packets: none is longer than a socket takes, whatever applications have said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

#: About so many bytes are in one; the smallest that a kernel takes is twice as long (net.core.wmem_default).
MOST = 100_000
#: What one application can add to a status, in bytes: its words, and what it has printed.
WORDS, PRINTED = 12_000, 40_000


def cut(answer: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """Yield an answer whose longest part has this name; all packets but the last say that there is more."""
    part: dict[str, Any] = {}
    size = 0
    for key, value in answer.get(name, {}).items():
        added = len(json.dumps({key: value}))
        if part and size + added > MOST:
            yield {name: part, "more": True}
            part, size = {}, 0
        part[key], size = value, size + added
    yield {**answer, name: part} if part else dict(answer)


def short(text: str, most: int = WORDS) -> str:
    """Return the beginning of a text that takes so many bytes: as JSON, one character is up to twelve."""
    encoded = json.dumps(text)[1:-1]
    if len(encoded) <= most:
        return text
    for end in range(most, 0, -1):
        try:
            begun = str(json.loads(f'"{encoded[:end]}"'))
        except ValueError:  # It ends within an escape, of at most six.
            continue
        return (begun[:-1] if "\ud800" <= begun[-1:] <= "\udbff" else begun) + "…"  # No half of a character.
    return "…"
