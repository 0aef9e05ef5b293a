"""Compare passwords with their hashes, a quarter of a second each: the process beside the portal.

``python -m portal.hasher`` reads ``{"password", "encoded"}``, a JSON object a line, and answers
``{"right", "outdated"}``; ``encoded`` is "" where there is no such user, which takes as long.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from django.contrib.auth.hashers import make_password, verify_password

from webapps.runtime import seclusion
from webapps.runtime.nowait import Outlet


def verify(password: str, encoded: str) -> tuple[bool, bool]:
    """Say whether it is right, and whether the hash is one that is not made any more."""
    if not encoded:
        make_password(password)
        return False, False
    right, outdated = verify_password(password, encoded)
    return right, outdated


def serve(lines: Any, answers: Any) -> None:
    """Answer each line in its turn."""
    for line in lines:
        asked = json.loads(line)
        right, outdated = verify(asked["password"], asked["encoded"])
        answers.write(json.dumps({"right": right, "outdated": outdated}) + "\n")
        answers.flush()


def main() -> None:
    """Answer until nobody can ask any more."""
    seclusion.seclude()
    sys.stderr = Outlet(2)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    os.nice(5)  # Pages go first.
    serve(sys.stdin, sys.stdout)


if __name__ == "__main__":
    main()
