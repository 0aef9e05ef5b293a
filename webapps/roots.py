"""Which directories an editor may name: naming one is running the code in it, or serving what lies there."""

from __future__ import annotations

from collections.abc import Mapping

from webapps.runtime.reach import is_below

from . import validators
from .choices import Kind
from .models import WebApp, default_directory

__all__ = ["is_below", "named", "problems"]


def named(webapp: WebApp) -> dict[str, tuple[str, ...]]:
    """Return the directories that a row names, field by field, those that follow from other fields included."""
    directory = webapp.directory or (default_directory(webapp.name) if webapp.kind == Kind.WSGI else "")
    files = webapp.files_path or (f"{directory}/static" if directory else "")
    return {
        "directory": (directory,) if directory else (),
        "python_path": tuple(validators.lines(webapp.python_path)),
        "path": (files,) if files else (),
    }


def problems(webapp: WebApp, before: WebApp | None) -> Mapping[str, str]:
    """Say at which fields an editor names what he may not; what was there before him in this namespace may stay."""
    roots = webapp.namespace.effective_roots
    stays = named(before) if before and before.namespace_id == webapp.namespace_id else {}
    found = {}
    for field, directories in named(webapp).items():
        strange = [path for path in directories if path not in stays.get(field, ()) and not is_below(path, roots)]
        if strange:
            found[field] = (
                f"{', '.join(strange)} is not below {' or '.join(roots)}, where applications of {webapp.namespace} "
                "live. Give a directory there, or ask an administrator."
            )
    if "directory" in found and not webapp.path:
        found.pop("path", None)  # It follows from the directory.
    return found
