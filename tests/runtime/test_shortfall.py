"""What the kernel has and the machine refuses is a shortfall; what an older kernel has not is none."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from webapps.runtime.shortfall import NOT_BOOTED, NOT_BUILT, Kernel, shortfall
from webapps.runtime.walls import Means

WHOLE = Means(mounts=True, landlock=7, kernel=(6, 18), uid=1000)
MODERN = Kernel(namespaces=True, filtered=False)
IN_A_CONTAINER = Kernel(namespaces=True, filtered=True)
REFUSED = "unshare: Operation not permitted"


def test_there_is_none_where_all_hold() -> None:
    assert shortfall(WHOLE, MODERN) == []
    assert shortfall(dataclasses.replace(WHOLE, landlock=3, pids=True, kernel=(6, 1)), MODERN) == []


def test_refused_namespaces_are_one_where_the_kernel_has_them() -> None:
    without = dataclasses.replace(WHOLE, mounts=False, why_no_mounts=REFUSED)

    assert shortfall(without, MODERN) == [f"namespaces are refused ({REFUSED})"]
    assert shortfall(without, Kernel(namespaces=False, filtered=False)) == []
    assert shortfall(dataclasses.replace(without, kernel=(5, 10), landlock=0), MODERN) == []


@pytest.mark.parametrize(
    ("why", "kernel", "version", "short"),
    [
        (NOT_BUILT, MODERN, (6, 1), False),
        (NOT_BOOTED, MODERN, (6, 1), False),
        (NOT_BUILT, IN_A_CONTAINER, (6, 1), True),
        (NOT_BUILT, IN_A_CONTAINER, (5, 10), False),
        ("Operation not permitted", MODERN, (6, 1), True),
    ],
    ids=["not built", "not booted", "hidden by a filter", "too old", "not permitted"],
)
def test_landlock_is_one_where_the_kernel_has_it(
    why: str, kernel: Kernel, version: tuple[int, int], short: bool
) -> None:
    without = dataclasses.replace(WHOLE, landlock=0, why_no_landlock=why, kernel=version)

    assert shortfall(without, kernel) == ([f"Landlock is refused ({why})"] if short else [])


def test_a_pid_namespace_is_one_where_it_was_needed() -> None:
    refused = dataclasses.replace(WHOLE, why_no_pids="mount: Operation not permitted")

    without = dataclasses.replace(refused, mounts=False, why_no_mounts=REFUSED)
    assert shortfall(without, MODERN) == [f"namespaces are refused ({REFUSED})"]
    assert shortfall(refused, MODERN) == ["a PID namespace is refused (mount: Operation not permitted)"]


def test_a_filter_with_a_listener_is_one_where_the_kernel_has_it() -> None:
    refused = dataclasses.replace(WHOLE, why_no_listens="seccomp: Operation not permitted")

    assert shortfall(refused, MODERN) == [
        "a seccomp filter with a listener is refused (seccomp: Operation not permitted)"
    ]
    assert shortfall(dataclasses.replace(refused, kernel=(5, 4)), MODERN) == []
    assert shortfall(dataclasses.replace(refused, why_no_listens=f"seccomp: {NOT_BUILT}"), MODERN) == []


def test_refused_namespaces_within_namespaces_are_one_where_it_is_known_that_the_kernel_has_them() -> None:
    without = dataclasses.replace(WHOLE, pids=True, why_no_nests=REFUSED)

    assert shortfall(without, MODERN) == [f"namespaces within namespaces are refused ({REFUSED})"]
    assert shortfall(dataclasses.replace(without, kernel=(6, 12)), MODERN) == []
    assert shortfall(dataclasses.replace(without, pids=False), MODERN) == []


def test_a_python_without_ctypes_is_one() -> None:
    assert shortfall(Means(kernel=(6, 1), rights=False), MODERN) == ["Stoa’s Python has no ctypes, which walls need"]


def test_it_looks_at_the_kernel_that_runs(tmp_path: Path) -> None:
    (tmp_path / "ns").mkdir()
    (tmp_path / "ns" / "mnt").touch()
    (tmp_path / "status").write_text("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n")
    assert Kernel.running(tmp_path) == IN_A_CONTAINER.__class__(namespaces=False, filtered=True)
    assert Kernel.running().namespaces == os.path.exists("/proc/self/ns/user")
