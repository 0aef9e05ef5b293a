"""What does the door cost? A signed-in request against the same application when it is open, in one run.

    .venv/bin/python -m bench.gate [--rounds 5] [--seconds 4]

Prints requests a second of both, their ratio, and the gate's own CPU for an answer. wrk drives (apt-get install wrk).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

from bench import wrk
from tests.serving import CHECKOUT, Stoa

HELLO = {
    "app.py": "def application(environ, start_response):\n"
    "    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '12')])\n"
    "    return [b'hello world\\n']\n"
}
# Signs the administrator in to an application as /-/enter does, without a browser.
SIGN_IN = """
import os, sys, time
import django
django.setup()
from django.conf import settings
from portal.gate import snapshot, tokens
from portal.gate.gatekeeper import new_token
from webapps.models import SignIn, WebApp
signer = tokens.Signer(settings.SECRET_KEY)
rows = snapshot.read(signer.key)
person = rows.people[rows.names["admin"]]
sign_in = SignIn.objects.create(user_id=person.id)
name = tokens.cookie_of_application(WebApp.objects.get(name=sys.argv[1]).pk)
now = time.time()
token = new_token(person, sign_in.key, tokens.How.PASSWORD, int(now), now, 86400)
print(f"{name}={signer.sign(token, name)}")
"""


def main() -> None:
    """Measure in alternating rounds and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    wrk.find()
    with Stoa() as stoa:
        for name, methods in (("/open", 64), ("/closed", 32 + 16384)):
            stoa.create(name, stoa.write(f"bench{name}", HELLO), AutheEnabled=methods)
        stoa.eventually("/open/", text="hello")
        cookie = sign_in(stoa, "/closed")
        stoa.eventually("/closed/", text="hello", headers={"Cookie": cookie})
        measure(stoa, cookie, options.rounds, options.seconds)


def sign_in(stoa: Stoa, name: str) -> str:
    """Return the cookie of a session with an application."""
    environment = {
        "STOA_HOME": str(stoa.home),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "PYTHONPATH": str(CHECKOUT),
    }
    words = [sys.executable, "-c", SIGN_IN, name]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def measure(stoa: Stoa, cookie: str, rounds: int, seconds: int) -> None:
    """Print a line a round, then the medians."""
    gate = wrk.children(stoa.pid_of("gate"))
    base = f"http://127.0.0.1:{stoa.port}"
    ratios, costs = [], []
    print(f"{'open req/s':>12} {'signed in':>12} {'ratio':>6} {'p99 open':>9} {'p99 in':>8} {'gate µs':>8}")
    for _round in range(rounds):
        free = wrk.load(f"{base}/open/", seconds=seconds)
        before = wrk.cpu(gate)
        inside = wrk.load(f"{base}/closed/", seconds=seconds, headers=[f"Cookie: {cookie}"])
        costs.append((wrk.cpu(gate) - before) / inside.requests * 1e6)
        ratios.append(inside.rate / free.rate)
        failed = free.failed + inside.failed
        print(f"{free.rate:12.0f} {inside.rate:12.0f} {ratios[-1]:6.2f} {free.p99:9.2f} {inside.p99:8.2f}", end=" ")
        print(f"{costs[-1]:8.1f}", f"  {failed} failed" if failed else "", flush=True)
    ratio, cost = statistics.median(ratios), statistics.median(costs)
    print(f"median ratio {ratio:.2f}, the gate's CPU for an answer {cost:.1f} µs")


if __name__ == "__main__":
    main()
