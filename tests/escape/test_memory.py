"""What the zygote was told of one application's worker is in no other's memory: it stands in a file of that worker."""

from __future__ import annotations

import json
import secrets

from tests.serving import Stoa

SCAN = """
from urllib.parse import parse_qs


def found(first, second):
    # In two halves: together they would be found because they are looked for.
    count = 0
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            place, rights = line.split()[:2]
            begin, end = (int(number, 16) for number in place.split("-"))
            if not rights.startswith("rw"):
                continue
            memory.seek(begin)
            data, at = memory.read(end - begin), -1
            while (at := data.find(first, at + 1)) >= 0:
                count += data.startswith(second, at + len(first))
    return count


def application(environ, start_response):
    halves = [half[::-1].encode() for half in parse_qs(environ["QUERY_STRING"])["half"]]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(found(*halves)).encode()]
"""
CREATE = """
import json, sys
from webapps.models import Namespace, WebApp
for name, token in json.loads({given!r}).items():
    tokens = {{f"TOKEN_{{number}}": {{"value": token, "secret": True}} for number in range(40)}}
    space = Namespace(name=name, interpreter=sys.executable)
    space.save()
    WebApp(name=f"/memory-{{name.lower()}}", namespace=space, app_name="app", directory={directory!r}, authe_enabled=64,
           environment=tokens).save()
"""


def test_tokens_of_another_namespace_are_in_nobodys_memory(stoa: Stoa) -> None:
    first, second = secrets.token_hex(20), secrets.token_hex(20)
    directory = stoa.write("memory", {"app.py": SCAN})
    directory.chmod(0o755)
    given = json.dumps({"MINE": "none", "THEIRS": first + second})
    stoa.command("shell", "--no-imports", "-c", CREATE.format(given=given, directory=str(directory)))
    query = f"?half={first[::-1]}&half={second[::-1]}"
    assert int(stoa.eventually("/memory-theirs/" + query).text) > 0
    for _start in range(3):
        stoa.command("webapp", "reload", "/memory-theirs")
        stoa.command("webapp", "reload", "/memory-mine")

        assert stoa.eventually("/memory-mine/" + query).text == "0"
