"""What every test stands on. Shared: only add."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.patience import PATIENCE, within

if TYPE_CHECKING:  # Django's modules are imported when its settings are there: in the fixtures.
    from django.test import Client

    from tests.fakes import FakeSupervisor
    from webapps.models import Namespace, WebApp


def make_home() -> str:
    """Make a home of its own for this run, before Django's settings are read."""
    # Short, because the paths of Unix sockets below it may have no more than 107 bytes.
    return tempfile.mkdtemp(prefix="stoa-")


HOME = make_home()
os.environ["STOA_HOME"] = HOME

pytest_plugins = ["tests.telling"]


def pytest_runtest_setup() -> None:
    """See whether the machine has become busier."""
    PATIENCE.look_now_and_then()


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    """Give each test as much more time as this machine needs."""
    import pytest_timeout

    patient = settings._replace(timeout=within(settings.timeout))
    return bool(pytest_timeout.pytest_timeout_set_timer(item, patient))


def pytest_unconfigure() -> None:
    """Remove the home."""
    shutil.rmtree(HOME, ignore_errors=True)


# The Django part: three people, and something for them to look at.


@pytest.fixture
def administrator(db: None) -> Client:
    """Somebody who may do everything, signed in."""
    return _signed_in(is_staff=True, is_superuser=True, username="ada")


@pytest.fixture
def colleague(db: None) -> Client:
    """Somebody without the right, signed in."""
    return _signed_in(username="bob")


@pytest.fixture
def stranger(db: None) -> Client:
    """Nobody."""
    from django.test import Client as DjangoClient

    return DjangoClient()


def _signed_in(**fields: Any) -> Client:
    from django.contrib.auth import get_user_model
    from django.test import Client as DjangoClient

    client = DjangoClient()
    client.force_login(get_user_model().objects.create(**fields))
    return client


@pytest.fixture
def stoa_home(settings: Any) -> Iterator[Path]:
    """A home of the test's own; short, for the sockets below it."""
    with tempfile.TemporaryDirectory(prefix="st-") as name:
        settings.STOA_HOME = Path(name)
        yield Path(name)


@pytest.fixture
def supervisor(stoa_home: Path) -> Iterator[FakeSupervisor]:
    """A supervisor that says what the test wants said."""
    from tests.fakes import FakeSupervisor as Fake

    fake = Fake(stoa_home)
    yield fake
    fake.close()


@pytest.fixture
def namespace(db: None) -> Namespace:
    """The namespace USER."""
    from webapps.models import Namespace as Row

    return Row.objects.create(name="USER")


@pytest.fixture
def directory(stoa_home: Path) -> Path:
    """A directory with a module ``app``."""
    made = stoa_home / "csp" / "notes"
    made.mkdir(parents=True)
    (made / "app.py").write_text("application = print\n")
    return made


@pytest.fixture
def webapp(namespace: Namespace, directory: Path) -> WebApp:
    """The application /csp/notes."""
    from webapps.models import WebApp as Row

    return Row.objects.create(
        name="/csp/notes", namespace=namespace, app_name="app", directory=str(directory), authe_enabled=64
    )


@pytest.fixture
def seer(db: None) -> Client:
    """A colleague who may see, signed in."""
    return _with_role("sue", "%Operator")


@pytest.fixture
def editor(db: None) -> Client:
    """A colleague who may edit, signed in."""
    return _with_role("eve", "%Developer")


def _with_role(username: str, role: str) -> Client:
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group

    client = _signed_in(username=username)
    get_user_model().objects.get(username=username).groups.add(Group.objects.get(name=role))
    return client
