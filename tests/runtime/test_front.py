"""Applying routes: written whole, tested, reloaded, confirmed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.accounts import ACCOUNT
from tests.patience import Stopwatch, within
from tests.runtime.front_site import DEADLINE, Site, binaries, files, wsgi
from tests.waiting import wait_for
from webapps.runtime import front as front_module
from webapps.runtime.front import Front
from webapps.runtime.nginx import Binary
from webapps.runtime.spec import Files, Route, ServeFiles

Make = Callable[..., Site]


@pytest.fixture(params=binaries(), ids=lambda binary: binary.words)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "site", request.param)
    site.backend(1)
    site.backend(2)
    try:
        yield site
    finally:
        site.stop()


def test_it_serves_from_inherited_sockets(site: Site) -> None:
    site.serve(wsgi(1, "/a"))

    assert site.get("/a/").seen["app"] == "1"
    assert "using inherited sockets" in site.words()
    # Nobody else may bind them, and nginx alone accepts.
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", site.port))


def test_it_is_the_process_that_was_started_and_writes_its_pid(site: Site) -> None:
    site.serve(wsgi(1, "/a"))

    assert site.process
    assert (site.run_dir / "front" / "nginx.pid").read_text().strip() == str(site.process.pid)
    site.process.terminate()
    site.process.wait(DEADLINE)
    assert not (site.run_dir / "front" / "nginx.pid").exists()


def test_a_reload_keeps_the_sockets_and_changes_the_routes(site: Site) -> None:
    first = site.serve(wsgi(1, "/a"))

    second = site.serve(wsgi(2, "/b"))

    assert second.generation == first.generation + 1
    assert site.signals == [signal.SIGHUP]
    assert site.get("/a/").status == 404
    assert site.get("/b/").seen["app"] == "2"


def test_once_applied_nothing_older_answers(site: Site) -> None:
    site.serve(wsgi(1, "/a"))
    for number in range(5):
        site.serve(wsgi(1, f"/a{number}"))
        assert [site.get(f"/a{number}/").status for _ in range(20)] == [200] * 20


def test_no_request_fails_while_routes_change(site: Site) -> None:
    site.serve(wsgi(1, "/a"))
    seen: list[int] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            seen.append(site.get("/a/").status)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(8):
        site.serve(wsgi(1, "/a"), wsgi(2, f"/b{number}"))
    ended.set()
    for thread in threads:
        thread.join()

    assert set(seen) == {200}


def test_what_is_in_force_is_not_applied_again(site: Site) -> None:
    first = site.serve(wsgi(1, "/a"), USER="/a")

    assert site.serve(wsgi(1, "/a"), USER="/a") == first
    assert site.signals == []


def test_a_new_supervisor_finds_what_is_in_force(site: Site) -> None:
    first = site.serve(wsgi(1, "/a"))
    site.front = Front(site.settings, site.send)

    assert site.serve(wsgi(1, "/a")) == first
    assert site.signals == []
    assert site.serve(wsgi(1, "/b")).generation == first.generation + 1


def test_a_text_that_was_written_but_never_loaded_is_loaded(site: Site) -> None:
    site.serve(wsgi(1, "/a"))
    written = site.front.apply([wsgi(1, "/b")], running=False)
    assert site.get("/b/").status == 404

    assert site.serve(wsgi(1, "/b")).generation == written.generation
    assert site.get("/b/").status == 200


def test_a_route_that_is_not_plain_is_left_out_and_said(site: Site) -> None:
    applied = site.serve(wsgi(1, "/a"), wsgi(2, "/b; } server {"))

    assert list(applied.refused) == [2]
    assert "not made of plain segments" in applied.refused[2]
    assert site.get("/a/").status == 200


def _let_everything_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapps.runtime.front_config.check", lambda _route: None)


def test_a_route_that_nginx_refuses_is_left_out_in_its_words(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    _let_everything_through(monkeypatch)
    bad = wsgi(2, "/b", files=Files(ServeFiles.ALWAYS, "/x", timeout=1))
    bad = replace(bad, name='/b"x')

    applied = site.serve(wsgi(1, "/a"), bad, wsgi(3, "/c"))

    assert list(applied.refused) == [2]
    assert applied.refused[2]
    assert str(site.root) not in applied.refused[2]
    assert site.get("/a/").status == 200
    assert site.get("/c/").status == 502


def test_a_route_that_nginx_refuses_without_a_line_is_found(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    _let_everything_through(monkeypatch)
    monkeypatch.setattr(Front, "_culprit", lambda _self, _words: None)
    routes = [wsgi(number, f"/n{number}") for number in range(1, 12)]
    routes[3] = replace(routes[3], socket="apps/" + "x" * 120 + ".sock")
    routes[8] = replace(routes[8], socket="apps/" + "y" * 120 + ".sock")

    applied = site.serve(*routes)

    assert set(applied.refused) == {4, 9}
    assert site.get("/n1/").status == 200


def test_when_the_rest_is_refused_nothing_changes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.serve(wsgi(1, "/a"))
    monkeypatch.setattr("webapps.runtime.front_config.HTTP", "no_such_directive;")

    applied = site.front.apply([wsgi(1, "/b")], running=True)

    assert 'unknown directive "no_such_directive"' in applied.error
    assert site.get("/a/").status == 200
    assert site.signals == []


def test_the_configuration_is_the_owners_alone(site: Site) -> None:
    site.serve(wsgi(1, "/a"))

    for name in ("nginx.conf", "nginx.trial"):
        assert stat.S_IMODE((site.run_dir / "front" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((site.run_dir / "front").stat().st_mode) == 0o700


def test_no_directory_of_a_person_stands_in_the_configuration(site: Site, tmp_path: Path) -> None:
    site.serve(files(3, "/f", tmp_path / "somebody's"))

    text = (site.run_dir / "front" / "nginx.conf").read_text()
    assert "somebody" not in text
    assert str(tmp_path) not in text
    assert (site.run_dir / "files" / "3").readlink() == tmp_path / "somebody's"


def test_links_go_with_their_routes(site: Site, tmp_path: Path) -> None:
    site.serve(files(3, "/f", tmp_path), files(4, "/g", tmp_path))

    site.serve(files(4, "/g", tmp_path))

    assert os.listdir(site.run_dir / "files") == ["4"]


def test_the_whole_text_passes_nginx_while_its_ports_are_in_use(site: Site) -> None:
    """A person may test the file that is in force by hand, at any time."""
    site.serve(wsgi(1, "/a"))

    done = subprocess.run(
        [site.settings.binary.path, "-p", f"{site.run_dir}/", "-c", "front/nginx.conf", "-e", "stderr", "-t"],
        cwd=site.run_dir,
        capture_output=True,
        text=True,
        timeout=within(DEADLINE),
    )

    assert (done.returncode, "test is successful" in done.stderr) == (0, True), done.stderr
    assert site.front.confirm(replace(site.front._applied), 5).error == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_runs_as_an_account_that_may_do_little() -> None:
    """As serve prepares it with STOA_USER: the front's directories are that account's, we are root."""
    nobody = 65534
    root = Path(tempfile.mkdtemp(prefix="stoa-f-"))  # What pytest makes is its own user's alone.
    for path in (root / "x" / "run" / "front", root / "x" / "run" / "files", root / "x" / "log"):
        path.mkdir(parents=True)
        os.chown(path, nobody, nobody)
    for path in (root, root / "x", root / "x" / "run"):
        path.chmod(0o711)
    site = Site(root / "x", binaries()[-1])
    try:
        applied = site.front.apply([wsgi(1, "/a", max_body=1 << 20)], running=False)
        assert not applied.error
        site.start(user=nobody, group=nobody, extra_groups=[])
        assert site.front.confirm(applied, DEADLINE).error == "", site.words()
        assert site.process
        assert Path(f"/proc/{site.process.pid}").stat().st_uid == nobody
        site.backend(1)
        os.chown(site.run_dir / "apps", nobody, nobody)
        os.chown(site.run_dir / "apps" / "1.sock", nobody, nobody)
        assert site.ask("POST", "/a/", body=b"x" * 1_000_000).seen["length"] == 1_000_000
        assert site.serve(wsgi(1, "/b")).error == ""
        assert site.get("/b/").status == 200
    finally:
        site.stop()
        shutil.rmtree(root, ignore_errors=True)


def test_after_a_sigkill_of_the_master_the_next_one_works_and_nothing_old_is_left(site: Site) -> None:
    site.serve(wsgi(1, "/a"))
    assert site.process
    old = set(site.processes())
    site.process.kill()
    site.process.wait(DEADLINE)
    assert (site.run_dir / "front" / "state.sock").exists()
    orphans = set(site.processes())
    assert orphans

    site.front.apply([wsgi(2, "/b")], running=False)
    site.start()

    assert site.front.confirm(site.front._applied, DEADLINE).error == "", site.words()
    wait_for(lambda: not old & set(site.processes()), DEADLINE)
    assert [site.get("/b/").status for _ in range(20)] == [200] * 20
    assert [site.get("/a/").status for _ in range(20)] == [404] * 20


def test_the_next_one_takes_the_place_of_a_master_that_a_killed_keeper_left(site: Site) -> None:
    site.serve(wsgi(1, "/a"))
    old, master = set(site.processes()), site.process
    assert master
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(site.get("/a/", how={"hang": True}).status))
    asking.start()
    assert site.backends[1].begun.wait(DEADLINE)

    site.start()

    assert site.front.confirm(site.front._applied, DEADLINE).error == "", site.words()
    site.backends[1].released.set()
    asking.join()
    assert answers == [200]
    assert master.wait(DEADLINE) == -signal.SIGKILL
    wait_for(lambda: not old & set(site.processes()), DEADLINE)
    assert site.front.apply([wsgi(2, "/b")], running=True).error == ""


def test_a_request_that_runs_survives_a_sigkill_of_the_master_and_the_next_start(site: Site) -> None:
    site.serve(wsgi(1, "/a"))
    assert site.process
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(site.get("/a/", how={"hang": True}).status))
    asking.start()
    assert site.backends[1].begun.wait(DEADLINE)
    site.process.kill()
    site.process.wait(DEADLINE)

    site.start()
    assert site.front.confirm(site.front._applied, DEADLINE).error == ""
    site.backends[1].released.set()
    asking.join()

    assert answers == [200]


def test_an_nginx_that_does_not_answer_is_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_module, "PATIENCE", 0.1)

    applied = site.front.apply([wsgi(1, "/a")], running=True)

    assert "did not take over its configuration" in applied.error


def test_a_master_that_has_just_been_started_is_not_killed_by_a_reload(site: Site) -> None:
    """SIGHUP would end a process that has no handler for it yet."""
    site.front.apply([wsgi(1, "/a")], running=False)
    site.start()

    applied = site.front.apply([wsgi(1, "/b")], running=True)

    assert applied.error == "", site.words()
    assert site.process
    assert site.process.poll() is None
    assert site.get("/b/").status == 200


def test_a_broken_nginx_gives_one_line(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", Binary(str(tmp_path / "none"), (1, 31, 3)))
    try:
        applied = site.front.apply([wsgi(1, "/a")], running=False)
    finally:
        site.stop()

    assert re.fullmatch(r"nginx at .*/none does not run \(.*\); name another by STOA_NGINX", applied.error)


def test_a_setting_that_is_wrong_gives_one_line(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", binaries()[0], portal_url="https://x/; }")
    try:
        applied = site.front.apply([], running=False)
    finally:
        site.stop()

    assert applied.error == "'https://x/; }' is not an origin such as https://apps.example.org"


def test_a_large_access_log_is_put_aside(site: Site) -> None:
    site.serve(wsgi(1, "/a"))
    site.get("/a/before")
    site.log_lines(1)
    inode = site.access_log.stat().st_ino

    assert not site.front.rotate(limit=1 << 20)
    assert site.front.rotate(limit=1)
    wait_for(lambda: _opens(site, site.access_log) and not _opens_inode(site, inode), DEADLINE)
    site.get("/a/after")

    assert "/a/after" in site.log_lines(1)[0]
    assert "/a/before" in (site.root / "log" / "access.log.1").read_text()


def _opens(site: Site, path: Path) -> bool:
    return _opens_inode(site, path.stat().st_ino)


def _opens_inode(site: Site, inode: int) -> bool:
    """Say whether some worker has the file open."""
    assert site.process
    for pid in set(site.processes()) - {site.process.pid}:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if fd.stat().st_ino == inode:
                    return True
            except OSError:
                continue
    return False


def test_a_thousand_routes_are_applied_in_seconds(site: Site) -> None:
    routes: list[Route] = [
        wsgi(number, f"/many/app-{number}", files=Files(ServeFiles.ALWAYS, "/nowhere")) for number in range(1, 1001)
    ]
    with Stopwatch() as watch:
        site.serve(*routes)

    assert watch.there < DEADLINE
    assert site.get("/many/app-1/").seen["app"] == "1"
    assert site.get("/many/app-1000/").status == 502


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(("owner", "stays"), [(ACCOUNT, True), ("daemon", False)])
def test_bodies_of_an_nginx_of_another_account_are_cleared_away(site: Site, owner: str, stays: bool) -> None:
    bodies = site.run_dir / "front" / "tmp" / "body" / "0"
    bodies.mkdir(parents=True)
    for path in (bodies, bodies.parent, bodies.parent.parent):
        shutil.chown(path, owner)
    Front(replace(site.settings, user=ACCOUNT), site.send)

    assert bodies.exists() is stays
