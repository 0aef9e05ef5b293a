"""How long do start, edit, replacement and wake take, and is anything lost? With a thousand others configured.

    .venv/bin/python -m bench.lifecycle [--others 1000] [--times 15]

1. Start: from the command to "Stoa is ready", with all of them configured.
2. Edit: a Flask application's file is changed and its row saved; until the first answer of the new file.
3. Replacement: saved again and again while GETs and POSTs are sent and their answers checked.
4. Wake: until the answer of a Flask application that sleeps.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import threading
import time
from dataclasses import dataclass, field

from bench.applications import FLASK, WSGI, Saver, create, hello
from bench.memory import settled
from tests.serving import Stoa
from tests.waiting import wait_for

COUNTING = """\
from flask import Flask, request

application = Flask(__name__)


@application.route('/', methods=['GET', 'POST'])
def count():
    return f'{request.method} {len(request.get_data())}'
"""
BODY = b"x" * 1000


@dataclass
class Client(threading.Thread):
    """Asks over a kept-alive connection, GET and POST in turn, and checks each answer."""

    port: int
    stop: threading.Event
    took: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    __hash__ = threading.Thread.__hash__

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        """Ask until told to stop."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self.stop.is_set():
            for method, body in (("GET", b""), ("POST", BODY)):
                began = time.monotonic()
                try:
                    connection.request(method, "/counting/", body=body or None)
                    answer = connection.getresponse()
                    said = f"{answer.status} {answer.read().decode()}"
                except (OSError, http.client.HTTPException) as error:
                    said = repr(error)
                    connection.close()
                self.took.append(time.monotonic() - began)
                if said != f"200 {method} {len(body)}":
                    self.lost.append(said[:200])


def main() -> None:
    """Measure one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--others", type=int, default=1000, help="sleeping applications besides")
    parser.add_argument("--times", type=int, default=15, help="how often each is done")
    options = parser.parse_args()
    with Stoa() as stoa:
        prepare(stoa, options.others, options.times)
        start(stoa)
        with Saver(stoa) as saver:
            edit(stoa, saver, options.times)
            replace(stoa, saver, options.times)
        wake(stoa, options.times)


def prepare(stoa: Stoa, others: int, times: int) -> None:
    """Make the applications."""
    other, sleeper = hello(stoa, "/other", WSGI, processes_min=0), hello(stoa, "/sleeper", FLASK, processes_min=0)
    rows = [{**other, "name": f"/other{number}"} for number in range(others)]
    rows += [{**sleeper, "name": f"/sleeper{number}"} for number in range(times)]
    rows += [hello(stoa, "/edited", FLASK), hello(stoa, "/counting", COUNTING)]
    create(stoa, rows)
    wait_for(lambda: settled(stoa, len(rows)), 120, lambda: str(stoa.live())[:2000])


def start(stoa: Stoa) -> None:
    """Stop and start again."""
    stoa.stop()
    began = time.monotonic()
    stoa.start()
    print(f"start with all configured: ready after {time.monotonic() - began:.2f} s")
    stoa.eventually("/edited/", text="hello")
    stoa.eventually("/counting/", text="GET")


def edit(stoa: Stoa, saver: Saver, times: int) -> None:
    """Change the file, save the row, ask until the new one answers."""
    took = []
    for number in range(times):
        # Python takes a file for unchanged that was written in the same second with the same size (PEP 3147, PEP 552).
        new = "hello " + "!" * (number + 1)
        stoa.write("edited", {"app.py": FLASK.replace("hello world", new)})
        began = saver.save("/edited")
        wait_for(lambda new=new: stoa.get("/edited/").text == f"{new}\n", 30, interval=0.001)  # type: ignore[misc]
        took.append((time.monotonic() - began) * 1000)
    print(f"edit: first new answer {_spread(took)} after the save began")


def replace(stoa: Stoa, saver: Saver, times: int) -> None:
    """Save under load."""
    stop = threading.Event()
    clients = [Client(stoa.port, stop) for _number in range(4)]
    for client in clients:
        client.start()
    generation = _generation(stoa)
    for number in range(1, times + 1):
        saver.save("/counting")
        wait_for(lambda number=number: _generation(stoa) >= generation + number, 30, lambda: stoa.log("WSGI"))
    stop.set()
    for client in clients:
        client.join(30)
    took = sorted(seconds * 1000 for client in clients for seconds in client.took)
    lost = [words for client in clients for words in client.lost]
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    print(f"{times} replacements under load: {len(took)} requests, {len(lost)} lost", *lost[:3], end=", ")
    print(f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {took[-1]:.1f} ms")


def _generation(stoa: Stoa) -> int:
    """Return the generation of the application under load that serves."""
    logged = stoa.logged("WSGI").splitlines()
    return sum("/counting" in line and "replaces generation" in line for line in logged)


def wake(stoa: Stoa, times: int) -> None:
    """Ask sleeping applications."""
    took = []
    for number in range(times):
        began = time.monotonic()
        answer = stoa.get(f"/sleeper{number}/")
        took.append((time.monotonic() - began) * 1000)
        assert answer.status == 200, answer
    print(f"wake: answered {_spread(took)} after the request")


def _spread(took: list[float]) -> str:
    return f"{statistics.median(took):.0f} ms ({min(took):.0f} to {max(took):.0f})"


if __name__ == "__main__":
    main()
