"""Why an interpreter does not run, in words."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from webapps.runtime import interpreter


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An interpreter below a directory of its own, in one that everybody may enter."""
    made = tmp_path / "own" / "python"
    made.parent.mkdir()
    made.symlink_to(sys.executable)
    return made


def open_to_all(directory: Path) -> None:
    """Let every account into a directory of the test's, whose parents pytest makes for its own account only."""
    temporary = Path(tempfile.gettempdir()).resolve()
    for folder in (directory, *directory.parents):
        if temporary in folder.parents:
            folder.chmod(0o755)


def test_one_that_runs_has_no_problem(python: Path) -> None:
    assert interpreter.problem(str(python)) == ""


def test_what_is_not_there_or_no_program_is_said(tmp_path: Path) -> None:
    assert interpreter.problem(str(tmp_path / "none")) == f"there is no file {tmp_path}/none"
    assert "is no program" in interpreter.problem(str(tmp_path))


@pytest.mark.parametrize("user", ["", "nobody"])
def test_one_that_may_not_be_executed_is_said_with_its_mode(tmp_path: Path, user: str) -> None:
    open_to_all(tmp_path)
    path = tmp_path / "python"
    path.write_text("")
    path.chmod(0o644)

    who = "the account nobody" if user else "Stoa's account"
    assert interpreter.problem(str(path), user) == f"{who} may not execute {path} (its mode is 0644)"


@pytest.mark.skipif(os.geteuid() != 0, reason="another account's rights are asked about by root only")
def test_a_directory_on_the_way_that_an_account_may_not_enter_is_named(python: Path) -> None:
    open_to_all(python.parent.parent)
    python.parent.chmod(0o700)

    assert interpreter.problem(str(python)) == ""
    assert interpreter.problem(str(python), "nobody").startswith(f"the account nobody may not enter {python.parent}, ")
