"""Requirements files mean the same wherever they lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from webapps.runtime import requirements
from webapps.runtime.sandboxes import CommandFailed, Sandbox

LINES = {
    "flask==3.1": "flask==3.1",
    "flask>=3; python_version > '3.10'  # ./x": "flask>=3; python_version > '3.10'  # ./x",
    "# ./wheels": "# ./wheels",
    "./wheels/x-1-py3-none-any.whl": "/app/./wheels/x-1-py3-none-any.whl",
    "../shared": "/app/../shared",
    ".": "/app/.",
    ".[extra]": "/app/.[extra]",
    "wheels/x-1-py3-none-any.whl": "/app/wheels/x-1-py3-none-any.whl",
    "x-1-py3-none-any.whl": "/app/x-1-py3-none-any.whl",
    "x-1.tar.gz": "/app/x-1.tar.gz",
    "-e .": "-e /app/.",
    "--editable=./lib": "--editable=/app/./lib",
    "-r other.txt": "-r /app/other.txt",
    "-c ../constraints.txt": "-c /app/../constraints.txt",
    "--find-links wheels": "--find-links /app/wheels",
    "-r /etc/requirements.txt": "-r /etc/requirements.txt",
    "-e git+https://example.org/x.git": "-e git+https://example.org/x.git",
    "--index-url https://example.org/simple": "--index-url https://example.org/simple",
    "--find-links https://example.org/wheels": "--find-links https://example.org/wheels",
    "https://example.org/x-1-py3-none-any.whl": "https://example.org/x-1-py3-none-any.whl",
    "x @ ./lib": "x @ /app/./lib",
    "x @ file:///srv/x-1-py3-none-any.whl": "x @ file:///srv/x-1-py3-none-any.whl",
    "x @ file://${PROJECT_ROOT}/lib": "x @ file:///app/lib",
    "x==1 --hash=sha256:00": "x==1 --hash=sha256:00",
}


@pytest.mark.parametrize("line", LINES)
def test_paths_are_made_absolute(line: str) -> None:
    assert requirements.absolute(f"{line}\n", Path("/app")) == f"{LINES[line]}\n"


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("flask\n./lib\n")

    assert requirements.read(tmp_path / "requirements.txt", Sandbox()) == f"flask\n{tmp_path}/./lib\n"


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    os.mkfifo(path)

    with pytest.raises(CommandFailed, match="is not a regular file"):
        requirements.read(path, Sandbox())


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("x" * (requirements.MOST + 1))

    with pytest.raises(CommandFailed, match="is too large"):
        requirements.read(path, Sandbox())
