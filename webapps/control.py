"""Ask the supervisor from Django: what runs, look again, install."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from webapps.runtime import control as runtime


def status(timeout: float = 3.0) -> dict[str, Any] | None:
    """Return what the supervisor says of everything, None when it does not answer."""
    return _ask({"do": "status"}, timeout)


def is_served() -> bool:
    """Say whether Stoa runs, whoever answers."""
    return runtime.is_served(settings.STOA_HOME / "run")


def nudge() -> None:
    """Ask the supervisor to look at the rows now; one that does not hear it looks a tick later."""
    _ask({"do": "nudge"}, 1.0)


def install(*, pk: int, label: str, namespace: str, requirements: str, labels: list[str]) -> str:
    """Have a requirements file installed into the namespace; return "" or why that cannot be done.

    ``labels`` are those of all its applications, the disabled too: what others asked for is left out from now on.
    """
    request = {
        "do": "install",
        "id": pk,
        "label": label,
        "namespace": namespace,
        "requirements": requirements,
        "labels": labels,
    }
    answer = _ask(request, 5.0)
    if answer is None:
        return "Stoa’s supervisor is not running, and it is what installs. Start it with script/serve."
    return str(answer.get("error", ""))


def _ask(request: dict[str, Any], timeout: float) -> dict[str, Any] | None:
    try:
        return runtime.ask(settings.STOA_HOME / "run", request, timeout)
    except (runtime.SupervisorUnreachable, ValueError):
        return None
