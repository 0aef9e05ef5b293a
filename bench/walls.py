"""What do walls cost? The same Flask application with walls and without, woken in turn, then forty of them awake.

    .venv/bin/python -m bench.walls [--rounds 20] [--awake 40]

Prints the time to wake a sleeping application through the front, and the memory (PSS) of an awake one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

from tests.serving import Stoa
from tests.waiting import wait_for
from webapps.runtime import processes

FLASK = {"app.py": "from flask import Flask\napplication = Flask(__name__)\napplication.get('/')(lambda: 'hello')\n"}
INTERPRETER = f"n = Namespace.objects.get(name='USER'); n.interpreter = {sys.executable!r}; n.save()"


def main() -> None:
    """Measure both in one run and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--awake", type=int, default=40)
    options = parser.parse_args()
    with Stoa(STOA_WALLS="1") as walled, Stoa(STOA_WALLS="0") as bare:
        stoas = {"walls": walled, "none": bare}
        for stoa in stoas.values():
            stoa.command("shell", "-c", f"from webapps.models import *; {INTERPRETER}")
            stoa.create("/woken", stoa.write("woken", FLASK))
            stoa.eventually("/woken/", text="hello")
            stoa.set("/woken", sleep_after=1)
        print_rows("wake through the front, ms", wakes(stoas, options.rounds), 1000)
        print_rows(
            f"PSS of one of {options.awake} awake, MB", {way: awake(stoas[way], options.awake) for way in stoas}, 1e-6
        )


def wakes(stoas: dict[str, Stoa], rounds: int) -> dict[str, list[float]]:
    """Wake each in turn; return the seconds that a request took."""
    taken: dict[str, list[float]] = {way: [] for way in stoas}
    for _round in range(rounds):
        for way, stoa in stoas.items():
            wait_for(lambda stoa=stoa: stoa.fact("/woken").get("state") == "asleep", 60, way)
            began = time.perf_counter()
            assert stoa.get("/woken/").text == "hello"
            taken[way].append(time.perf_counter() - began)
    return taken


def awake(stoa: Stoa, count: int) -> list[float]:
    """Have so many applications awake; return the memory of each."""
    directory = stoa.write("many", FLASK)
    stoa.merge(
        *(
            f'CreateApplication:Name=/many/{number},NameSpace=USER,WSGIAppLocation="{directory}",'
            "WSGIAppName=app,WSGICallable=application,AutheEnabled=64"
            for number in range(count)
        )
    )
    for number in range(count):
        stoa.eventually(f"/many/{number}/", text="hello", deadline=120)
    facts = [stoa.fact(f"/many/{number}") for number in range(count)]
    return [float(processes.memory(fact["pids"][0])) for fact in facts]


def print_rows(what: str, figures: dict[str, list[float]], unit: float) -> None:
    """Print the medians, the spread and the ratio."""
    medians = {way: statistics.median(values) * unit for way, values in figures.items()}
    for way, values in figures.items():
        print(f"{what:<34} {way:<6} {medians[way]:>7.2f} ({min(values) * unit:.2f} to {max(values) * unit:.2f})")
    print(f"{what:<34} ratio  {medians['walls'] / medians['none']:>7.2f}")


if __name__ == "__main__":
    main()
