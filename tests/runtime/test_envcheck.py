"""What other people's code has made is switched to only where it is simply an environment."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from webapps.runtime.envcheck import NotWhole, Skeleton
from webapps.runtime.sandboxes import remove

PACKAGES = "lib/python3.11/site-packages"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[tuple[Path, Skeleton]]:
    """An environment as uv makes it, and what it was when it was empty."""
    target = tmp_path / "envs" / "1"
    (target / PACKAGES).mkdir(parents=True)
    (target / "bin").mkdir()
    (target / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    (target / "bin" / "python3").symlink_to("python")
    (target / "lib64").symlink_to("lib")
    (target / "pyvenv.cfg").write_text("home = /usr/bin\n")
    yield target, Skeleton(target)
    remove(target)  # pytest cannot where it is deep.


def replace_interpreter(target: Path) -> None:
    (target / "bin" / "python").unlink()
    shutil.copy("/bin/sh", target / "bin" / "python")


def redirect_interpreter(target: Path) -> None:
    (target / "bin" / "python3").unlink()
    (target / "bin" / "python3").symlink_to("/bin/sh")


def link_settings(target: Path) -> None:
    (target / "pyvenv.cfg").rename(target / "cfg")
    (target / "pyvenv.cfg").symlink_to("cfg")


def replace_bin(target: Path) -> None:
    (target / "bin").rename(target / "old")
    (target / "bin").symlink_to("/usr/bin")


def nest(target: Path) -> None:
    here = os.open(target, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


def replace_all(target: Path) -> None:
    target.rename(target.with_name("other"))
    shutil.copytree(target.with_name("other"), target, symlinks=True)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "another interpreter": (replace_interpreter, "replaced its interpreter"),
    "an interpreter's link to elsewhere": (redirect_interpreter, "replaced its interpreter"),
    "another bin": (replace_bin, "replaced its interpreter"),
    "a path file beside the interpreter": (
        lambda target: (target / "bin" / "python3._pth").write_text("/tmp"),
        "replaced its interpreter",
    ),
    "other settings": (lambda target: (target / "pyvenv.cfg").write_text("home = /tmp\n"), "changed its pyvenv.cfg"),
    "settings that are a link": (link_settings, "changed its pyvenv.cfg"),
    "a link to elsewhere": (lambda target: (target / PACKAGES / "x.py").symlink_to("/etc/passwd"), "link to elsewhere"),
    "a link upwards": (lambda target: (target / "x").symlink_to("../../.."), "link to elsewhere"),
    "a second name": (lambda target: os.link(target / "pyvenv.cfg", target / "x"), "has a second name"),
    "a pipe": (lambda target: os.mkfifo(target / "x"), "neither a file nor a directory"),
    "a program of another account": (
        lambda target: os.close(os.open(target / "x", os.O_CREAT, 0o4755)),
        "executed as another account",
    ),
    "depth": (nest, "lies too deep"),
    "another directory": (replace_all, "not the one that was made"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_leads_elsewhere_is_refused(made: tuple[Path, Skeleton], what: str) -> None:
    target, empty = made
    change, words = WRONG[what]
    change(target)

    with pytest.raises(NotWhole, match=words):
        empty.check()


def test_packages_programs_and_links_among_them_are_well(made: tuple[Path, Skeleton]) -> None:
    target, empty = made
    (target / PACKAGES / "x.pth").write_text("/srv/app\n")
    (target / PACKAGES / "y.py").symlink_to("x.pth")
    (target / "bin" / "flask").write_text("#!python\n")
    (target / "bin" / "python-argcomplete").write_text("#!python\n")

    empty.check()
