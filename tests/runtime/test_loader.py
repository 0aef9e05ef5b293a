"""Loading: each thing that can be wrong is named, with the next move."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import within
from webapps.runtime import loader

WSGI = "def application(environ, start_response):\n    return []\n"
ASGI = "async def application(scope, receive, send):\n    pass\n"

# Each row runs in a process of its own: sys.modules is shared by all that one process imports.
CHILD = """
import json, sys
sys.path.insert(0, sys.argv[1]); sys.path.insert(1, sys.argv[5])
from webapps.runtime import loader
try:
    application = loader.load(*sys.argv[1:5])
    print(json.dumps({"loaded": getattr(application, "__name__", type(application).__name__)}))
except loader.LoadError as error:
    print(json.dumps({"message": str(error), "detail": error.detail, "remedy": error.remedy}))
"""


def load(
    directory: Path, name: str = "app", callable_name: str = "application", protocol: str = "wsgi"
) -> dict[str, str]:
    checkout = str(Path(__file__).parents[2])
    argv = [sys.executable, "-c", CHILD, str(directory), name, callable_name, protocol, checkout]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=within(30), check=True, cwd=directory)
    answer: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize(
    ("files", "name", "callable_name"),
    [
        ({"app.py": WSGI}, "app", "application"),
        ({"app.py": WSGI}, "app.py", "application"),
        ({"app.py": WSGI}, "app:application", "ignored"),
        ({"myapp.wsgi": WSGI}, "myapp.wsgi", "application"),
        ({"scripts/my-app.wsgi": WSGI}, "scripts/my-app.wsgi", "application"),
        ({"site/__init__.py": "", "site/wsgi.py": WSGI}, "site.wsgi", "application"),
        (
            {"app.py": f"def create_app():\n    {WSGI.replace(chr(10), chr(10) + '    ')}return application\n"},
            "app",
            "create_app()",
        ),
        ({"app.py": f"class box:\n    {WSGI.replace(chr(10), chr(10) + '    ')}"}, "app", "box.application"),
        ({"app/__init__.py": "", "app/wsgi.py": WSGI}, "app", "app.wsgi.application"),
        ({"app/__init__.py": "", "app/wsgi.py": WSGI}, "app.wsgi", "app.wsgi.application"),
    ],
)
def test_it_loads_what_is_meant(tmp_path: Path, files: dict[str, str], name: str, callable_name: str) -> None:
    if "site/wsgi.py" in files:
        files = {path.replace("site/", "mysite/"): text for path, text in files.items()}
        name = name.replace("site", "mysite")
    write(tmp_path, files)

    assert load(tmp_path, name, callable_name) == {"loaded": "application"}


@pytest.mark.parametrize(
    ("source", "given", "words", "remedy"),
    [
        (WSGI, {"name": "ap"}, "there is no module 'ap' in", ""),
        (WSGI, {"name": "ap"}, "the modules there are: app, other", ""),
        (WSGI, {"callable_name": "app"}, "app.py has no 'app'; it has: application", ""),
        ("application = 3\n", {}, "application in app is not callable: it is of type int", ""),
        ("import sys\nsys.exit(4)\n", {}, "app called sys.exit(4) while it was imported", ""),
        ("raise ValueError('no key')\n", {}, "app raised ValueError: no key", ""),
        ("def application(:\n", {}, "app raised SyntaxError", ""),
        ("import nowhere_to_be_found\n", {}, "No module named 'nowhere_to_be_found'", "install"),
        (ASGI, {}, "set it to asgi", "protocol:asgi"),
        (WSGI, {"protocol": "asgi"}, "set it to wsgi", "protocol:wsgi"),
        (
            "def create_app():\n    raise KeyError('DSN')\n",
            {"callable_name": "create_app()"},
            "create_app() raised KeyError: 'DSN'",
            "",
        ),
        (
            "def create_app():\n    raise SystemExit(2)\n",
            {"callable_name": "create_app()"},
            "create_app() called sys.exit(2)",
            "",
        ),
    ],
)
def test_it_names_the_cause_and_the_next_move(
    tmp_path: Path, source: str, given: dict[str, str], words: str, remedy: str
) -> None:
    write(tmp_path, {"app.py": source, "other.py": ""})

    answer = load(tmp_path, **given)

    assert words in answer["message"]
    assert answer["remedy"] == remedy


FLASK = """
from standing_in import request


class Flask:
    def wsgi_app(self, environ, start_response):
        return []

    __call__ = wsgi_app
"""
STANDING_IN = """
class Proxy:
    def __call__(self):
        pass

    @property
    def __class__(self):
        raise RuntimeError("working outside of request context")

    def __getattr__(self, name):
        raise RuntimeError("working outside of request context")


request = Proxy()
"""
MANY = """
from flask import Flask, request
from json import dumps
from typing import Any, Optional


class Thing:
    def __call__(self):
        pass


def view():
    return "hello"


helper = Thing()
site = Flask()
"""


def test_what_looks_like_an_application_is_named_first_and_what_is_imported_is_not(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": MANY, "flask.py": FLASK, "standing_in.py": STANDING_IN})

    assert "app.py has no 'application'; it has: site, helper, view, Thing." in load(tmp_path)["message"]


def test_an_application_that_another_module_made_is_named(tmp_path: Path) -> None:
    files = {"made.py": MANY, "flask.py": FLASK, "standing_in.py": STANDING_IN}
    write(tmp_path, {"app.py": "from made import site\n", **files})

    assert "it has: site." in load(tmp_path)["message"]


def test_a_traceback_begins_with_the_applications_own_code(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": "import helper\n", "helper.py": "1 / 0\n"})

    detail = load(tmp_path)["detail"]

    assert "helper.py" in detail and "ZeroDivisionError" in detail
    assert "loader.py" not in detail and "importlib" not in detail


def test_it_tells_protocols_apart() -> None:
    async def asgi(scope: object, receive: object, send: object) -> None: ...

    def wsgi(environ: object, start_response: object) -> None: ...

    def unknown(*args: object) -> None: ...

    assert [loader.spoken_by(app) for app in (asgi, wsgi, unknown)] == ["asgi", "wsgi", ""]


def write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
