"""Look at an application's directory without running any of it, and make one with a Hello application."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from webapps.runtime import hostedfiles
from webapps.runtime.loader import modules_in

LISTED = 12
#: So many .pth files of an environment are read, and so many bytes of each.
MOST_PTH, PTH_BYTES = 200, 64 << 10
HELLO_WSGI = '''"""A web application that says hello. Change it and press Reload in the portal."""


def {callable}(environ, start_response):
    """Answer every request with a line of text (PEP 3333)."""
    body = f"Hello from {{environ.get('SCRIPT_NAME') or '/'}}\\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
'''
HELLO_ASGI = '''"""A web application that says hello. Change it and press Reload in the portal."""


async def {callable}(scope, receive, send):
    """Answer every request with a line of text (ASGI 3)."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    body = f"Hello from {{scope.get('root_path') or '/'}}\\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": body}})
'''


def problem(directory: str) -> str:
    """Say why a directory cannot be used, "" when it can; it being absent is ``missing``'s to say."""
    if not os.path.isdir(directory):
        return "This is a file, not a directory. Give the directory that it is in." if os.path.exists(directory) else ""
    if not os.access(directory, os.R_OK | os.X_OK):
        return "Stoa may not read this directory. Change its permissions, or give another."
    return ""


def missing(directory: str) -> bool:
    """Say whether nothing is there."""
    return not os.path.lexists(directory)


def leads_nowhere(directory: str) -> bool:
    """Say whether a link is there without what it leads to."""
    return os.path.islink(directory.rstrip("/")) and not os.path.exists(directory)


def without_module(directory: str, roots: Sequence[str], app_name: str, callable_name: str) -> str:
    """Say that the module is not there, with the modules that are; "" when it is. Nothing is imported."""
    for candidate in _candidates(app_name, callable_name):
        if _is_there(directory, roots, candidate):
            return ""
    found = _modules(directory)
    if not found:
        return f"There is no module “{app_name}” in {directory}: no Python module is in it. Put one there."
    shown = ", ".join(found[:LISTED]) + (f" and {len(found) - LISTED} more" if len(found) > LISTED else "")
    return f"There is no module “{app_name}” in {directory}. The modules there are: {shown}."


def _candidates(app_name: str, callable_name: str) -> Iterable[str]:
    """Yield what may be meant as the module: a dotted callable may name it too (``app.wsgi.application``)."""
    yield app_name
    module, _, _ = callable_name.partition("(")[0].rpartition(".")
    if module:
        yield module


def _is_there(directory: str, roots: Sequence[str], name: str) -> bool:
    if os.path.isfile(os.path.join(directory, name)):
        return True
    if "/" in name:
        return False
    if name.partition(".")[0] in sys.stdlib_module_names:
        return True
    return any(_has_module(root, name) for root in (directory, *roots, os.path.dirname(directory)))


def _has_module(root: str, name: str) -> bool:
    place = os.path.join(root, *name.split("."))
    if os.path.isdir(place) or any(os.path.isfile(place + ending) for ending in (".py", ".pyc")):
        return True
    folder, stem = os.path.split(place)
    try:
        return any(name.startswith(stem + ".") and name.endswith(".so") for name in hostedfiles.names(folder, root))
    except OSError:
        return False


def _modules(directory: str) -> list[str]:
    try:
        return modules_in(directory)
    except OSError:
        return []


def installed_roots(interpreter: str, namespace_directory: str) -> list[str]:
    """List the directories of the packages that an interpreter or a namespace's environment has."""
    if interpreter:  # Where an administrator has put it there may be links.
        prefix, below = os.path.dirname(os.path.dirname(interpreter)), ""
    else:
        prefix, below = os.path.realpath(f"{namespace_directory}/env"), os.path.realpath(namespace_directory)
    sites = list(_sites(prefix, below))
    return sites + [line for site in sites for line in _linked(site, below)]


def _sites(prefix: str, below: str) -> Iterable[str]:
    for lib in (name for name in _names(prefix, below) if name.startswith("lib")):
        for version in (name for name in _names(f"{prefix}/{lib}", below) if name.startswith("python3")):
            kind = "dist-packages" if version == "python3" else "site-packages"
            if os.path.isdir(site := f"{prefix}/{lib}/{version}/{kind}"):
                yield site


def _names(directory: str, below: str) -> list[str]:
    try:
        return hostedfiles.names(directory, below)
    except OSError:
        return []


def _linked(site: str, below: str) -> Iterable[str]:
    """Yield the directories that ``.pth`` files add: editable installs, as a rule."""
    for name in [name for name in _names(site, below) if name.endswith(".pth")][:MOST_PTH]:
        try:
            lines = hostedfiles.text(f"{site}/{name}", site, PTH_BYTES).splitlines()
        except OSError:
            continue
        yield from (line for line in lines if os.path.isabs(line))


def make_hello(directory: str, app_name: str, callable_name: str, *, asgi: bool) -> str:
    """Make the directory with a Hello application and return the file's path.

    Writes only where nothing is: raises OSError (FileExistsError among them), and leaves nothing half made.
    """
    plain = callable_name.partition("(")[0].rpartition(".")[2] or "application"
    text = (HELLO_ASGI if asgi else HELLO_WSGI).format(callable="hello" if "(" in callable_name else plain)
    if "(" in callable_name:
        text += f'\n\ndef {plain}():\n    """Return the application."""\n    return hello\n'
    path = Path(directory) / _file_of(app_name)
    Path(directory).mkdir(parents=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x") as file:
        file.write(text)
    return str(path)


def _file_of(app_name: str) -> str:
    if "/" in app_name or app_name.endswith(".wsgi"):
        return app_name
    return app_name.replace(".", "/") + ".py"
