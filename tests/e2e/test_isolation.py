"""What a hosted application sees of Stoa: nothing."""

from __future__ import annotations

import json

import pytest

from tests.serving import Stoa

CURIOUS = """
import json, os, sys

def importable(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    names = ("django", "webapps", "portal", "stoa_runtime", "crispy_forms", "dj_database_url", "manage", "instance", "zygote")
    return [json.dumps({
        "imports": [name for name in names if importable(name)],
        "environment": dict(os.environ),
        "path": sys.path,
        "directory": os.getcwd(),
        "argv": sys.argv,
        "open": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
        "strings": sorted(k for k in environ if k.isupper()),
    }).encode()]
"""


@pytest.fixture(scope="module")
def seen(stoa: Stoa) -> dict[str, object]:
    stoa.create("/curious", stoa.write("curious/app", {"app.py": CURIOUS}))
    answer: dict[str, object] = json.loads(stoa.eventually("/curious/").text)
    return answer


def test_nothing_of_stoa_can_be_imported(seen: dict[str, object]) -> None:
    assert seen["imports"] == []


def test_nothing_of_stoas_environment_reaches_it(seen: dict[str, object], stoa: Stoa) -> None:
    environment = seen["environment"]
    assert isinstance(environment, dict)
    assert not [name for name in environment if name.startswith(("STOA_", "DJANGO_", "PYTEST_"))]
    assert "secret-of-the-test" not in str(environment)
    assert environment["DATABASE_URL"] == f"sqlite:///{stoa.home}/namespaces/USER/db.sqlite3"


def test_its_directory_is_first_on_the_path_and_the_parent_last(seen: dict[str, object], stoa: Stoa) -> None:
    path = seen["path"]
    assert isinstance(path, list)
    assert path[0] == seen["directory"] == str(stoa.home / "csp" / "curious" / "app")
    assert path[-1] == str(stoa.home / "csp" / "curious")


def test_environment_variables_of_namespace_and_application_reach_it(stoa: Stoa) -> None:
    stoa.create("/variables", stoa.write("variables", {"app.py": CURIOUS}))
    stoa.eventually("/variables/")
    stoa.command(
        "shell",
        "-c",
        "from webapps.models import *; n = Namespace.objects.get(name='USER'); "
        "n.environment = {'COLOUR': {'value': 'red', 'secret': False}, 'TOKEN': {'value': 'n', 'secret': True}}; n.save(); "
        "w = WebApp.objects.get(name='/variables'); w.environment = {'TOKEN': {'value': 'only-of-this-application', 'secret': True}}; w.save()",
    )

    environment = json.loads(stoa.eventually("/variables/", text="COLOUR").text)["environment"]

    assert (environment["COLOUR"], environment["TOKEN"]) == ("red", "only-of-this-application")
    assert "only-of-this-application" not in stoa.logged("messages")
