from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.patience import Stopwatch, within
from tests.waiting import wait_for
from webapps.runtime import legacy, logs, takeover, wire
from webapps.runtime.flood import LINES
from webapps.runtime.logs import read_tail

ROOT = Path(__file__).parents[2]
FLOOD = "import os\nwhile True: os.write(1, b'flood flood flood flood flood flood\\n' * 1000)"


class Keeper:
    """What the keeper is to the log writer: it holds the pipes, and starts it again."""

    def __init__(self, log_dir: Path) -> None:
        self.log_dir = log_dir
        self.wsgi = log_dir / "WSGI.log"
        self.messages = log_dir / "messages.log"
        self.events, self._events_write = os.pipe()
        self.held: dict[str, tuple[int, dict[str, Any]]] = {}
        self.control: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.children: list[subprocess.Popen[bytes]] = []
        self.start()

    def start(self, predecessor: int = 0) -> None:
        """Start a log writer, and attach all that is held."""
        if self.control:
            self.control.close()
        self.control, theirs = wire.pair()
        self.control.settimeout(within(10))
        numbers = [str(theirs.fileno()), str(self.events), str(predecessor)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "webapps.runtime.logwriter", str(self.log_dir), *numbers],
            pass_fds=(theirs.fileno(), self.events),
            cwd=ROOT,
        )
        theirs.close()
        for key, (fd, meta) in self.held.items():
            wire.send(self.control, {"attach": key, **meta}, [fd])

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def pipe(self, label: str = "/a", stream: str = "out", generation: int = 1, **meta: Any) -> int:
        """Hold a new pipe, attach it, return its writing end."""
        reading, writing = os.pipe()
        key = f"pipe:{reading}:{time.monotonic_ns()}"
        meta = meta or {"file": "WSGI", "label": label, "generation": generation, "stream": stream}
        self.held[key] = (reading, meta)
        assert self.control
        wire.send(self.control, {"attach": key, **meta}, [reading])
        return writing

    def run(self, code: str, label: str = "/a") -> subprocess.Popen[bytes]:
        """Start an application that prints."""
        writing = self.pipe(label)
        child = subprocess.Popen([sys.executable, "-c", code], stdout=writing)
        os.close(writing)
        self.children.append(child)
        return child

    def event(self, event: object) -> None:
        """Write to the events pipe."""
        os.write(self._events_write, (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n")

    def expect(self, *texts: str, path: Path | None = None, deadline: float = 10, **filters: Any) -> None:
        """Wait until exactly these lines are there."""
        found: list[str] = []

        def there() -> bool:
            found[:] = [line.text for line in read_tail(path or self.wsgi, **filters).lines]
            return found == list(texts)

        wait_for(there, deadline, lambda: f"lines {texts}, found {found}")

    def expect_message(self, part: str) -> None:
        """Wait until messages.log has it."""
        wait_for(lambda: read_tail(self.messages, text=part).lines, message=self.messages.read_text)

    def expect_starts(self, count: int) -> None:
        """Wait until so many log writers have started."""
        wait_for(lambda: len(read_tail(self.messages, label="log", text="started").lines) == count)

    def expect_line(self, text: str, label: str) -> float:
        """Wait until this is the application's last line; return how long (seconds) that took."""
        began = time.monotonic()
        wait_for(lambda: [line.text for line in read_tail(self.wsgi, label=label, lines=1).lines] == [text])
        return time.monotonic() - began

    def done(self) -> str:
        """Wait until the log writer says that a pipe has ended."""
        assert self.control
        received = wire.receive(self.control)
        assert received
        key: str = received[0]["done"]
        os.close(self.held.pop(key)[0])
        return key

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(within(10))

    def leave(self) -> None:
        """Die, as far as the log writer can see."""
        if self.control:
            self.control.close()
        self.control = None
        for fd in [self.events, self._events_write, *(fd for fd, _meta in self.held.values())]:
            os.close(fd)
        self.held = {}
        self.events = -1

    def cleanup(self) -> None:
        for child in [*self.children, self.process]:
            if child:
                child.kill()
                child.wait(within(10))
        if self.events >= 0:
            self.leave()


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path / "log")
    yield keeper
    keeper.cleanup()


def cpu(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_what_an_application_prints_is_in_the_log_with_all_that_is_known_of_it(keeper: Keeper) -> None:
    out, err = keeper.pipe("/csp/notes", "out", 3), keeper.pipe("/csp/notes", "err", 3)
    os.write(out, b"hello\n")
    keeper.expect("hello")
    os.write(err, b'Traceback:\n  File "x"\nKeyError\n')
    keeper.expect("hello", "Traceback:", '  File "x"', "KeyError", label="/csp/notes", generation=3)
    last = read_tail(keeper.wsgi).lines[-1]
    assert (last.label, last.generation, last.stream) == ("/csp/notes", 3, "err")
    assert last.time.endswith("Z")
    assert abs(time.time() - datetime.fromisoformat(last.time).timestamp()) < 60


def test_files_are_for_the_owner_alone(keeper: Keeper) -> None:
    os.write(keeper.pipe(), b"x\n")
    keeper.expect("x")
    assert keeper.log_dir.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in keeper.log_dir.iterdir()} == {0o600}


def test_output_of_stoas_own_processes_is_in_messages(keeper: Keeper) -> None:
    os.write(keeper.pipe(file="messages", source="front"), b"nginx: warning\n")
    keeper.expect("nginx: warning", path=keeper.messages, label="front")
    assert read_tail(keeper.messages, label="front").lines[0].level == "info"


def test_what_a_part_of_stoa_says_too_often_is_counted(keeper: Keeper) -> None:
    flooding, other = keeper.pipe(file="messages", source="front"), keeper.pipe(file="messages", source="portal")
    os.write(flooding, b"bad request\n" * 5000)
    os.write(other, b"a word of mine\n")

    keeper.expect("a word of mine", path=keeper.messages, label="portal")
    wait_for(lambda: f"{5000 - LINES} more lines within" in keeper.messages.read_text(), 30)
    assert keeper.messages.read_text().count("bad request") == LINES


def test_events_of_both_files_are_written(keeper: Keeper) -> None:
    keeper.event({"file": "WSGI", "label": "/a", "generation": 2, "stream": "stoa", "text": "failed:\nKeyError"})
    keeper.event({"file": "messages", "source": "supervisor", "level": "error", "text": "no front\x1b"})
    keeper.expect("failed:", "KeyError", label="/a", generation=2)
    keeper.expect(r"no front\x1b", path=keeper.messages, label="supervisor")


@pytest.mark.parametrize(
    "event",
    [
        b"not json\x1b[2J",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"[" * 4000,
        {"file": "WSGI"},
        {"file": "messages", "source": "x", "level": "info", "text": 7},
        {"file": [], "text": "x"},
    ],
)
def test_a_malformed_event_is_logged_as_such(keeper: Keeper, event: object) -> None:
    keeper.event(event)
    keeper.expect_message("malformed event")
    keeper.event({"file": "WSGI", "label": "/a", "generation": 1, "stream": "stoa", "text": "\ud800 goes on"})
    keeper.expect(r"\ud800 goes on")


def test_a_request_that_is_not_understood_is_logged_and_goes_on(keeper: Keeper) -> None:
    assert keeper.control
    keeper.control.send(b"not json")
    wire.send(keeper.control, {"attach": "no descriptor"})
    wire.send(keeper.control, {"what": 1}, [keeper.events])
    keeper.expect_message("not JSON")
    keeper.expect_message("no descriptor")
    keeper.expect_message("{'what': 1}")
    os.write(keeper.pipe(), b"goes on\n")
    keeper.expect("goes on")


def test_the_end_of_a_pipe_is_told_and_its_last_line_written(keeper: Keeper) -> None:
    writing = keeper.pipe()
    (key,) = keeper.held
    os.write(writing, b"whole\nthe last, without an end")
    os.close(writing)
    assert keeper.done() == key
    keeper.expect("whole", "the last, without an end")


def test_a_file_instead_of_a_pipe_is_given_back(keeper: Keeper, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x\n")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    keeper.held["file"] = (fd, {})
    assert keeper.control
    wire.send(keeper.control, {"attach": "file", "file": "WSGI", "label": "/a"}, [fd])
    assert keeper.done() == "file"
    keeper.expect_message("not a pipe")


def test_a_prompt_is_shown_after_a_silence(keeper: Keeper) -> None:
    writing = keeper.pipe()
    os.write(writing, b"Name? ")
    keeper.expect("Name? …", deadline=3)
    os.write(writing, b"Ada\n")
    keeper.expect("Name? …", "…Ada")


def test_hostile_bytes_stay_within_their_line(keeper: Keeper) -> None:
    hostile = bytes(byte for byte in range(256) if byte != 10) + "\u2028\u202e\u2066".encode()
    os.write(keeper.pipe(), hostile + b"\n" + b"\xff" * 20_000 + b"\nafter\n")
    wait_for(lambda: len(read_tail(keeper.wsgi).lines) == 3, message="three lines")
    data = keeper.wsgi.read_bytes()
    assert len(data.decode().splitlines()) == 3
    assert max(map(len, data.splitlines(keepends=True))) <= logs.MAX_LINE
    assert not set(data) & {byte for byte in range(32) if byte not in (9, 10)}
    assert read_tail(keeper.wsgi).lines[1].text.endswith(r"\xff…")


def test_lines_of_many_are_neither_torn_nor_mixed_nor_out_of_order(keeper: Keeper) -> None:
    code = """if True:
        import os, random
        data = b"".join(b"%d " % number + b"x" * random.randint(0, 300) + b" end\\n" for number in range(500))
        while data:
            size = random.randint(1, 2000)
            os.write(1, data[:size])
            data = data[size:]
    """
    labels = [f"/app{number}" for number in range(12)]
    for label in labels:
        keeper.run(code, label)
    for _label in labels:
        keeper.done()
    for label in labels:
        keeper_lines = [line.text.split() for line in read_tail(keeper.wsgi, label=label, lines=1000).lines]
        assert [int(words[0]) for words in keeper_lines] == list(range(500))
        assert {words[-1] for words in keeper_lines} == {"end"}


def test_who_prints_without_end_disturbs_nobody(keeper: Keeper) -> None:
    for number in range(3):
        keeper.run(FLOOD, f"/flood{number}")
    quiet = keeper.pipe("/quiet")
    wait_for(lambda: read_tail(keeper.wsgi, label="/flood0", text="prints faster").lines, message="slowed")
    began, used = time.monotonic(), cpu(keeper.pid)
    slowest = 0.0
    for number in range(20):
        os.write(quiet, b"%d\n" % number)
        slowest = max(slowest, keeper.expect_line(str(number), "/quiet"))
    wait_for(lambda: time.monotonic() - began > 2, message="time passes")
    share = (cpu(keeper.pid) - used) / (time.monotonic() - began)
    assert slowest < within(1), "a quiet application waits"
    assert share < min(within(0.25), 0.9), "flooding costs too much"


def test_who_is_slowed_loses_nothing(keeper: Keeper) -> None:
    keeper.run("for number in range(40000): print(number, 'x' * 20)")
    keeper.done()
    path = keeper.wsgi
    texts = [line.text for line in read_tail(path, label="/a", lines=10_000).lines]
    numbers = [int(text.split()[0]) for text in texts if "prints faster" not in text]
    assert len(numbers) >= 9_999, "the line that says that it is slowed may be among them"
    assert numbers == list(range(40_000 - len(numbers), 40_000))
    assert len(read_tail(path, text="prints faster").lines) == 1
    assert path.read_bytes().count(b"\n") == 40_001


def test_a_megabyte_at_once_is_taken_without_a_pause(keeper: Keeper) -> None:
    with Stopwatch() as watch:
        keeper.run("print(('x' * 99 + chr(10)) * 9000)")
        keeper.done()
    assert watch.there < 3
    assert read_tail(keeper.wsgi, text="prints faster").lines == []


def test_it_rotates_at_ten_megabytes(keeper: Keeper) -> None:
    writing = keeper.pipe()
    os.write(writing, b"first\n")
    keeper.expect("first")
    with keeper.wsgi.open("ab") as file:
        file.write((b"x" * 1023 + b"\n") * 10_240)
    wait_for(lambda: os.write(writing, b"more\n") and keeper.wsgi.with_name("WSGI.log.1").exists(), interval=0.3)
    wait_for(lambda: read_tail(keeper.wsgi).lines[-1].text == "more")
    assert keeper.wsgi.stat().st_size < 10_000


def test_a_log_that_somebody_deletes_is_made_again(keeper: Keeper) -> None:
    writing = keeper.pipe()
    os.write(writing, b"first\n")
    keeper.expect("first")
    keeper.wsgi.unlink()
    wait_for(lambda: os.write(writing, b"again\n") and keeper.wsgi.exists(), interval=0.3)
    wait_for(lambda: read_tail(keeper.wsgi).lines)


def test_a_full_disk_costs_lines_that_are_counted(keeper: Keeper) -> None:
    writing = keeper.pipe()
    os.write(writing, b"before\n")
    keeper.expect("before")
    _soft, hard = resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE, (keeper.wsgi.stat().st_size + 150, hard))
    os.write(writing, b"".join(b"%d %s\n" % (number, b"x" * 50) for number in range(10)))
    os.close(writing)
    keeper.done()
    keeper.expect("before", f"0 {'x' * 50}")
    resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE, (hard, hard))
    keeper.expect("before", f"0 {'x' * 50}", "9 lines were lost: File too large")


def test_sigterm_drains_what_is_in_the_pipes(keeper: Keeper) -> None:
    writing = [keeper.pipe(f"/{number}") for number in range(20)]
    os.write(writing[0], b"ready\n")
    keeper.expect("ready")
    os.kill(keeper.pid, signal.SIGSTOP)
    for fd in writing:
        os.write(fd, b"x" * 60 * 1000 + b"\nlast\nunfinished")
    keeper.event({"file": "WSGI", "label": "/a", "generation": 1, "stream": "stoa", "text": "stopped"})
    os.kill(keeper.pid, signal.SIGTERM)
    assert keeper.stop(signal.SIGCONT) == 0
    for number in range(20):
        assert [line.text for line in read_tail(keeper.wsgi, label=f"/{number}", lines=2).lines] == [
            "last",
            "unfinished",
        ]
    assert read_tail(keeper.wsgi, label="/a", text="stopped").lines


def test_sigterm_is_not_put_off_by_somebody_who_prints_without_end(keeper: Keeper) -> None:
    keeper.run(FLOOD)
    wait_for(lambda: read_tail(keeper.wsgi, text="prints faster").lines)
    with Stopwatch() as watch:
        assert keeper.stop() == 0
    assert watch.there < 3


def test_a_ctrl_c_is_not_for_it(keeper: Keeper) -> None:
    writing = keeper.pipe()
    os.write(writing, b"ready\n")
    keeper.expect("ready")
    os.kill(keeper.pid, signal.SIGINT)
    os.write(writing, b"still here\n")
    keeper.expect("ready", "still here")


def test_its_successor_goes_on_where_it_was_killed(keeper: Keeper) -> None:
    writing = keeper.pipe()
    os.write(writing, b"one\n")
    keeper.expect("one")
    keeper.stop(signal.SIGKILL)
    os.write(writing, b"two\n")
    keeper.start()
    os.write(writing, b"three\n")
    keeper.expect("one", "two", "three")


def test_no_line_is_lost_between_kills(keeper: Keeper) -> None:
    code = f"""if True:
        import time
        for number in range(300):
            print(number, flush=True)
            time.sleep({within(0.005)})
    """
    child = keeper.run(code)
    kills = 0
    while child.poll() is None:
        keeper.expect_starts(kills + 1)
        keeper.stop(signal.SIGKILL)
        keeper.start()
        kills += 1
    keeper.done()
    assert kills > 3
    numbers = [int(line.text) for line in read_tail(keeper.wsgi, label="/a", lines=1000).lines]
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= 300 - 3 * kills, "only what was read and not yet written at a kill may be missing"


def test_when_the_keeper_has_gone_it_reads_on_until_the_applications_end(keeper: Keeper) -> None:
    writing = keeper.pipe()
    os.write(writing, b"one\n")
    keeper.expect("one")
    keeper.leave()
    keeper.expect_message("the keeper has gone")
    os.write(writing, b"two\n")
    keeper.expect("one", "two")
    os.close(writing)
    assert keeper.process
    assert keeper.process.wait(within(10)) == 0


def test_when_the_keeper_has_gone_it_hands_over_all_that_he_held(keeper: Keeper, tmp_path: Path) -> None:
    writing = keeper.pipe()
    reading, kept = os.pipe()
    assert keeper.control
    wire.send(keeper.control, {"hold": "socket:1", "meta": {"label": "/old"}}, [kept])
    wire.send(keeper.control, {"hold": "socket:1", "meta": {"label": "/a"}}, [kept])
    wire.send(keeper.control, {"hold": "asleep:2", "meta": {}})
    wire.send(keeper.control, {"drop": "asleep:2"})
    wire.send(keeper.control, {"answer": str(tmp_path / legacy.SOCKET)})
    wait_for((tmp_path / legacy.SOCKET).exists)
    keys = list(keeper.held)
    keeper.leave()

    left = takeover.claim(tmp_path)

    assert left and left.log_writer == keeper.pid
    assert left.held.keys() == {"socket:1", *keys}
    assert left.held["socket:1"].meta == {"label": "/a"}
    assert left.held[keys[0]].meta["label"] == "/a"
    os.write(left.held["socket:1"].fds[0], b"the same pipe")
    assert os.read(reading, 100) == b"the same pipe"
    wire.close_all([reading, kept, writing, *(fd for held in left.held.values() for fd in held.fds)])


def test_where_it_cannot_answer_the_next_start_it_says_so_and_goes_on(keeper: Keeper) -> None:
    assert keeper.control
    keeper.expect_starts(1)
    (keeper.log_dir / "file").touch()
    wire.send(keeper.control, {"answer": str(keeper.log_dir / "file" / legacy.SOCKET)})
    keeper.expect_message("nothing can be taken over")
    os.write(keeper.pipe(), b"goes on\n")
    keeper.expect("goes on")


def test_a_successor_reads_nothing_before_its_predecessor_has_ended(keeper: Keeper) -> None:
    writing = keeper.pipe()
    predecessor, process = keeper.pid, keeper.process
    assert process
    keeper.expect_starts(1)
    keeper.children.append(process)
    os.kill(predecessor, signal.SIGSTOP)
    os.write(writing, b"one\n")
    keeper.start(predecessor)
    os.write(writing, b"two\n")
    assert keeper.control
    wire.send(keeper.control, {"answer": str(keeper.log_dir / legacy.SOCKET)})
    wait_for((keeper.log_dir / legacy.SOCKET).exists)  # It hears the keeper all the while.
    keeper.expect_starts(1)

    process.kill()
    process.wait(within(10))

    keeper.expect("one", "two")
    keeper.expect_starts(2)


def test_a_keeper_that_does_not_listen_is_not_waited_for(keeper: Keeper) -> None:
    for _round in range(40):
        for _pipe in range(20):
            os.close(keeper.pipe(f"/{'x' * 200}"))
    os.write(keeper.pipe("/quiet"), b"goes on\n")
    keeper.expect("goes on", label="/quiet")
    keys = {keeper.done() for _pipe in range(800)}
    assert len(keys) == 800


def test_it_says_how_it_is_used_when_it_is_used_wrongly() -> None:
    ended = subprocess.run([sys.executable, "-m", "webapps.runtime.logwriter", "x"], cwd=ROOT, capture_output=True)
    assert ended.returncode == 2
    assert b"usage" in ended.stderr
