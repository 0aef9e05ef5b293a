"""What an application can lock holds up no installation (``environments``)."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from webapps.runtime import environments
from webapps.runtime.environments import Environment, Installation
from webapps.runtime.sandboxes import Sandbox


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setattr(environments, "PATIENCE", 0.2)
    made = Environment(tmp_path / "NS")
    monkeypatch.setattr(made, "_make", lambda target, *_rest: target.mkdir())
    made.notes.mkdir(parents=True)
    return made


@pytest.mark.parametrize("name", ["lock", "running"])
def test_a_lock_that_an_application_holds_is_waited_for_in_vain_and_then_left(
    environment: Environment, name: str
) -> None:
    (environment.notes / name).touch()
    with (environment.notes / name).open() as read_only:
        fcntl.flock(read_only, fcntl.LOCK_EX)
        assert environment.install("/a", None, Sandbox())

    found = environment.installation()
    assert found and found.state == "done"


def test_an_installation_that_goes_on_is_told_from_one_that_was_interrupted(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*_any: object) -> None:
        seen.append(environment.installation())

    seen: list[Installation | None] = []
    monkeypatch.setattr(environment, "_make", made)
    monkeypatch.setattr(environment, "_switch", made)
    environment.install("/a", None, Sandbox())
    environment._note(Installation("running", "/a", "then"))
    seen.append(environment.installation())

    assert [installation and installation.state for installation in seen] == ["running", "running", "failed"]
