"""What must be done before the first request: tables, first rows, static files."""

import fcntl
import shutil
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command


def prepare():
    """Migrate and collect; of several processes that start at once the first does it, the others wait."""
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # The first rows and the administrator are migrations too, so each comes once.
        call_command("migrate", verbosity=0, interactive=False)
        collect_static()


def collect_static():
    """Copy the admin's files to STATIC_ROOT.

    The command collectstatic would settle the URL of static files before the first request says
    SCRIPT_NAME, when it is called in the process that serves.
    """
    for finder in get_finders():
        for name, storage in finder.list(ignore_patterns=[]):
            target = settings.STATIC_ROOT / name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(storage.path(name), target)
