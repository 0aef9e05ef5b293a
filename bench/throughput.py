"""How fast is one process of 4 threads through the front? Stoa and its peers on the same applications, in one run.

    .venv/bin/python -m bench.throughput [--rounds 5] [--seconds 3] [--connections 16] [--nginx PATH]
        [--unitd PATH] [--only flask]

Prints medians: requests a second, their ratio to the first peer's and to Stoa's, CPU for a request, p50 and p99.
Every peer runs behind the same nginx binary with kept-alive connections; Unit is its own front. The peers are
installed into bench/.venv. wrk drives (apt-get install wrk).
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import peers, wrk
from bench.applications import ASGI, FLASK, WSGI, create, hello
from bench.peers import Place
from tests.serving import Stoa, free_port
from tests.waiting import wait_for
from webapps.runtime.nginx import Binary, find_nginx

# WSGI Protocol Type of the General tab (webapps/choices.py).
TYPES = {"wsgi": 1, "asgi": 2}
CASES = {"wsgi": ("wsgi", WSGI), "flask": ("wsgi", FLASK), "asgi": ("asgi", ASGI)}
# So long (seconds) each server is under load before it counts.
WARM = 2


@dataclass(frozen=True)
class Sample:
    """One run of wrk against one server. Costs are microseconds of CPU for a request."""

    load: wrk.Load
    front: float
    application: float


def main() -> None:
    """Measure each case in alternating rounds and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--nginx", default="", help="another nginx than the wheel's")
    parser.add_argument("--unitd", default="", help="a unitd with a Python module of the interpreter in bench/.venv")
    parser.add_argument("--only", choices=CASES, action="append", help="measure this case alone; may be repeated")
    options = parser.parse_args()
    wrk.find()
    peers.install()
    binary = find_nginx(options.nginx)
    environment = {"STOA_NGINX": options.nginx} if options.nginx else {}
    with Stoa(**environment) as stoa:
        names = options.only or list(CASES)
        create(stoa, [hello(stoa, f"/{name}", CASES[name][1], protocol_type=TYPES[CASES[name][0]]) for name in names])
        for name in names:
            stoa.eventually(f"/{name}/", text="hello")
        for name in names:
            compare(stoa, name, binary, options)


def compare(stoa: Stoa, name: str, binary: Binary, options: argparse.Namespace) -> None:
    """Measure Stoa and the peers of one case."""
    protocol, text = CASES[name]
    with ExitStack() as stack:
        places = {"stoa": _of_stoa(stoa, name)}
        for peer, command in peers.PEERS[protocol].items():
            places[peer] = stack.enter_context(peers.serving(command, text, binary.path, binary.without))
        if options.unitd:
            places["unit"] = stack.enter_context(unit(options.unitd, text))
        samples: dict[str, list[Sample]] = {peer: [] for peer in places}
        for _round in range(options.rounds):
            for peer, place in places.items():
                samples[peer].append(sample(place, options.seconds, options.connections))
    print(
        f"\n{name}, nginx {binary.words}, {options.connections} connections, {options.rounds} rounds of "
        f"{options.seconds} s, load {os.getloadavg()[0]:.1f}"
    )
    report(samples)


def _of_stoa(stoa: Stoa, name: str) -> Place:
    pids = stoa.status()[f"/{name}"]["pids"]
    return Place(f"http://127.0.0.1:{stoa.port}/{name}/", tuple(wrk.children(stoa.pid_of("front"))), tuple(pids))


def sample(place: Place, seconds: int, connections: int) -> Sample:
    """Load one server, and count what that costs once it has been under load for a moment."""
    wrk.load(place.url, seconds=WARM, connections=connections)
    before = wrk.cpu(place.front), wrk.cpu(place.application)
    load = wrk.load(place.url, seconds=seconds, connections=connections)
    front, application = wrk.cpu(place.front) - before[0], wrk.cpu(place.application) - before[1]
    # uWSGI may answer none: its threads stay with connections that another process of the front has left open.
    answered = load.requests or math.nan
    return Sample(load, front / answered * 1e6, application / answered * 1e6)


def report(samples: dict[str, list[Sample]]) -> None:
    """Print a line a server."""
    print(f"{'':10} {'req/s':>8} {'to Stoa':>8} {'front µs':>9} {'app µs':>7} {'p50 ms':>7} {'p99 ms':>7}")
    for peer, found in samples.items():
        # Ratios are taken within a round, where the machine was the same.
        ratio = statistics.median(
            one.load.rate / own.load.rate for one, own in zip(found, samples["stoa"], strict=True)
        )
        rate, p50, p99 = (statistics.median(getattr(one.load, key) for one in found) for key in ("rate", "p50", "p99"))
        front = statistics.median(one.front for one in found)
        application = statistics.median(one.application for one in found)
        failed = sum(one.load.failed for one in found)
        print(f"{peer:10} {rate:8.0f} {ratio:8.2f} {front:9.1f} {application:7.1f} {p50:7.2f} {p99:7.2f}", end="")
        print(f"  {failed} failed" if failed else "", flush=True)


@contextmanager
def unit(unitd: str, text: str) -> Iterator[Place]:
    """Run NGINX Unit with the application; its CPU is counted as the application's."""
    with tempfile.TemporaryDirectory(prefix="stoa-unit-") as name:
        root, port = Path(name), free_port()
        (root / "app.py").write_text(text)
        control = root / "control.sock"
        words = [unitd, "--no-daemon", "--control", f"unix:{control}", "--pid", str(root / "pid")]
        words += ["--log", str(root / "log"), "--statedir", name, "--tmpdir", name]
        if os.geteuid() == 0:
            words += ["--user", "root", "--group", "root"]  # As everything else here; nobody may not enter.
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(control.exists, 10, (root / "log").read_text)
            application = {"type": "python", "path": name, "module": "app", "threads": 4, "processes": 1}
            application |= {"home": str(peers.VENV)}
            listeners = {f"127.0.0.1:{port}": {"pass": "applications/app"}}
            _configure(control, {"listeners": listeners, "applications": {"app": application}}, root / "log")
            yield Place(f"http://127.0.0.1:{port}/", (), tuple(wrk.children(process.pid)))
        finally:
            process.terminate()
            process.wait(10)


def _configure(control: Path, value: object, log: Path) -> None:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(control))
    connection.request("PUT", "/config", json.dumps(value))
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    if answer.status != 200:
        sys.exit(f"Unit refuses its configuration: {said}\n{log.read_text()[-2000:]}")


if __name__ == "__main__":
    main()
