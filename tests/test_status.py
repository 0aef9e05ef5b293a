from __future__ import annotations

import fcntl
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.patience import within
from webapps.models import Namespace, WebApp
from webapps.runtime import control, wire

pytestmark = pytest.mark.django_db
Answer = Callable[[dict[str, Any]], dict[str, Any]]
SINCE = "2026-11-21T08:19:01.123Z"


class FakeSupervisor:
    """Answer at the control socket with what a test wants said."""

    def __init__(self, home: Path) -> None:
        self.facts: dict[str, dict[str, Any]] = {}
        self.asked: list[dict[str, Any]] = []
        self.on_install: Answer = lambda request: {"ok": True}
        self.on_status: Callable[[], None] = lambda: None
        self.server = wire.listen(home / "run" / control.SOCKET)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                caller, _address = self.server.accept()
            except OSError:
                return
            with caller:
                received = wire.receive(caller)
                assert received
                wire.send(caller, self._answer(received[0]))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        if request["do"] == "install":
            return self.on_install(request)
        self.on_status()
        return {
            "supervisor": {"state": "running", "pid": 4321, "since": SINCE},
            "webapps": self.facts,
            "front": {"error": "", "refused": {}},
            "warnings": ["the disk is nearly full"],
        }

    def close(self) -> None:
        """Stop answering."""
        self.server.shutdown(socket.SHUT_RDWR)
        self.thread.join(within(5))
        self.server.close()


@pytest.fixture
def home(settings: Any, tmp_path: Path) -> Path:
    settings.STOA_HOME = tmp_path / "home"
    return tmp_path / "home"


@pytest.fixture
def supervisor(home: Path) -> Iterator[FakeSupervisor]:
    fake = FakeSupervisor(home)
    yield fake
    fake.close()


@pytest.fixture
def user() -> Namespace:
    return Namespace.objects.create(name="USER")


@pytest.fixture
def notes(user: Namespace) -> WebApp:
    return WebApp.objects.create(name="/csp/notes", namespace=user, app_name="app", directory="/srv/notes")


def run(*words: str) -> str:
    """Run a command that ends well; return what it prints."""
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def status(*words: str) -> tuple[int, str]:
    """Run status; return its exit status and what it prints."""
    out = io.StringIO()
    try:
        call_command("status", *words, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def fact(state: str = "running", **more: Any) -> dict[str, Any]:
    known = {"state": state, "reason": "", "detail": "", "generation": 1, "pids": [7, 8], "since": SINCE}
    return {**known, **more}


# status


def test_status_for_programs_has_the_supervisor_and_every_application(supervisor, notes):
    supervisor.facts = {str(notes.pk): fact()}
    code, text = status("--json")
    assert code == 0
    assert json.loads(text) == {
        "supervisor": {"state": "running", "pid": 4321, "since": SINCE},
        "webapps": [
            {
                "name": "/csp/notes",
                "host": "",
                "namespace": "USER",
                "protocol": "wsgi",
                "enabled": True,
                "state": "running",
                "reason": "",
                "generation": 1,
                "pids": [7, 8],
                "since": SINCE,
            }
        ],
    }


def test_status_without_a_supervisor_ends_with_3(home, notes, user):
    WebApp.objects.create(name="/files", namespace=user, kind="files", path="/srv/files")
    WebApp.objects.create(name="/off", namespace=user, app_name="app", enabled=False)
    code, text = status("--json")
    answer = json.loads(text)
    assert code == 3
    assert answer["supervisor"] == {"state": "stopped", "pid": None, "since": None}
    assert [(app["name"], app["state"], app["since"]) for app in answer["webapps"]] == [
        ("/csp/notes", "asleep", None),
        ("/files", "files", None),
        ("/off", "disabled", None),
    ]
    assert "not running" in answer["webapps"][0]["reason"]


def test_status_for_people_says_how_to_start(home, notes):
    code, text = status()
    assert code == 3
    assert text.splitlines()[0] == "Stoa is not running. Start it with script/serve."
    assert "/csp/notes" in text


def test_status_for_people_is_a_table_with_reasons_and_warnings(supervisor, notes):
    supervisor.facts = {str(notes.pk): fact("failed", reason="there is no module app\x1b[2J")}
    code, text = status()
    assert code == 0
    assert text.splitlines() == [
        f"The supervisor is running: process 4321, since {SINCE}.",
        "the disk is nearly full",
        "Application  State   Namespace  Protocol  Reason",
        "/csp/notes   failed  USER       wsgi      there is no module app\\x1b[2J",
    ]


def test_an_application_that_the_supervisor_has_not_seen_is_starting(supervisor, notes):
    assert json.loads(status("--json")[1])["webapps"][0]["state"] == "starting"


# webapp reload


def test_reload_saves_a_revision_and_waits_until_it_runs(supervisor, notes):
    answers = iter([fact(), fact("starting"), fact(), fact(generation=2)])
    supervisor.on_status = lambda: supervisor.facts.update({str(notes.pk): next(answers, fact(generation=2))})
    assert run("webapp", "reload", "/csp/notes") == "/csp/notes: generation 2 runs.\n"
    notes.refresh_from_db()
    assert notes.revision == 2


def test_reload_touches_nothing_but_the_revision(supervisor, notes):
    supervisor.on_status = lambda: supervisor.facts.update({str(notes.pk): fact(generation=9)})
    before: dict[str, Any] = {**WebApp.objects.values().get()}
    run("webapp", "reload", "/csp/notes")
    after: dict[str, Any] = {**WebApp.objects.values().get()}
    assert {name for name in after if after[name] != before[name]} == {
        "revision",
        "modified",
        "modified_by",
    }


def test_reload_that_fails_shows_the_traceback_and_that_the_old_one_serves_on(supervisor, notes):
    reason = "generation 2 did not start: SyntaxError"
    supervisor.facts = {str(notes.pk): fact(reason=reason, detail="Traceback\n  line 1")}
    with pytest.raises(CommandError) as caught:
        run("webapp", "reload", "/csp/notes")
    assert str(caught.value).splitlines() == [
        f"/csp/notes: {reason}",
        "  Traceback",
        "    line 1",
        "Generation 1 goes on serving.",
    ]
    assert caught.value.returncode == 1


def test_reload_of_what_never_ran_says_why_it_failed(supervisor, notes):
    supervisor.facts = {str(notes.pk): fact("failed", reason="there is no module app", generation=2, pids=[])}
    with pytest.raises(CommandError, match="generation 2 did not start: there is no module app"):
        run("webapp", "reload", "/csp/notes")


def test_reload_does_not_take_an_older_failure_for_its_own(supervisor, notes):
    old = fact(reason="generation 1 did not start: SyntaxError")
    answers = iter([old, fact("failed", generation=1), fact(generation=2)])
    supervisor.on_status = lambda: supervisor.facts.update({str(notes.pk): next(answers, fact(generation=2))})
    assert "generation 2 runs" in run("webapp", "reload", "/csp/notes")


def test_reload_that_never_ends_is_given_up(supervisor, notes):
    with pytest.raises(CommandError, match=r"neither runs nor failed within 0\.2 seconds"):
        run("webapp", "reload", "/csp/notes", "--timeout=0.2")


def test_reload_of_a_sleeping_application_says_when_it_starts(supervisor, notes):
    supervisor.facts = {str(notes.pk): fact("asleep", generation=2, pids=[])}
    assert "starts with the next request" in run("webapp", "reload", "/csp/notes")


def test_reload_while_stoa_is_down_is_saved_and_ends_with_3(home, notes):
    with pytest.raises(CommandError, match="is saved, and will be live then") as caught:
        run("webapp", "reload", "/csp/notes")
    assert caught.value.returncode == 3
    notes.refresh_from_db()
    assert notes.revision == 2


def test_reload_of_a_disabled_application_is_refused(supervisor, notes):
    WebApp.objects.update(enabled=False)
    with pytest.raises(CommandError, match="is disabled"):
        run("webapp", "reload", "/csp/notes")


def test_a_name_that_is_unknown_is_answered_with_those_near_it(home, notes):
    for name in ("/csp/note", "/CSP/NOTES", "csp/notes"):
        with pytest.raises(CommandError, match="Near it: /csp/notes"):
            run("webapp", "reload", name)


def test_a_name_on_several_hosts_needs_its_host(supervisor, user):
    for host in ("a.example", "b.example"):
        WebApp.objects.create(name="/shop", host=host, namespace=user, kind="files", path="/srv")
    with pytest.raises(CommandError, match=r"on several hosts: a\.example/shop, b\.example/shop"):
        run("webapp", "reload", "/shop")
    assert "b.example/shop is files only" in run("webapp", "reload", "b.example/shop")


# webapp install


@pytest.fixture
def wants(notes: WebApp, tmp_path: Path) -> WebApp:
    """Give an application with a requirements.txt."""
    (tmp_path / "requirements.txt").write_text("Flask\n")
    notes.directory = str(tmp_path)
    notes.save()
    return notes


def installer(home: Path, state: str, message: str) -> Answer:
    """Write what the installer writes, in its order, as it comes."""

    def installs(request: dict[str, Any]) -> dict[str, Any]:
        threading.Thread(target=install, args=(request["label"],)).start()
        return {"ok": True}

    def install(label: str) -> None:
        directory = home / "namespaces" / "USER" / "install"
        directory.mkdir(parents=True, exist_ok=True)
        with (
            (directory / "running").open("w") as running,
            (directory / "log").open("w") as log,
        ):
            fcntl.flock(running, fcntl.LOCK_EX)
            note(directory, {"state": "running", "label": label, "started": SINCE})
            for line in ("resolving", "fetching \x1b[2J", "done"):
                print(line, file=log, flush=True)
            note(directory, {"state": state, "label": label, "started": SINCE, "message": message})

    return installs


def note(directory: Path, values: dict[str, Any]) -> None:
    (directory / ".fresh").write_text(json.dumps(values))
    (directory / ".fresh").replace(directory / "json")


def test_install_shows_each_line_and_its_end(supervisor, home, wants, tmp_path):
    supervisor.on_install = installer(home, "done", "The environment of USER is ready.")
    assert run("webapp", "install", "/csp/notes").splitlines() == [
        "resolving",
        "fetching \\x1b[2J",
        "done",
        "/csp/notes: The environment of USER is ready.",
    ]
    (asked,) = [request for request in supervisor.asked if request["do"] == "install"]
    assert asked == {
        "do": "install",
        "id": wants.pk,
        "label": "/csp/notes",
        "namespace": "USER",
        "requirements": str(tmp_path / "requirements.txt"),
        "labels": ["/csp/notes"],
    }


def test_install_that_fails_ends_with_1_and_says_why(supervisor, home, wants):
    supervisor.on_install = installer(home, "failed", "uv pip ended with status 1. Nothing has changed.")
    with pytest.raises(CommandError, match="Nothing has changed") as caught:
        run("webapp", "install", "/csp/notes")
    assert caught.value.returncode == 1


def test_install_does_not_take_an_earlier_end_for_its_own(supervisor, home, wants):
    directory = home / "namespaces" / "USER" / "install"
    directory.mkdir(parents=True)
    note(directory, {"state": "failed", "label": "/csp/notes", "started": SINCE, "message": "earlier"})
    (directory / "log").write_text("earlier\n")
    supervisor.on_install = installer(home, "done", "ready")
    assert "earlier" not in run("webapp", "install", "/csp/notes")


def test_install_that_the_supervisor_refuses_says_why(supervisor, wants):
    supervisor.on_install = lambda request: {"error": "an installation into USER is under way; wait for its end"}
    with pytest.raises(CommandError, match="under way"):
        run("webapp", "install", "/csp/notes")


def test_install_without_requirements_names_the_directory(supervisor, notes):
    with pytest.raises(CommandError, match=r"there is no requirements\.txt in /srv/notes"):
        run("webapp", "install", "/csp/notes")


def test_install_for_files_only_or_a_foreign_interpreter_is_refused(supervisor, wants, user):
    user.interpreter = "/opt/python/bin/python3"
    user.save()
    with pytest.raises(CommandError, match="/opt/python/bin/python3"):
        run("webapp", "install", "/csp/notes")
    WebApp.objects.update(kind="files")
    with pytest.raises(CommandError, match="files only"):
        run("webapp", "install", "/csp/notes")


def test_install_while_stoa_is_down_ends_with_3(home, wants):
    with pytest.raises(CommandError, match="Start it with script/serve") as caught:
        run("webapp", "install", "/csp/notes")
    assert caught.value.returncode == 3
