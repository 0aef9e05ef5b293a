"""manage.py in a pipe: who stops reading ends it quietly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import within

ROOT = Path(__file__).parents[1]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "STOA_HOME": str(tmp_path / "home"), "STOA_SAMPLES": "0"}


@pytest.mark.slow
@pytest.mark.parametrize("words", [["dependencies"], ["help"], ["status"]])
def test_one_that_nobody_reads_ends_without_a_word_as_a_shell_expects(
    environment: dict[str, str], words: list[str]
) -> None:
    if words == ["status"]:  # It reads a database, and makes none.
        made = [sys.executable, str(ROOT / "manage.py"), "migrate"]
        subprocess.run(made, env=environment, capture_output=True, check=True, timeout=within(120))
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.close()  # As `head -0` does.
    _nothing, said = process.communicate(timeout=within(60))

    assert (said, process.returncode) == (b"", 128 + signal.SIGPIPE)


@pytest.mark.slow
def test_one_that_is_read_ends_as_ever(environment: dict[str, str]) -> None:
    command = f"'{sys.executable}' '{ROOT}/manage.py' dependencies | head -n 1"
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, timeout=within(60))

    assert (done.stdout.split()[:2], done.stderr) == ([b"Dependency", b"Version"], b"")
