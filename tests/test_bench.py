"""Each benchmark says what it measures and how it is called."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.patience import within
from tests.serving import CHECKOUT

COMMANDS = sorted(
    path.stem for path in (CHECKOUT / "bench").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")
)


def test_there_are_benchmarks() -> None:
    assert {"gate", "throughput"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_benchmark_says_how_it_is_called(name: str) -> None:
    words = [sys.executable, "-m", f"bench.{name}", "--help"]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, timeout=within(60), check=False)
    assert done.returncode == 0, done.stderr
    assert f"-m bench.{name}" in done.stdout
