"""The passes by which open WebSockets have come in, as workers show them in their gauges. The gate judges them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from .application import Application
from .gauge import Gauge

# So many are told in one piece.
PIECE = 200


def held(applications: Iterable[Application]) -> dict[str, list[str]]:
    """Return the passes in pieces, each under a key that begins with the application's id and a slash."""
    found = {}
    for application, key, gauge in _gauges(applications):
        texts = sorted(set(gauge.passes().values()))
        for at in range(0, len(texts), PIECE):
            found[f"{application.id}/{key}/{at}"] = texts[at : at + PIECE]
    return found


def revoke(applications: Iterable[Application], passes: Mapping[str, Sequence[str]]) -> None:
    """Have the WebSockets closed that came in by these passes, which are given by the application's id."""
    for application, _key, gauge in _gauges(applications):
        gauge.revoke(set(passes.get(str(application.id), ())))


def _gauges(applications: Iterable[Application]) -> Iterator[tuple[Application, str, Gauge]]:
    for application in applications:
        for instance in application.instances():
            for worker in instance.workers.values():
                if worker.gauge:
                    yield application, worker.key, worker.gauge
