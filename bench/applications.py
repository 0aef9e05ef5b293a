"""The applications that are measured, and how a Stoa of the benchmark gets them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.serving import Stoa

WSGI = """\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '12')])
    return [b'hello world\\n']
"""
FLASK = """\
from flask import Flask

application = Flask(__name__)


@application.route('/')
def hello():
    return 'hello world\\n'
"""
ASGI = """\
async def application(scope, receive, send):
    if scope['type'] == 'lifespan':
        while True:
            message = await receive()
            await send({'type': message['type'] + '.complete'})
            if message['type'] == 'lifespan.shutdown':
                return
    headers = [(b'content-type', b'text/plain'), (b'content-length', b'12')]
    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
    await send({'type': 'http.response.body', 'body': b'hello world\\n'})
"""
# Many rows in one transaction, under an interpreter that has the frameworks.
CREATE = """
import json, sys
from django.db import transaction
from webapps.models import Namespace, WebApp
namespace, _new = Namespace.objects.get_or_create(name="BENCH", defaults={"interpreter": sys.argv[1]})
with transaction.atomic():
    for values in json.loads(sys.stdin.read()):
        WebApp.objects.create(namespace=namespace, app_name="app", authe_enabled=64, **values)
"""


def create(stoa: Stoa, rows: Sequence[dict[str, object]], python: str = sys.executable) -> None:
    """Create open applications in the namespace BENCH, whose processes run under ``python``."""
    given = [{"callable_name": "application", "processes_max": 1, **row} for row in rows]
    program = f"import sys; sys.argv[1:] = [{python!r}]\n{CREATE}"
    stoa.command("shell", "--no-imports", "-c", program, input=json.dumps(given))


def hello(stoa: Stoa, name: str, text: str, **values: object) -> dict[str, object]:
    """Write an application's file; return its row."""
    directory: Path = stoa.write(name.strip("/"), {"app.py": text})
    return {"name": name, "directory": str(directory), **values}


# Begins each line it reads by saving the application of that name, and tells the monotonic time of the save.
SAVE = """
import sys, time
from django.db import transaction
from webapps.models import WebApp
print("ready", flush=True)
for line in sys.stdin:
    began = time.monotonic()
    WebApp.objects.get(name=line.strip()).save()
    print(began, flush=True)
"""


class Saver:
    """A process of Django's that saves applications when it is told: starting one for each save would count."""

    def __init__(self, stoa: Stoa) -> None:
        words = stoa.manage("shell", "--no-imports", "-c", SAVE)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(words, env=stoa._environment(), **pipes)  # type: ignore[call-overload]
        self.process.stdout.readline()

    def __enter__(self) -> Saver:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.process.communicate()

    def save(self, name: str) -> float:
        """Save an application as a person does; return the monotonic second at which that began."""
        print(name, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())
