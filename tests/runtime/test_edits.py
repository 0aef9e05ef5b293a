"""Which edits of an application's files are noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from webapps.runtime import edits
from webapps.runtime.spec import AppSpec, Protocol


@pytest.fixture
def spec(tmp_path: Path) -> AppSpec:
    """An application with a package, a Python Path, and things that are not its own."""
    files = ("app/app.py", "app/package/deep/module.py", "app/.venv/x.py", "app/env/pyvenv.cfg", "app/env/lib/y.py")
    for name in (*files, "more/extra.py", "app/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    python_path = (str(tmp_path / "more"), str(tmp_path / "missing"))
    return AppSpec(1, 1, "/a", "", "USER", Protocol.WSGI, str(tmp_path / "app"), python_path=python_path)


@pytest.mark.parametrize("name", ["app.py", "package/deep/module.py", "../more/extra.py", "new.py", "x.wsgi"])
def test_its_own_python_files_are_noticed(spec: AppSpec, name: str) -> None:
    before = edits.stamp(spec)
    (Path(spec.directory) / name).write_text("22")
    assert edits.stamp(spec) != before


def test_a_removed_file_is_noticed(spec: AppSpec) -> None:
    before = edits.stamp(spec)
    (Path(spec.directory) / "package/deep/module.py").unlink()
    assert edits.stamp(spec) != before


@pytest.mark.parametrize("name", [".venv/x.py", "env/lib/y.py", "notes.txt"])
def test_what_is_not_its_own_or_no_python_is_not(spec: AppSpec, name: str) -> None:
    before = edits.stamp(spec)
    (Path(spec.directory) / name).write_text("22")
    assert edits.stamp(spec) == before


def test_a_missing_directory_is_no_error(tmp_path: Path) -> None:
    assert edits.stamp(AppSpec(1, 1, "/a", "", "USER", Protocol.WSGI, str(tmp_path / "none")))
