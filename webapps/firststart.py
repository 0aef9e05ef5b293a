"""What the first start makes: the administrator, the namespaces USER and SAMPLES, the sample applications."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from webapps.choices import PROTECTED, Authentication
from webapps.models import Namespace, WebApp
from webapps.runtime import installer
from webapps.runtime.confines import Confines
from webapps.runtime.environments import Environment, InstallFailed
from webapps.runtime.owners import Owners, own
from webapps.runtime.sandboxes import Sandbox

Say = Callable[[str], None]

#: How long (seconds) is waited until it is known which walls this machine permits.
PATIENCE = 60.0
NAMESPACES = {"USER": "Your own applications", "SAMPLES": "The sample applications"}
SAMPLES = {
    "flask": {
        "app_name": "app",
        "callable_name": "app",
        "protocol_type": 1,
        "description": "Posts and comments with Flask",
    },
    "django": {
        "app_name": "app.wsgi",
        "callable_name": "application",
        "protocol_type": 1,
        "description": "Posts and comments with Django REST framework",
    },
    "fastapi": {
        "app_name": "app",
        "callable_name": "app",
        "protocol_type": 2,
        "description": "Posts and comments with FastAPI",
    },
}


def prepare(home: Path, say: Say, user: str = "", *, beyond: bool = False) -> None:
    """Make what is missing, owned by ``user`` where one is given; does nothing on later starts but look.

    The samples are open to all on loopback; where Stoa listens ``beyond`` it they ask for a sign-in.
    """
    _administrator(say)
    if Namespace.objects.exists():
        if beyond:
            _close_samples(say)
        return
    wanted = os.environ.get("STOA_SAMPLES", "1") != "0"
    with transaction.atomic():
        for name, description in NAMESPACES.items():
            Namespace.objects.create(name=name, description=description)
    if wanted:
        _samples(home, say, PROTECTED if beyond else Authentication.UNAUTHENTICATED, user)
    if user:
        _give(home, user)


def _give(home: Path, user: str) -> None:
    account = pwd.getpwnam(user)
    for top in (home / "csp", home / "namespaces"):
        for path in (top, *top.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _administrator(say: Say) -> None:
    users = get_user_model()
    if users.objects.filter(is_superuser=True).exists():
        return
    name = os.environ.get("STOA_ADMIN_USER") or "admin"
    given = os.environ.get("STOA_ADMIN_PASSWORD")
    password = given or secrets.token_urlsafe(12)
    users.objects.create_superuser(username=name, email="", password=password)
    if not given:
        say(f"The administrator is {name}, the password {password} (shown this once).")


def _close_samples(say: Say) -> None:
    """Have the samples ask who it is, unless a person has ever saved them otherwise."""
    names = [f"/samples/{name}" for name in SAMPLES]
    untouched = WebApp.objects.filter(name__in=names, host="", namespace__name="SAMPLES", revision=1)
    for webapp in untouched.filter(authe_enabled=Authentication.UNAUTHENTICATED):
        webapp.authe_enabled = PROTECTED
        webapp.save(update_fields=["authe_enabled"])
        say(f"{webapp.label} asks for a sign-in now, because Stoa listens beyond this machine.")


def _samples(home: Path, say: Say, methods: int, user: str) -> None:
    say("Setting up the sample applications …")
    for name, fields in SAMPLES.items():
        directory = home / "csp" / "samples" / name
        if not directory.exists():
            shutil.copytree(
                settings.BASE_DIR / "samples" / name,
                directory,
                ignore=shutil.ignore_patterns("__pycache__", "*.pyc"),
            )
        WebApp.objects.create(
            name=f"/samples/{name}",
            namespace=Namespace.objects.get(name="SAMPLES"),
            directory=str(directory),
            path=str(directory / "static"),
            authe_enabled=methods,
            **fields,
        )
    _install(home, say, user)


def _install(home: Path, say: Say, user: str) -> None:
    """Install what the samples need; without a network they are there all the same, and say what is missing."""
    environment = Environment(home / "namespaces" / "SAMPLES")
    own(environment.directory, installer.account_of(user))
    kept = environment.directory / "requirements"
    kept.mkdir(exist_ok=True)
    for name in SAMPLES:
        shutil.copyfile(home / "csp" / "samples" / name / "requirements.txt", kept / f"samples_{name}.txt")
    try:
        environment.build("samples", None, lambda line: say(f"  {line}"), _sandbox(home, user))
    except InstallFailed as error:
        shutil.rmtree(kept)
        say(f"The samples' packages could not be installed: {error}. Try again from their pages.")


def _sandbox(home: Path, user: str) -> Sandbox:
    """Return the sandbox of an installer, which runs as the account that applications run as."""
    confines, account = Confines(home, Owners(user), lambda: ()), installer.account_of(user)
    confines.machine.settle(account, PATIENCE)
    if problem := confines.machine.problem(account):
        raise InstallFailed(problem)
    try:
        confinement = installer.confinement(confines, account, installer.Reach()) if confines.on else None
    except OSError as error:
        raise InstallFailed(str(error)) from error
    return Sandbox(confinement, account)
