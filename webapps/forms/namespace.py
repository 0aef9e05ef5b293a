"""The form of a namespace."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any, cast

from crispy_forms.helper import FormHelper
from django.core.exceptions import ValidationError

from webapps import validators
from webapps.models import Namespace

from .conflict import Careful
from .fields import EnvironmentField, LinesField
from .layout import Pair, Section, helper, mark, wide
from .limits import LimitsField

OLDEST = (3, 10)
HELP = {
    "name": "A letter, then letters, digits, “_” and “-”. Stored in upper case.",
    "interpreter": "The whole path of a Python from 3.10. Blank: a virtual environment of its own.",
    "database_url": "What its applications find in DATABASE_URL. Blank: an SQLite file of its own. "
    "Stored with its password: prefer a secret variable DATABASE_URL where others read this page.",
    "environment": "Names with values for all its applications. A secret’s value is never shown again.",
    "roots": "Directories below which its applications may live, one to a line. Administrators may use any.",
    "os_user": "Whom its processes run as and its data belongs to. Acts when root has started Stoa. "
    "Blank: STOA_USER, or the user that Stoa runs as.",
    "limits": "Of each process, one to a line: memory: 512 MB, temporary directory: 256 MB, open files: 1000, "
    "processes: 200, nice: 5. Of all together, where Stoa has a control group (System page): memory of all: 2 GB. "
    "A directory beyond its own: reach: /srv/data. TCP ports at which they may listen themselves: ports: 9000-9010, or "
    "0 for any that is free; who listens there is sent the cookies that visitors have for this host. "
    "Blank: 8192 open files, 512 processes and threads, temporary files on disk without a limit, no ports.",
}


class NamespaceForm(Careful):
    """A namespace."""

    environment = EnvironmentField(label="Environment variables")
    roots = LinesField(label="Roots", required=False)
    limits = LimitsField(label="Limits", required=False)

    class Meta:
        model = Namespace
        fields = ("name", "description", "interpreter", "database_url", "environment", "roots", "os_user", "limits")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, text in HELP.items():
            self.fields[name].help_text = text
        mark(self, "name")
        self.fields["roots"].widget.attrs["rows"] = 2
        self.fields["limits"].widget.attrs["rows"] = max(3, len(str(self["limits"].value() or "").splitlines()) + 1)
        self.fields["name"].widget.attrs |= {"autocapitalize": "characters", "spellcheck": "false"}
        cast(EnvironmentField, self.fields["environment"]).stored = dict(self.instance.environment or {})
        if not self.instance._state.adding:
            # Its virtual environment and its database live below its name.
            self.fields["name"].disabled = True

    @property
    def helper(self) -> FormHelper:
        """How the form is drawn."""
        return helper(
            Section("General", Pair("name", "os_user"), wide("description")),
            Section("Python", wide("interpreter"), wide("database_url"), wide("roots")),
            Section("Walls", wide("limits")),
            Section("Environment", "environment"),
        )

    def clean_name(self) -> str:
        """Return the name in upper case."""
        name = str(self.cleaned_data["name"]).upper()
        if Namespace.objects.exclude(pk=self.instance.pk).filter(name=name).exists():
            raise ValidationError(f"There is a namespace {name} already. Choose another name.")
        return name

    def clean_interpreter(self) -> str:
        """Ask the interpreter for its version. Raises ValidationError."""
        interpreter = str(self.cleaned_data["interpreter"])
        if interpreter and interpreter != self.instance.interpreter:
            validators.validate_text(interpreter)
            check_interpreter(interpreter)
        return interpreter

    def clean_roots(self) -> list[str]:
        """Check that the roots may hold applications. Raises ValidationError."""
        roots: list[str] = self.cleaned_data["roots"]
        for root in roots:
            validators.validate_directory(root)
        return roots

    def clean_os_user(self) -> str:
        """Check that the user is there. Raises ValidationError."""
        import pwd

        user = str(self.cleaned_data["os_user"])
        if user:
            try:
                account = pwd.getpwnam(user)
            except (KeyError, ValueError):
                raise ValidationError(f"This machine has no user {user}. Give one that it has.") from None
            if account.pw_uid == 0:
                raise ValidationError(f"{user} may do everything on this machine. Give a user who may do little.")
        return user


def check_interpreter(path: str) -> None:
    """Refuse what is no Python from 3.10. Raises ValidationError."""
    if not os.path.isabs(path):
        raise ValidationError("Give the whole path, for example /usr/bin/python3.")
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        raise ValidationError(f"There is no program {path}. Give the path of a Python interpreter.")
    version = _version(path)
    if version is None:
        raise ValidationError(f"{path} does not answer as Python does. Give the path of a Python interpreter.")
    if version < OLDEST:
        raise ValidationError(f"{path} is Python {version[0]}.{version[1]}. Stoa needs 3.10 or newer.")


def _version(path: str) -> tuple[int, int] | None:
    try:
        done = subprocess.run(
            [path, "-I", "--version"], capture_output=True, text=True, timeout=10, env={}, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"(?:Python|PyPy) (\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else None
