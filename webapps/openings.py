"""What an application's settings open to it beyond its own directories, as its page shows it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings

from webapps.runtime import wallmode
from webapps.runtime.reach import Opening, Reach, Source

from .choices import Kind
from .models import WebApp
from .specs import spec_of

HIDDEN = "…"


@dataclass(frozen=True)
class Shown:
    """One line: who names what. ``why_not`` it is not opened, "" where it is; ``path`` is "" where it is a secret.

    ``whole`` where a directory is opened with all in it, ``there`` where there is anything to open.
    """

    setting: str
    path: str
    write: bool
    why_not: str = ""
    remedy: str = ""
    whole: bool = False
    there: bool = True


def of(webapp: WebApp, allowed: int) -> list[Shown]:
    """List what an application's settings name that is not its own, where walls are around it."""
    if webapp.protocol == "files" or wallmode.is_off(os.environ):
        return []
    found = Reach(spec_of(webapp, allowed), settings.STOA_HOME, _directories).openings()
    return [_shown(opening, webapp) for opening in found if opening.widens]


def _directories() -> Iterator[str]:
    """Name where applications live, as the supervisor sees it."""
    rows = WebApp.objects.filter(enabled=True).exclude(kind=Kind.FILES).exclude(directory="")
    return (os.path.realpath(directory) for directory in rows.values_list("directory", flat=True))


def _shown(opening: Opening, webapp: WebApp) -> Shown:
    naming, secret = opening.naming, _is_secret(opening, webapp)
    return Shown(
        f"{naming.setting} of {naming.source.value}",
        "" if secret else _path(opening),
        naming.write,
        opening.why_not,
        opening.remedy.replace(naming.steps[-1], HIDDEN) if secret else opening.remedy,
        whole=naming.of_a_file or os.path.isdir(naming.steps[-1]),
        there=_is_there(naming.steps[-1]),
    )


def _is_there(path: str) -> bool:
    """Say whether anything is at a path; where the portal may not look, it has no word against it."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def _path(opening: Opening) -> str:
    """Return what is opened, which for a database is the directory of its file; or what is named and is not opened."""
    naming = opening.naming
    return naming.steps[-1] if naming.of_a_file and not opening.why_not else naming.path


def _is_secret(opening: Opening, webapp: WebApp) -> bool:
    """Say whether the value that names it is one that is never shown."""
    source = opening.naming.source
    environments = {Source.APPLICATION: webapp.environment, Source.NAMESPACE: webapp.namespace.environment}
    return bool(environments.get(source, {}).get(opening.naming.setting, {}).get("secret"))
