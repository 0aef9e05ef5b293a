from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import within

ROOT = Path(__file__).parents[1]
SUITE = """
import subprocess

import pytest

from tests.serving import Stoa


@pytest.fixture
def stoa():
    made = Stoa()
    made.process = subprocess.Popen(["sleep", "60"])
    (made.home / "log").mkdir(parents=True)
    (made.home / "log" / "WSGI.log").write_text("the last line\\n")
    yield made
    made.process.kill()
    made.process.wait()
    made.process = None
    made.__exit__()


def test_fails(stoa):
    assert not stoa.home.is_dir()


def test_leaves():
    with Stoa() as stoa:
        raise AssertionError("left in haste")


def test_passes(stoa):
    assert stoa.home.is_dir()
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run of two that fail and one that does not shows."""
    directory = tmp_path_factory.mktemp("suite")
    (directory / "test_small.py").write_text(SUITE)
    words = ["-c", "/dev/null", "--rootdir", ".", "-p", "tests.telling", "-p", "no:randomly", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=within(60),
        check=False,
    )
    assert "2 failed, 1 passed" in done.stdout, done.stdout
    return done.stdout


def test_a_failure_shows_what_the_stoa_of_its_fixture_has_said(shown: str) -> None:
    failure = shown.partition("_ test_fails _")[2].partition("_ test_leaves _")[0]

    assert "WSGI.log:\nthe last line\n" in failure
    assert "status:\n{}" in failure


def test_a_failure_shows_what_the_stoa_had_said_that_it_has_stopped(shown: str) -> None:
    failure = shown.partition("_ test_leaves _")[2]

    assert "Stoa is ready" in failure
    assert '"supervisor": {' in failure
    assert " -m webapps.runtime.logwriter " in failure.partition("processes:\n")[2]
