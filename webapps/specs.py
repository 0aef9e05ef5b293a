"""Turn rows into what the runtime is told."""

from __future__ import annotations

import os
from pathlib import Path

from webapps.runtime.spec import AppSpec, Bounds, Cors, Files, Limits, Protocol, ServeFiles

from . import validators
from .models import Change, Namespace, Options, WebApp


def read_specs(home: Path | None = None) -> list[AppSpec]:
    """Return the specs of all enabled applications."""
    rows = WebApp.objects.filter(enabled=True).select_related("namespace").order_by("pk")
    allowed = Options.current().methods
    return [spec_of(webapp, allowed) for webapp in rows]


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
    numbers = {name: int(limits.get(name) or 0) for name in ("memory", "open_files", "processes", "temporary", "nice")}
    return Bounds(**numbers, reach=tuple(limits.get("reach") or ()))
