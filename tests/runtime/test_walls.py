"""What is said of the walls, and in which order they are put up."""

from __future__ import annotations

from pathlib import Path

from webapps.runtime.confines import cover
from webapps.runtime.walls import Confinement, Means, _in_order, report


def held(means: Means) -> set[str]:
    return {wall.name for wall in report(means) if wall.holds}


def test_without_namespaces_landlock_keeps_files_and_processes() -> None:
    names = held(Means(why_no_mounts="unshare: Operation not permitted", landlock=6, kernel=(6, 12), uid=1000))

    assert {"Files", "Stoa’s sockets", "Memory and environment of other processes"} < names
    assert "Sockets of other applications" not in names
    assert "Temporary directory of its own" not in names


def test_signals_need_a_landlock_that_scopes_them() -> None:
    assert "Signals to other processes" not in held(Means(mounts=True, landlock=5, kernel=(6, 10), uid=1000))


def test_the_kernel_never_counts_for_root() -> None:
    assert "Number of processes" not in held(Means(mounts=True, landlock=7, kernel=(6, 18), uid=0))


def test_nothing_holds_but_limits_where_the_machine_permits_nothing() -> None:
    words = {wall.name: wall.words for wall in report(Means(why_no_mounts="no", uid=1000))}

    assert words["Files"] == "no namespaces (no) and no Landlock"


def test_a_confinement_goes_through_a_packet_unchanged() -> None:
    wished = Confinement(Means(mounts=True, kernel=(6, 1)), read=("/usr",), write=("/srv/a",), home="/srv/a", nice=5)

    assert Confinement.from_json(wished.to_json()) == wished


def test_outer_paths_come_first_and_equal_inner_ones_are_left_out() -> None:
    wished = Confinement(read=("/n/envs", "/usr", "/usr/lib"), write=("/n", "/n/data"))

    assert _in_order(wished) == [("/n", True), ("/n/envs", False), ("/usr", False)]


def test_a_directory_is_covered_but_for_its_holes(tmp_path: Path) -> None:
    for name in ("a/x", "a/y", "b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")

    assert cover(str(tmp_path), {str(tmp_path / "a" / "y")}) == [str(tmp_path / name) for name in ("a/x", "b", "link")]
