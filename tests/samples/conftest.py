from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.samples.serving import APPLICATIONS, Sample


def serve(name: str, home: Path) -> Iterator[Sample]:
    sample = Sample(name, home)
    try:
        sample.start()
        yield sample
    finally:
        sample.stop()


@pytest.fixture(scope="session")
def flask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    yield from serve("flask", tmp_path_factory.mktemp("flask"))


@pytest.fixture(scope="session")
def fastapi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    yield from serve("fastapi", tmp_path_factory.mktemp("fastapi"))


@pytest.fixture(scope="session")
def django(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    yield from serve("django", tmp_path_factory.mktemp("django"))


@pytest.fixture(params=APPLICATIONS)
def sample(request: pytest.FixtureRequest) -> Sample:
    served: Sample = request.getfixturevalue(request.param)
    return served


@pytest.fixture(params=APPLICATIONS)
def own_sample(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sample]:
    """A sample that a test may stop and start."""
    yield from serve(request.param, tmp_path)


@pytest.fixture
def client(sample: Sample) -> Iterator[httpx.Client]:
    with sample.client() as client:
        yield client
