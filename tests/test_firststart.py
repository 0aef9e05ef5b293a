from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth import get_user_model

from webapps import firststart
from webapps.choices import PROTECTED
from webapps.models import Namespace, WebApp

OPEN = 64


@pytest.fixture
def said() -> list[str]:
    return []


def sample(namespace: Namespace, **more: object) -> WebApp:
    return WebApp.objects.create(
        name="/samples/flask",
        namespace=namespace,
        app_name="app",
        directory="/srv/x",
        **{"authe_enabled": OPEN, **more},
    )


@pytest.fixture
def samples(db: None) -> Namespace:
    get_user_model().objects.create_superuser("admin", "", "x")
    return Namespace.objects.create(name="SAMPLES")


def test_the_first_start_makes_the_administrator_and_the_namespaces(
    db: None, stoa_home: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setenv("STOA_SAMPLES", "0")
    monkeypatch.delenv("STOA_ADMIN_PASSWORD", raising=False)
    firststart.prepare(stoa_home, said.append)
    firststart.prepare(stoa_home, said.append)
    made = get_user_model().objects.get()
    assert made.is_superuser
    assert made.groups.get().name == "%ALL"
    assert made.check_password(said[0].split()[6])
    assert len(said) == 1
    assert set(Namespace.objects.values_list("name", flat=True)) == {"USER", "SAMPLES"}


def test_samples_ask_for_a_sign_in_where_stoa_listens_beyond_the_machine(
    samples: Namespace, stoa_home: Path, said: list[str]
) -> None:
    webapp = sample(samples)
    firststart.prepare(stoa_home, said.append, beyond=True)
    webapp.refresh_from_db()
    assert webapp.authe_enabled == PROTECTED
    assert "/samples/flask asks for a sign-in now" in said[0]


def test_samples_stay_open_on_loopback(samples: Namespace, stoa_home: Path, said: list[str]) -> None:
    webapp = sample(samples)
    firststart.prepare(stoa_home, said.append)
    webapp.refresh_from_db()
    assert (webapp.authe_enabled, said) == (OPEN, [])


def test_a_sample_that_a_person_has_saved_is_left_alone(samples: Namespace, stoa_home: Path, said: list[str]) -> None:
    webapp = sample(samples)
    webapp.save()
    firststart.prepare(stoa_home, said.append, beyond=True)
    webapp.refresh_from_db()
    assert (webapp.authe_enabled, said) == (OPEN, [])
