"""A machine that is too busy to say which walls it permits: nothing runs without them, and all goes on by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts import BY_ANOTHER, FOR_ANOTHER, need, stoa_for
from tests.serving import Stoa
from tests.waiting import wait_for

READS = """
def application(environ, start_response):
    try:
        open(environ["QUERY_STRING"]).close()
        answer = b"read"
    except OSError as error:
        answer = str(error).encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer]
"""
# What the trial of the copy does while a file is there; a try of it has a second, not ten.
TROUBLES = {
    "hangs": ("while os.path.exists({busy!r}): __import__('time').sleep(0.05)", "it did not answer within"),
    "dies": ("os.path.exists({busy!r}) and os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
}
BEGINS, LIMITS = 'if __name__ == "__main__":\n', "LIMITS = (10.0,"


@pytest.fixture(params=[(FOR_ANOTHER, "hangs"), (BY_ANOTHER, "dies")], ids=" ".join)
def trouble(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Give a kind of account, and what befalls the trial."""
    kind, name = request.param
    return kind, name


@pytest.fixture
def busy(trouble: tuple[str, str]) -> Iterator[Stoa]:
    """A Stoa on a machine that does not answer while there is a file ``busy``."""
    stoa = stoa_for(trouble[0])
    (stoa.directory / "busy").touch()
    does = TROUBLES[trouble[1]][0].format(busy=str(stoa.directory / "busy"))
    runtime = stoa.checkout / "webapps" / "runtime"
    change(runtime / "walls.py", BEGINS, f"{BEGINS}    {does}\n")
    change(runtime / "trial.py", LIMITS, "LIMITS = (1.0,")
    with stoa:
        yield stoa


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text, path
    path.write_text(text.replace(before, after))


def test_nothing_runs_without_walls_while_the_machine_does_not_answer(busy: Stoa, trouble: tuple[str, str]) -> None:
    why = TROUBLES[trouble[1]][1]
    busy.create("/reads", busy.write("reads", {"app.py": READS}))
    wait_for(lambda: why in busy.fact("/reads").get("reason", ""), 30, lambda: f"{busy.live()}")
    row = busy.status()["/reads"]

    assert (row["state"], row["pids"]) == ("starting", [])
    assert row["reason"].startswith("it waits until it is known which walls this machine permits: the trial as nobody")
    said = f"Which walls this machine permits to nobody could not be tried: {why}"
    assert said in busy.command("status", check=False).stdout
    assert said in busy.logged("messages")
    assert any(f"Warning: {said}" in line for line in busy.output)
    assert said in json.dumps(busy.live()["walls"], ensure_ascii=False)

    (busy.directory / "busy").unlink()
    busy.eventually("/reads/", deadline=60)
    assert "This machine has answered which walls it permits to nobody." in busy.logged("messages")
    assert busy.live()["warnings"] == []
    need(busy, "Files")
    assert "read" not in busy.get(f"/reads/?{busy.home}/secret_key").text.split()
