"""What is read of files that hosted code may write."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import hostile
from tests.patience import within
from webapps.runtime import hostedfiles, removal
from webapps.runtime.hostedfiles import TooMuch, Unreadable, Walk

NOT_FILES = [thing for thing in hostile.FILES if thing not in (hostile.sparse, hostile.noise, hostile.json_without_end)]
IS_ROOT = os.geteuid() == 0


@contextmanager
def nobody_waits() -> Iterator[None]:
    """Fail where the block waits for something: who opens a FIFO of this test is let go by its end."""
    late = threading.Timer(within(5), os._exit, [77])
    late.start()
    yield
    late.cancel()


@pytest.mark.parametrize("thing", NOT_FILES, ids=lambda thing: thing.__name__)
def test_what_is_no_file_is_not_opened(tmp_path: Path, thing: Callable[[Path], None]) -> None:
    path = tmp_path / "requirements.txt"
    thing(path)
    if thing is hostile.unreadable and IS_ROOT:
        pytest.skip("root reads it")
    with nobody_waits():
        for look in (hostedfiles.read, hostedfiles.text, hostedfiles.tail):
            with pytest.raises(OSError, match=path.name):
                look(path, tmp_path)
        assert str(path) in hostedfiles.problem(path, tmp_path)
        assert not hostedfiles.there(path, tmp_path)


@pytest.mark.skipif(not IS_ROOT, reason="only root makes devices")
def test_a_device_is_not_opened(tmp_path: Path) -> None:
    hostile.device(tmp_path / "x")
    with pytest.raises(Unreadable, match="is a device"):
        hostedfiles.read(tmp_path / "x", tmp_path)


def test_it_is_said_what_is_there_instead(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    assert hostedfiles.problem(tmp_path / "x") == f"{tmp_path}/x is a pipe (FIFO); a regular file has to be there"


def test_a_writer_that_waits_at_a_fifo_goes_on_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    hostedfiles.there(tmp_path / "x")
    with pytest.raises(OSError, match="No such device or address"):  # Nobody has it open for reading.
        os.open(tmp_path / "x", os.O_WRONLY | os.O_NONBLOCK)


def test_a_lease_holds_up_nobody(tmp_path: Path) -> None:
    """Who opens a file with a lease waits for its holder, who is told by a signal (fcntl(2), F_SETLEASE)."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    path = tmp_path / "x"
    path.write_text("x")
    with path.open("r+") as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        with nobody_waits(), pytest.raises(BlockingIOError):
            hostedfiles.read(path)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    signal.signal(signal.SIGIO, before)


def test_a_file_without_end_is_too_large(tmp_path: Path) -> None:
    hostile.sparse(tmp_path / "x")
    with pytest.raises(Unreadable, match="more than the 100 bytes"):
        hostedfiles.read(tmp_path / "x", tmp_path, 100)


def test_of_a_file_without_end_the_end_is_read(tmp_path: Path) -> None:
    hostile.sparse(tmp_path / "x")
    assert hostedfiles.tail(tmp_path / "x", tmp_path, 10) == "�" * 10


def test_a_file_that_grows_is_read_as_far_as_it_may_be(tmp_path: Path) -> None:
    path, stop = tmp_path / "x", threading.Event()

    def grow() -> None:
        with path.open("ab") as file:
            while not stop.is_set():
                file.write(b"x" * 4096)

    path.write_bytes(b"x" * 200_000)
    grower = threading.Thread(target=grow)
    grower.start()
    try:
        assert len(hostedfiles.tail(path, tmp_path, 100_000)) == 100_000
        with pytest.raises(Unreadable):
            hostedfiles.read(path, tmp_path, 100_000)
    finally:
        stop.set()
        grower.join()


def test_a_link_to_a_secret_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("secret")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "requirements.txt").symlink_to(tmp_path / "secret_key")
    with pytest.raises(Unreadable, match="is a link"):
        hostedfiles.text(tmp_path / "app" / "requirements.txt", tmp_path / "app")


def test_no_part_of_the_way_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "x").write_text("secret")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "link").symlink_to(tmp_path / "others")
    for look in (hostedfiles.read, hostedfiles.names, hostedfiles.folders):
        with pytest.raises(Unreadable):
            look(tmp_path / "app" / "link" / "x", tmp_path / "app")
    with pytest.raises(Unreadable, match="through a link"):
        hostedfiles.read(tmp_path / "app" / "link" / "x", tmp_path / "app")
    with pytest.raises(Unreadable, match="is a link"):
        hostedfiles.names(tmp_path / "app" / "link", tmp_path / "app")


def test_the_directory_that_a_person_has_named_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases" / "x").write_text("y")
    (tmp_path / "current").symlink_to("releases")
    assert hostedfiles.text(tmp_path / "current" / "x", tmp_path / "current") == "y"
    assert hostedfiles.names(tmp_path / "current", tmp_path / "current") == ["x"]


def test_what_lies_elsewhere_is_not_below(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="is not below"):
        hostedfiles.read(tmp_path / "app" / ".." / "secret_key", tmp_path / "app")


def test_text_can_be_shown_whatever_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a\xff\x1b[31m\tb\r\nc\x00\xe2\x80\xae")
    found = hostedfiles.text(tmp_path / "x", tmp_path)
    assert found == "a��[31m\tb\nc��"
    assert hostedfiles.plain("\udcff") == "�"


def test_a_new_file_takes_the_place_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("kept")
    (tmp_path / "log").symlink_to("theirs")
    with os.fdopen(hostedfiles.written(tmp_path / "log", tmp_path), "w") as file:
        file.write("new")
    assert (tmp_path / "theirs").read_text() == "kept"
    assert (tmp_path / "log").read_text() == "new" and not (tmp_path / "log").is_symlink()


def test_a_file_to_lock_is_the_one_that_is_there(tmp_path: Path) -> None:
    first = hostedfiles.lockable(tmp_path / "lock", tmp_path)
    second = hostedfiles.lockable(tmp_path / "lock", tmp_path)
    assert os.fstat(first).st_ino == os.fstat(second).st_ino
    os.close(first)
    os.close(second)
    (tmp_path / "lock").unlink()
    os.mkfifo(tmp_path / "lock")
    with nobody_waits(), pytest.raises(Unreadable):
        hostedfiles.lockable(tmp_path / "lock", tmp_path)


def test_so_many_names_are_listed(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    assert len(hostedfiles.names(tmp_path, most=20)) == 20
    assert "link" in hostedfiles.names(tmp_path) and "link" not in hostedfiles.folders(tmp_path)


class TestWalk:
    def test_it_goes_so_deep(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b" / "c").mkdir(parents=True)
        for folder in (".", "a", "a/b", "a/b/c"):
            (tmp_path / folder / "x.py").touch()
        found = [found.path for found in Walk((".py",), deepest=2).below(str(tmp_path))]
        assert found == ["x.py", "a/x.py", "a/b/x.py"]

    def test_it_does_not_end_in_what_is_deeper_than_calls_go(self, tmp_path: Path) -> None:
        hostile.deep(tmp_path / "deep")
        assert list(Walk((".py",)).below(str(tmp_path))) == []
        removal.remove(tmp_path / "deep")  # pytest's own way of removing it calls itself for each level.

    def test_it_follows_no_link(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "x.py").touch()
        (tmp_path / "a" / "round").symlink_to(tmp_path)
        assert [found.path for found in Walk((".py",)).below(str(tmp_path))] == ["a/x.py"]

    def test_it_looks_at_so_many_names(self, tmp_path: Path) -> None:
        for number in range(50):
            (tmp_path / f"{number}.py").touch()
        assert len(list(Walk((".py",), most=20).below(str(tmp_path)))) == 20

    def test_it_is_given_up_when_it_takes_too_long(self, tmp_path: Path) -> None:
        (tmp_path / "x.py").touch()
        with pytest.raises(TooMuch):
            list(Walk((".py",), longest=-1).below(str(tmp_path)))

    def test_it_leaves_nothing_open(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        for number in range(5):
            (tmp_path / "a" / "b" / f"{number}.py").touch()
        before = os.listdir("/proc/self/fd")
        next(Walk((".py",)).below(str(tmp_path)))
        with pytest.raises(TooMuch):
            list(Walk((".py",), longest=-1).below(str(tmp_path)))
        assert os.listdir("/proc/self/fd") == before
