"""How long does it take to bring a thousand applications in, and how large is the front's configuration?

    .venv/bin/python -m bench.thousand [--applications 1000] [--hosts 0]

1. Merges so many definitions, not enabled yet, and prints how long that takes.
2. Enables all in one save, with no process at least, and prints after how long each sleeps and the front is confirmed.
3. Asks every one of them, and prints the size of the configuration and how long one save with nothing new takes.
"""

from __future__ import annotations

import argparse
import time

from bench.applications import WSGI, Saver
from bench.memory import settled
from tests.serving import Stoa
from tests.waiting import wait_for

ENABLE = """
import time
from django.db import transaction
from webapps.models import Change, WebApp
with transaction.atomic():
    WebApp.objects.update(enabled=True, processes_min=0)
    Change.note()
    transaction.on_commit(lambda: print(time.monotonic()))
"""


def main() -> None:
    """Merge, enable, wait, and ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--applications", type=int, default=1000)
    parser.add_argument("--hosts", type=int, default=0, help="every second one is of one of so many hosts")
    options = parser.parse_args()
    with Stoa() as stoa:
        places = merge(stoa, options.applications, options.hosts)
        enable(stoa, len(places))
        ask_all(stoa, places)
        with Saver(stoa) as saver:
            began = saver.save(places[0][1])
            wait_for(lambda: settled(stoa, len(places)), 60, interval=0.005)
            print(f"one save, settled after    {time.monotonic() - began:8.3f} s")


def merge(stoa: Stoa, count: int, hosts: int) -> list[tuple[str, str]]:
    """Merge the definitions; return host and name of each."""
    directory = stoa.write("thousand", {"app.py": WSGI})
    places = [(f"h{number % hosts}.example" if hosts and number % 2 else "", f"/a{number}") for number in range(count)]
    lines = [
        f"CreateApplication:Name={name},NameSpace=USER,Enabled=0{f',Host={host}' if host else ''},"
        f'WSGIAppName=app,WSGICallable=application,WSGIAppLocation="{directory}",AutheEnabled=64'
        for host, name in places
    ]
    began = time.monotonic()
    stoa.merge(*lines)
    print(f"merge of {count} definitions {time.monotonic() - began:8.2f} s")
    return places


def enable(stoa: Stoa, count: int) -> None:
    """Enable all at once; print after how long they are there."""
    saved = float(stoa.command("shell", "--no-imports", "-c", ENABLE).stdout)
    wait_for(lambda: settled(stoa, count), 300, lambda: str(stoa.live())[:2000])
    print(f"all asleep and confirmed   {time.monotonic() - saved:8.2f} s after the rows are saved")
    size = (stoa.run_dir / "front" / "nginx.conf").stat().st_size
    print(f"the front's configuration  {size / 1e6:8.2f} MB")


def ask_all(stoa: Stoa, places: list[tuple[str, str]]) -> None:
    """Wake one in ten, and see that it answers."""
    asked = places[::10]
    for host, name in asked:
        answer = stoa.get(f"{name}/", headers={"Host": host or "localhost"})
        assert answer.status == 200, (host, name, answer)
    print(f"woken and answered         {len(asked):8d}")


if __name__ == "__main__":
    main()
