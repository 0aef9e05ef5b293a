"""What does a request cost in the application's process alone, without a front? One process each, on one core.

    .venv/bin/python -m bench.alone [--rounds 5] [--seconds 0.8] [--connections 16]

Client and servers share one core, so that nobody pays for waking somebody on another one, and CPU time is counted:
the figures hardly change when other work runs on the machine. The client sends what the front would.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import peers, wrk
from bench.applications import ASGI, WSGI
from tests.runtime.worker_site import WorkerSite
from webapps.runtime.spec import Protocol

CASES = {"wsgi": (Protocol.WSGI, WSGI), "asgi": (Protocol.ASGI, ASGI)}
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
    b"X-Forwarded-Host: 127.0.0.1:8000\r\nX-Forwarded-Port: 8000\r\nX-Real-IP: 127.0.0.1\r\n\r\n"
)
ANSWER = b"hello world\n"


@dataclass(frozen=True)
class Server:
    """Where a server listens, and its process."""

    path: Path
    pid: int


def main() -> None:
    """Measure both protocols in alternating rounds and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.8)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    peers.install()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for name, (protocol, text) in CASES.items():
        with ExitStack() as stack:
            servers = {"stoa": stack.enter_context(stoa(protocol, text))}
            for peer, command in peers.PEERS[name].items():
                servers[peer] = stack.enter_context(_peer(command, text))
            measure(name, servers, options)


@contextmanager
def stoa(protocol: Protocol, text: str) -> Iterator[Server]:
    """Run a worker of Stoa's."""
    site = WorkerSite("environment", threads=4, protocol=protocol)
    (site.directory / "app" / "app.py").write_text(f"{text}\n\napp = application\n")
    with site:
        yield Server(site.path, site.process.pid)


@contextmanager
def _peer(command: str, text: str) -> Iterator[Server]:
    with peers.alone(command, text) as (path, pid):
        yield Server(path, pid)


def measure(name: str, servers: dict[str, Server], options: argparse.Namespace) -> None:
    """Print a line a server."""
    found: dict[str, list[tuple[float, float]]] = {peer: [] for peer in servers}
    for server in servers.values():
        load(server, options.seconds, options.connections)
    for _round in range(options.rounds):
        for peer, server in servers.items():
            found[peer].append(load(server, options.seconds, options.connections))
    print(f"\n{name}, {options.rounds} rounds of {options.seconds} s, load {os.getloadavg()[0]:.1f}")
    print(f"{'':10} {'CPU µs':>7} {'least':>7} {'to Stoa':>8}")
    own = statistics.median(cost for cost, _rate in found["stoa"])
    for peer, samples in found.items():
        cost = statistics.median(cost for cost, _rate in samples)
        print(f"{peer:10} {cost:7.1f} {min(cost for cost, _rate in samples):7.1f} {cost / own:8.2f}", flush=True)


def load(server: Server, seconds: float, connections: int) -> tuple[float, float]:
    """Return microseconds of CPU for a request, and requests a second."""
    before, began = _cpu(server.pid), time.monotonic()
    count = _ask(server.path, seconds, connections)
    if not count:
        sys.exit(f"{server.path} answers nothing")
    return (_cpu(server.pid) - before) / count / 1000, count / (time.monotonic() - began)


def _ask(path: Path, seconds: float, connections: int) -> int:
    """Ask over so many connections at once for some seconds; return how many answers came."""
    poll, socks = select.epoll(), {}
    for _number in range(connections):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        socks[sock.fileno()] = sock
        poll.register(sock, select.EPOLLIN)
        sock.send(REQUEST)
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for fd, _events in poll.poll(5):
            if socks[fd].recv(1 << 16).endswith(ANSWER):
                count += 1
                socks[fd].send(REQUEST)
    for sock in socks.values():
        sock.close()
    return count


def _cpu(pid: int) -> int:
    """Return the nanoseconds that a process and those below it have run (proc_pid_schedstat)."""
    tasks = [task for one in wrk.children(pid) for task in Path(f"/proc/{one}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


if __name__ == "__main__":
    main()
