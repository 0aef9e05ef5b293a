"""What a zygote imports for its workers: frameworks that are safe to import before anything is configured.

A worker that is ready says which of them its application uses (``seen``), the zygote imports those (``load``) and
every later worker begins with them. Runs on the zygote's side, under any CPython from 3.10.
"""

from __future__ import annotations

import importlib
import os
import site
import sys
from collections.abc import Iterable

from . import warm

# No settings are read, no thread and no process is started, and nothing is opened when these are imported.
# Not SQLAlchemy: where one application had it loaded ahead and another used more of it, 2.1's cache keys failed there.
SAFE = tuple(
    """
    flask flask.json werkzeug werkzeug.serving jinja2 jinja2.ext markupsafe itsdangerous click blinker
    bottle
    starlette starlette.applications starlette.responses starlette.routing starlette.middleware.cors
    starlette.staticfiles starlette.templating starlette.websockets
    fastapi fastapi.responses fastapi.staticfiles fastapi.templating pydantic pydantic.main pydantic_core
    typing_extensions anyio anyio._backends._asyncio sniffio
    django django.conf django.core.handlers.wsgi django.core.handlers.asgi django.core.wsgi django.core.asgi
    django.urls django.http django.shortcuts django.template django.template.loader django.views
    django.db django.db.models django.forms django.utils.translation django.db.backends.sqlite3.base
    dateutil dateutil.parser yaml requests urllib3 certifi idna charset_normalizer
    """.split()
)


class Preloaded:
    """What has been imported before any application was, and from which state of the installed packages."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.packages = _packages_state()

    def load(self, names: Iterable[str]) -> None:
        """Import what may be imported of these; what cannot be is left to the application."""
        before = set(sys.modules)
        for name in names:
            if name not in SAFE:
                continue
            try:
                importlib.import_module(name)
            except Exception:  # noqa: S112
                continue  # The application that uses it will say what is wrong with it.
        warm.frameworks()
        self.modules |= {name for name in set(sys.modules) - before if not _is_standard(name)}

    def unload_shadowed(self, directories: Iterable[str]) -> None:
        """Forget it all where an application brings a module of such a name, or other packages are installed by now."""
        if not self.modules:
            return
        roots = {name.partition(".")[0] for name in self.modules}
        if self.packages != _packages_state() or any(_has(directory, roots) for directory in directories):
            for name in self.modules:
                # An extension module may refuse to be initialised twice in a process.
                if not (getattr(sys.modules.get(name), "__file__", None) or "").endswith(".so"):
                    sys.modules.pop(name, None)


def _is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


def seen() -> list[str]:
    """Return which of the safe modules are imported now."""
    return [name for name in SAFE if name in sys.modules]


def _packages_state() -> tuple[int, ...]:
    """Return what changes when packages are installed or removed."""
    states = []
    for directory in site.getsitepackages():
        try:
            states.append(os.stat(directory).st_mtime_ns)
        except OSError:
            states.append(0)
    return tuple(states)


def _has(directory: str, roots: set[str]) -> bool:
    try:
        names = {name.partition(".")[0] for name in os.listdir(directory)}
    except OSError:
        return False
    return not roots.isdisjoint(names)
