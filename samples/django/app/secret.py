"""A secret key for each installation, made when it is first needed and never committed."""

import contextlib
import os
import secrets
import tempfile


def read_or_make_secret(path):
    """Return the secret in the file; several processes that make it at once agree on the first."""
    if not path.exists():
        make_secret(path)
    return path.read_text()


def make_secret(path):
    """Write a new secret whole, for the owner alone, unless another process was faster."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".secret_key-") as file:
        file.write(secrets.token_urlsafe(50))
        file.flush()
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)
