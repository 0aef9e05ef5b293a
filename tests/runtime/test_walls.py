"""What is said of the walls, and in which order they are put up."""

from __future__ import annotations

import dataclasses
import os
import resource
from pathlib import Path

import pytest

from webapps.runtime import seccomp, seccomp_agent, syscalls, walls
from webapps.runtime.confines import Confines, cover
from webapps.runtime.owners import Owners
from webapps.runtime.ownroot import in_order, way
from webapps.runtime.spec import AppSpec, Bounds, Files, Protocol
from webapps.runtime.wallreport import report
from webapps.runtime.walls import Confinement, Means


def held(means: Means) -> set[str]:
    return {wall.name for wall in report(means) if wall.holds}


def words_of(name: str, means: Means) -> str:
    return next(wall.words for wall in report(means) if wall.name == name)


def test_without_namespaces_landlock_keeps_files_and_processes() -> None:
    names = held(Means(why_no_mounts="unshare: Operation not permitted", landlock=6, kernel=(6, 12), uid=1000))

    assert {"Files", "Stoa’s sockets", "Memory and environment of other processes"} < names
    assert "Sockets of other applications" not in names
    assert "Temporary directory of its own" not in names


def test_signals_need_a_landlock_that_scopes_them() -> None:
    assert "Signals to other processes" not in held(Means(mounts=True, landlock=5, kernel=(6, 10), uid=1000))


def test_a_pid_namespace_keeps_signals_where_landlock_does_not() -> None:
    older = Means(mounts=True, landlock=3, kernel=(6, 1), uid=1000)

    assert words_of("Signals to other processes", dataclasses.replace(older, pids=True)) == "PID namespace"
    assert words_of("Signals to other processes", dataclasses.replace(older, why_no_pids="mount: no")) == (
        "needs Landlock (version 6, Linux 6.12; this is 3) or a PID namespace, which this machine refuses (mount: no)"
    )
    assert words_of("Signals to other processes", dataclasses.replace(older, landlock=7)) == "Landlock 7"
    both = dataclasses.replace(older, landlock=7, pids=True)
    assert words_of("Signals to other processes", both) == "Landlock 7 and PID namespace"


def test_limits_and_priorities_need_a_pid_namespace_whatever_landlock_there_is() -> None:
    means, name = Means(mounts=True, landlock=7, kernel=(6, 18), uid=1000), "Limits and priorities of other processes"

    assert words_of(name, dataclasses.replace(means, pids=True)) == "PID namespace"
    assert name in held(dataclasses.replace(means, pids=True))
    assert words_of(name, dataclasses.replace(means, why_no_pids="mount: no")) == (
        "needs a PID namespace, which this machine refuses (mount: no)"
    )
    assert name not in held(means)


def test_means_of_before_an_update_are_understood() -> None:
    values = dataclasses.asdict(Means(mounts=True, kernel=(6, 1), uid=1000))
    later = ("pids", "why_no_pids", "listens", "why_no_listens")
    older = {name: value for name, value in values.items() if name not in later}

    assert Means.from_dict(older) == Means(mounts=True, kernel=(6, 1), uid=1000)


def test_ports_need_who_decides_on_listening() -> None:
    name = "TCP ports that the namespace does not name"
    some = Means(landlock=7, kernel=(6, 18), why_no_listens="seccomp: Invalid argument")

    assert name not in held(some)
    assert words_of(name, some) == (
        "Landlock 7 keeps bind(2); listen(2) at a port that the kernel picks needs a seccomp filter with a listener, "
        "which this machine refuses (seccomp: Invalid argument)"
    )
    assert words_of(name, dataclasses.replace(some, listens=True)) == "Landlock 7 and seccomp"
    assert words_of(name, Means(landlock=3, listens=True)) == "seccomp"


def test_packages_of_an_environment_need_namespaces_within_namespaces() -> None:
    name, means = "Packages of an environment", Means(mounts=True, pids=True, kernel=(6, 18), uid=1000)
    within = dataclasses.replace(means, nests=True)

    assert name in held(within)
    assert words_of(name, within) == "user and mount namespace and PID namespace around the zygote"
    assert "as root it keeps the right to mount" in words_of(name, dataclasses.replace(within, uid=0))
    assert name not in held(dataclasses.replace(means, why_no_nests="open_tree: Function not implemented"))


def test_the_kernel_never_counts_for_root() -> None:
    assert "Number of processes" not in held(Means(mounts=True, landlock=7, kernel=(6, 18), uid=0))


def test_nothing_holds_but_limits_where_the_machine_permits_nothing() -> None:
    means = Means(why_no_mounts="no", why_no_landlock="never", uid=1000, peers=False)
    words = {wall.name: wall.words for wall in report(means)}

    assert words["Files"] == "needs namespaces, which this machine refuses (no) or Landlock (never)"
    assert held(means) == {"Open files, memory of a process", "CPU share", "No new privileges"}


def test_roots_see_each_other_where_there_is_neither_landlock_nor_a_pid_namespace() -> None:
    means = Means(mounts=True, why_no_landlock="Function not implemented", kernel=(6, 1), uid=0)

    assert {"Files", "Stoa’s sockets"} < held(means)
    assert "Memory and environment of other processes" not in held(means)
    assert "Memory and environment of other processes" in held(dataclasses.replace(means, uid=1000))
    assert "Memory and environment of other processes" in held(dataclasses.replace(means, pids=True))


def test_where_no_wall_keeps_processes_stoas_own_are_kept_and_the_line_does_not_hold() -> None:
    nothing = Means(why_no_mounts="no", why_no_landlock="never", why_no_pids="no", uid=1000)
    name = "Memory and environment of other processes"
    (line,) = (wall for wall in report(nothing, own=True) if wall.name == name)

    assert not line.holds
    assert line.words == (
        "Stoa’s own but nginx are kept (PR_SET_DUMPABLE); for the others it needs Landlock (never) or a PID namespace, "
        "which this machine refuses (no)"
    )
    assert name in {wall.name for wall in report(dataclasses.replace(nothing, landlock=6), own=True) if wall.holds}


def test_python_without_ctypes_has_limits_only() -> None:
    means = Means(why_no_mounts="Python without ctypes", uid=1000, rights=False)

    assert held(means) == {"Open files, memory of a process", "CPU share"}


def test_a_confinement_goes_through_a_packet_unchanged() -> None:
    wished = Confinement(Means(mounts=True, kernel=(6, 1)), read=("/usr",), hide=("/run/user",), shared=())
    wished = dataclasses.replace(wished, write=("/srv/a",), home="/srv/a", nice=5, ports=((9000, 9010), (0, 0)))

    assert Confinement.from_json(wished.to_json()) == wished


def test_outer_paths_come_first_and_equal_inner_ones_are_left_out() -> None:
    paths = in_order(read=["/n/envs", "/usr", "/usr/lib"], write=["/n", "/n/data"])

    assert paths == [("/n", True), ("/n/envs", False), ("/usr", False)]


def test_a_directory_is_covered_but_for_its_holes(tmp_path: Path) -> None:
    for name in ("a/x", "a/y", "b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")

    assert cover(str(tmp_path), {str(tmp_path / "a" / "y")}) == [str(tmp_path / name) for name in ("a/x", "b", "link")]


def test_the_way_to_a_path_names_its_links_and_its_end(tmp_path: Path) -> None:
    (tmp_path / "data" / "app").mkdir(parents=True)
    (tmp_path / "latest").symlink_to("data")
    (tmp_path / "here").symlink_to(tmp_path / "latest" / "app")
    (tmp_path / "round").symlink_to("round")

    assert list(way(f"{tmp_path}/here/x")) == [str(tmp_path / name) for name in ("here", "latest", "data/app/x")]
    assert list(way("/usr/../etc//hostname")) == ["/etc/hostname"]
    assert set(way(str(tmp_path / "round"))) >= {str(tmp_path / "round")}


def test_what_was_swapped_for_a_link_meanwhile_is_not_held(tmp_path: Path) -> None:
    (tmp_path / "app" / "static").mkdir(parents=True)
    (tmp_path / "other" / "static").mkdir(parents=True)
    os.close(syscalls.held(f"{tmp_path}/app/static"))
    (tmp_path / "app").rename(tmp_path / "aside")
    assert syscalls.held(f"{tmp_path}/app/static") == -1
    (tmp_path / "app").symlink_to("other")

    for path in ("app", "app/static"):
        with pytest.raises(OSError, match=f"{tmp_path}/{path} leads to {tmp_path}/other"):
            syscalls.held(f"{tmp_path}/{path}")


def spec(number: int, directory: Path, **more: object) -> AppSpec:
    return AppSpec(number, 1, f"/{number}", "", "USER", Protocol.WSGI, directory=str(directory), **more)  # type: ignore[arg-type]


def confines_of(home: Path, *specs: AppSpec) -> Confines:
    confines = Confines(home, Owners(""), lambda: specs)
    confines.machine.known = {os.geteuid(): Means(mounts=True, uid=1000)}
    return confines


def test_an_application_is_reached_through_links_and_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "v1" / "app").mkdir(parents=True)
    (tmp_path / "current").symlink_to("v1")
    own, other = spec(1, tmp_path / "current" / "app"), spec(2, tmp_path / "other")
    wished = confines_of(tmp_path / "home", own, other).confinement(own, None)

    assert str(tmp_path / "current") in wished.read
    assert str(tmp_path / "v1" / "app") in wished.write
    assert not [path for path in (*wished.read, *wished.write) if path.startswith(str(tmp_path / "other"))]


@pytest.mark.parametrize(
    ("alone", "reached"), [(True, True), (False, False)], ids=["of a project", "of several applications"]
)
def test_the_parent_is_reached_when_it_is_its_own(tmp_path: Path, alone: bool, reached: bool) -> None:
    for name in ("site/one", "site/two"):
        (tmp_path / name).mkdir(parents=True)
    specs = [spec(1, tmp_path / "site" / "one"), spec(2, tmp_path / "site" / "two")]
    wished = confines_of(tmp_path / "home", *specs[: 1 if alone else 2]).confinement(specs[0], None)

    assert (str(tmp_path / "site") in wished.write) is reached


def test_a_deployment_by_link_reaches_the_same_before_and_after_it_leads_elsewhere(tmp_path: Path) -> None:
    for name in ("deploy/releases/1", "deploy/releases/2", "deploy/shared"):
        (tmp_path / name).mkdir(parents=True)
    current = tmp_path / "deploy" / "current"
    current.symlink_to("releases/1")
    own = spec(1, current)
    confines = confines_of(tmp_path / "home", own)
    before = confines.confinement(own, None)
    current.unlink()
    current.symlink_to("releases/2")
    after = confines.confinement(own, None)

    assert str(tmp_path / "deploy") in before.write
    assert str(tmp_path / "deploy") in after.write


@pytest.mark.parametrize("field", ["directory", "path", "python_path", "reach"])
def test_a_link_that_an_application_may_have_made_is_refused(tmp_path: Path, field: str) -> None:
    for name in ("site/one", "reached", "secret"):
        (tmp_path / name).mkdir(parents=True)
    link = tmp_path / ("reached/link" if field == "reach" else "site/link" if field == "directory" else "site/one/link")
    link.symlink_to(tmp_path / "secret")
    reach = (str(tmp_path / "reached"), *([str(link)] if field == "reach" else []))
    own = spec(
        1,
        link if field == "directory" else tmp_path / "site" / "one",
        python_path=(str(link),) if field == "python_path" else (),
        files=Files(path=str(link) if field == "path" else ""),
        bounds=Bounds(reach=reach),
    )

    if field == "reach":  # It is not opened, which the application's page says.
        wished = confines_of(tmp_path / "home", own).confinement(own, None)
        assert str(tmp_path / "secret") not in (*wished.read, *wished.write)
        return
    with pytest.raises(OSError, match=f"^{link} is a link to {tmp_path}/secret"):
        confines_of(tmp_path / "home", own).confinement(own, None)


@pytest.mark.parametrize("name", ["", "csp", "run", "csp/two", "namespaces/OTHER", "namespaces/USER", ".."])
@pytest.mark.parametrize("field", ["directory", "path", "python_path", "reach"])
def test_nothing_of_the_home_is_given_but_what_is_its_own(tmp_path: Path, field: str, name: str) -> None:
    home, one = tmp_path / "home", tmp_path / "home" / "csp" / "one"
    strange = os.path.normpath(home / name)
    (tmp_path / "link").symlink_to(strange)  # By somebody who looks after the machine: it counts, and helps nobody.
    fields: dict[str, dict[str, object]] = {
        "python_path": {"python_path": (str(tmp_path / "link"),)},
        "path": {"files": Files(path=str(tmp_path / "link"))},
        "reach": {"bounds": Bounds(reach=(str(tmp_path / "link"),))},
        "directory": {},
    }
    own = spec(1, tmp_path / "link" if field == "directory" else one, **fields[field])
    confines = confines_of(home, own, spec(2, home / "csp" / "two"))
    permitted = name == "csp/two" if field == "directory" else name == "namespaces/USER"
    its_own = strange if field == "directory" else str(one)
    if permitted or field == "reach" or (field == "path" and Path(strange).is_relative_to(home)):
        written = confines.confinement(own, None).write
        assert set(written) == {its_own, str(home / "namespaces" / "USER")}
    else:
        with pytest.raises(OSError, match="Stoa’s"):
            confines.confinement(own, None)


def test_a_database_is_reached_at_its_file_or_its_socket(tmp_path: Path) -> None:
    urls = {
        f"sqlite:///{tmp_path}/data/db.sqlite3": (str(tmp_path / "data"), ""),
        "postgres://u:p@%2Frun%2Fown/db": ("", "/run/own"),
        "postgresql://u@/db?host=/tmp/own": ("", "/tmp/own"),  # noqa: S108
        "postgres://u:p@server/db": ("", ""),
    }
    for url, (written, read) in urls.items():
        own = spec(1, tmp_path / "app", environment={"DATABASE_URL": url})
        wished = confines_of(tmp_path / "home", own).confinement(own, None)
        assert not written or written in wished.write, url
        assert not read or read in wished.read, url


def test_temporary_directories_belong_to_an_application_and_go_with_it(tmp_path: Path) -> None:
    own = spec(7, tmp_path / "csp" / "app")
    confines = confines_of(tmp_path, own)
    private = Path(confines.confinement(own, None).private)
    (private / "tmp" / "left").touch()

    confines.forget(7)

    assert (private.name, private.parent) == ("7", tmp_path / "run" / "tmp")
    assert not private.exists()


def test_a_thousand_that_start_look_at_a_thousand_once(tmp_path: Path) -> None:
    specs = [spec(number, tmp_path / str(number)) for number in range(1000)]
    confines = confines_of(tmp_path / "home", *specs)
    confines.confinement(specs[0], None)
    first = confines.neighbours

    confines.confinement(specs[999], None)

    assert confines.neighbours is first


def test_limits_are_lowered_after_the_listener_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """RLIMIT_NOFILE bounds the descriptors of an account that are under way, whoever has sent them (unix(7))."""
    steps: list[str] = []
    monkeypatch.setattr(walls, "_give_up_rights", lambda: None)
    monkeypatch.setattr(seccomp, "install", lambda: -1)
    monkeypatch.setattr(seccomp_agent, "hand_over", lambda _link, _listener: steps.append("sent"))
    monkeypatch.setattr(walls, "_lower", lambda kind, most: steps.append(f"{kind} is {most}"))
    walls.raise_walls(Confinement(Means(listens=True), open_files=64))

    assert steps[:2] == ["sent", f"{resource.RLIMIT_NOFILE} is 64"]


def test_the_notes_of_installers_are_out_of_reach(tmp_path: Path) -> None:
    """Whoever can open a file to read it can lock it (flock(2))."""
    own = AppSpec(1, 1, "/a", "", "A", Protocol.WSGI, str(tmp_path / "home" / "csp" / "a"), "a", "a")
    Path(own.directory).mkdir(parents=True)
    wished = confines_of(tmp_path / "home", own).confinement(own, None)
    notes = str(tmp_path / "home" / "namespaces" / "A" / "install")

    assert notes in wished.hide and notes not in wished.read
    assert os.path.isdir(notes)
