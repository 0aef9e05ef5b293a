"""Any CPython from 3.10 works beside any other; one that cannot work is named."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serving import Stoa
from tests.waiting import wait_for

VERSION = """
import sys
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["{}.{}".format(*sys.version_info).encode()]
"""
ASGI = """
import sys
async def application(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("only http")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": "{}.{}".format(*sys.version_info).encode()})
"""
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


def interpreter(version: str) -> str:
    """Return an interpreter of a version that runs (pyenv's shims may not), or skip."""
    found = [shutil.which(f"python{version}"), *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
    for path in filter(None, found):
        done = subprocess.run(
            [path, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return done.stdout.strip()
    pytest.skip(f"there is no Python {version} here")


def use(stoa: Stoa, namespace: str, path: str) -> None:
    stoa.merge(f"CreateNamespace:Name={namespace}")
    stoa.command(
        "shell",
        "-c",
        f"from webapps.models import *; n = Namespace.objects.get(name={namespace!r}); n.interpreter = {path!r}; n.save()",
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("protocol", "source"), [(1, VERSION), (2, ASGI)])
def test_an_interpreter_that_is_named_is_used(stoa: Stoa, version: str, protocol: int, source: str) -> None:
    path = interpreter(version)
    namespace = "PY" + version.replace(".", "")
    use(stoa, namespace, path)
    name = f"/python/{version}/{protocol}"
    directory = stoa.write(f"python/{version}-{protocol}", {"app.py": source})

    stoa.merge(
        f'CreateApplication:Name={name},NameSpace={namespace},WSGIAppLocation="{directory}",WSGIAppName=app,'
        f"WSGICallable=application,WSGIType={protocol},AutheEnabled=64"
    )

    assert stoa.eventually(f"{name}/").text == version


def test_one_that_is_no_interpreter_is_named(stoa: Stoa) -> None:
    use(stoa, "NOPYTHON", "/bin/false")
    directory = stoa.write("python/none", {"app.py": VERSION})

    stoa.merge(
        f'CreateApplication:Name=/python/none,NameSpace=NOPYTHON,WSGIAppLocation="{directory}",WSGIAppName=app,'
        "WSGICallable=application,AutheEnabled=64"
    )

    row = stoa.wait_for_state("/python/none", "failed")
    assert "the interpreter /bin/false cannot run" in row["reason"]


def test_one_that_may_not_be_executed_says_so_and_is_tried_with_pauses(stoa: Stoa) -> None:
    path = stoa.home / "no-python"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o644)
    use(stoa, "NOEXEC", str(path))
    directory = stoa.write("python/noexec", {"app.py": VERSION})

    stoa.merge(
        f'CreateApplication:Name=/python/noexec,NameSpace=NOEXEC,WSGIAppLocation="{directory}",WSGIAppName=app,'
        "WSGICallable=application,AutheEnabled=64"
    )

    row = stoa.wait_for_state("/python/noexec", "failed")
    assert "may not execute" in row["reason"] and "its mode is 0644" in row["reason"]
    assert stoa.logged("messages").count("/python/noexec generation 1: did not start") == 1


@pytest.mark.parametrize(("name", "content"), [("garbled", "\x7fELF"), ("lost", "#!/nowhere/python\n")])
def test_one_that_cannot_be_started_is_tried_once_each_time(stoa: Stoa, name: str, content: str) -> None:
    path = stoa.home / name
    path.write_text(content)
    path.chmod(0o755)
    use(stoa, name.upper(), str(path))
    directory = stoa.write(f"python/{name}", {"app.py": VERSION})

    stoa.merge(
        f'CreateApplication:Name=/python/{name},NameSpace={name.upper()},WSGIAppLocation="{directory}",WSGIAppName=app,'
        "WSGICallable=application,AutheEnabled=64"
    )

    tries = f"cannot be started: [Errno {'8' if name == 'garbled' else '2'}]"
    wait_for(lambda: sum(tries in line and str(path) in line for line in messages(stoa)) >= 3, 20)
    at = [index for index, line in enumerate(messages(stoa)) if tries in line and str(path) in line]
    seconds = [messages(stoa)[index][:23] for index in at[:3]]
    assert len({second[:19] for second in seconds}) == 3, seconds


def messages(stoa: Stoa) -> list[str]:
    return stoa.logged("messages").splitlines()
