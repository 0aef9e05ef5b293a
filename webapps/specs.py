"""Turn rows into what the runtime is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from webapps.runtime.spec import AppSpec, Bounds, Cors, Files, Limits, Protocol, ServeFiles

from . import validators
from .models import Change, Namespace, Options, WebApp

# What a spec follows from, in short: every save of a row, or of its namespace, raises its revision.
STAMP = ("revision", "authe_enabled", "resource")
Stamp = tuple[object, ...]
#: What catches the failure of a step, which it is given in words (``runtime.faults``).
Catching = Callable[[str], AbstractContextManager[object]]


class SpecReader:
    """Read the specs of all enabled applications; only those that have changed are built anew."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Stamp, AppSpec]] = {}

    def read(self, catching: Catching = nullcontext) -> list[AppSpec]:
        """Return the specs in the order of their rows; one that has not changed is the same value as before.

        One that cannot be built is as it was, or left out; ``catching`` is told of it, and decides whether that passes.
        """
        allowed = Options.current().methods
        enabled = WebApp.objects.filter(enabled=True)
        stamps = {pk: (*stamp, allowed) for pk, *stamp in enabled.order_by("pk").values_list("pk", *STAMP)}
        known = {pk: self._known[pk] for pk, stamp in stamps.items() if self._stamp_of(pk) == stamp}
        rows = enabled.select_related("namespace").in_bulk(stamps.keys() - known.keys())
        for pk, webapp in rows.items():
            if pk in self._known:
                known[pk] = self._known[pk]
            with catching(f"reading the row of {webapp.label}"):
                known[pk] = (_stamp(webapp, allowed), spec_of(webapp, allowed))
        self._known = known
        return [known[pk][1] for pk in stamps if pk in known]

    def _stamp_of(self, pk: int) -> Stamp:
        return self._known[pk][0] if pk in self._known else ()


def _stamp(webapp: WebApp, allowed: int) -> Stamp:
    """Return the stamp of a row as it was read, which may be newer than the one it was asked for by."""
    return (*(getattr(webapp, name) for name in STAMP), allowed)


def read_specs() -> list[AppSpec]:
    """Return the specs of all enabled applications."""
    return SpecReader().read()


def change_counter() -> int:
    """Return the number that rises with every change to a row."""
    return Change.counters()[0]


def spec_of(webapp: WebApp, allowed: int) -> AppSpec:
    """Return the frozen value of one row, where the system allows these methods of authentication."""
    return AppSpec(
        id=webapp.pk,
        revision=webapp.revision,
        name=webapp.name,
        host=webapp.host,
        namespace=webapp.namespace.name,
        protocol=Protocol(webapp.protocol),
        directory=_plain(webapp.directory),
        module=webapp.app_name,
        callable=webapp.callable_name or "application",
        python_path=tuple(validators.lines(webapp.python_path)),
        environment=_environment(webapp),
        own_variables=tuple(webapp.environment),
        roots=tuple(webapp.namespace.effective_roots),
        interpreter=webapp.namespace.interpreter,
        os_user=webapp.namespace.os_user,
        debug=webapp.debug,
        open=webapp.is_open(allowed),
        health_path=webapp.health_path,
        health_status=webapp.health_status,
        limits=_limits(webapp),
        bounds=_bounds(webapp.namespace),
        cors=Cors(
            tuple(validators.items(webapp.cors_allowlist)),
            tuple(validators.items(webapp.cors_headers)),
            webapp.cors_credentials,
        ),
        files=Files(ServeFiles(webapp.serve_files), _plain(webapp.files_path), webapp.serve_files_timeout),
    )


def _plain(path: str) -> str:
    return os.path.normpath(path) if path else ""


def _environment(webapp: WebApp) -> dict[str, str]:
    """Put the namespace's variables together with the application's own, which win."""
    namespace: Namespace = webapp.namespace
    values = {"DATABASE_URL": namespace.effective_database_url}
    for environment in (namespace.environment, webapp.environment):
        values |= {name: entry["value"] for name, entry in environment.items()}
    return values


def _limits(webapp: WebApp) -> Limits:
    return Limits(
        processes_min=webapp.processes_min,
        processes_max=webapp.processes_max,
        threads=webapp.threads,
        request_timeout=webapp.request_timeout,
        start_timeout=webapp.start_timeout,
        memory=webapp.memory_limit,
        max_requests=webapp.max_requests,
        sleep_after=webapp.sleep_after,
        max_body=webapp.max_body,
    )


def _bounds(namespace: Namespace) -> Bounds:
    """Read a namespace's limits; what is left out is what Stoa takes by itself."""
    limits = namespace.limits
    names = ("memory", "memory_all", "open_files", "processes", "temporary", "nice")
    numbers = {name: int(limits.get(name) or 0) for name in names}
    ports = tuple((int(first), int(last)) for first, last in limits.get("ports") or ())
    return Bounds(**numbers, reach=tuple(limits.get("reach") or ()), ports=ports)
