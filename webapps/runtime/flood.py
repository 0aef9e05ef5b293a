"""What one part of Stoa says too often is counted, not written: whoever sends bad requests does not fill the disk."""

from __future__ import annotations

# So many lines of one part are written within so many seconds.
LINES, WINDOW = 300, 10.0
COUNTED = "{} more lines within {:.0f} seconds are not written"


class Floods:
    """The lines of each part; ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._flowing: dict[str, _Flow] = {}

    def sift(self, part: str, texts: list[str], now: float) -> list[str]:
        """Return the lines that are to be written."""
        flow = self._flowing.get(part)
        if flow is None or (now >= flow.until and not flow.counted):
            flow = self._flowing[part] = _Flow(now + WINDOW)
        kept = texts[: max(0, LINES - flow.written)]
        flow.written += len(kept)
        flow.counted += len(texts) - len(kept)
        return kept

    def over(self, now: float) -> list[tuple[str, str]]:
        """Return what is to be said of the floods whose time is over, by part."""
        ended = {part: flow for part, flow in self._flowing.items() if now >= flow.until}
        self._flowing = {part: flow for part, flow in self._flowing.items() if part not in ended}
        return [(part, COUNTED.format(flow.counted, WINDOW)) for part, flow in ended.items() if flow.counted]

    @property
    def due(self) -> list[float]:
        """When something has to be said."""
        return [flow.until for flow in self._flowing.values() if flow.counted]


class _Flow:
    """One part's lines until a time."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.written = self.counted = 0
