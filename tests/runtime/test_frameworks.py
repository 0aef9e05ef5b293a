"""What a zygote imports for its workers, and when a worker forgets it; each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import within

RUNTIME = Path(__file__).parents[2]


def run(source: str, *words: str) -> str:
    begin = f"import sys; sys.path.insert(0, {str(RUNTIME)!r}); from webapps.runtime.frameworks import *; "
    begin += "preloaded = Preloaded()\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + source, *words], capture_output=True, text=True, timeout=within(30)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_imports_what_is_safe_and_nothing_else() -> None:
    source = "preloaded.load(['django', 'django.http', 'antigravity', 'portal.settings', 'fastapi.nowhere'])\n"
    source += "print('django.http' in sys.modules, 'antigravity' in sys.modules, 'portal.settings' in sys.modules)"
    assert run(source) == "True False False"


def test_it_sees_what_an_application_uses() -> None:
    assert run("import django.http; print('django.http' in seen(), 'flask' in seen())") == "True False"


def test_importing_starts_no_thread_and_reads_no_settings() -> None:
    source = "preloaded.load(SAFE)\nimport threading\nprint(threading.active_count())\n"
    source += "if 'django.conf' in sys.modules: print(sys.modules['django.conf'].settings.configured)"
    assert run(source).splitlines() == ["1", "False"]


def test_flask_has_answered_before_a_worker_needs_it() -> None:
    source = """
from webapps.runtime import warm
import flask
answered = []
made = warm._flask
def seen():
    application = made()
    application.after_request(lambda response: answered.append(response.get_data()) or response)
    return application
warm._flask = seen
preloaded.load(['flask'])
print(answered == [b'warm'] * warm.TIMES)
"""
    assert run(source) == "True"


def test_what_flask_imports_with_its_first_answer_is_forgotten_with_it(tmp_path: Path) -> None:
    (tmp_path / "flask.py").write_text("")
    source = "before = set(sys.modules)\npreloaded.load(['flask'])\npreloaded.unload_shadowed(sys.argv[1:])\n"
    source += "left = {name for name in set(sys.modules) - before if name.partition('.')[0] in ('flask', 'werkzeug')}\n"
    source += "print(left)"
    assert run(source, str(tmp_path)) == "set()"


def test_a_flask_that_cannot_answer_is_left_cold(tmp_path: Path) -> None:
    (tmp_path / "flask.py").write_text("class Flask: pass")
    source = "sys.path.insert(0, sys.argv[1])\npreloaded.load(['flask'])\nprint('flask' in sys.modules)"
    assert run(source, str(tmp_path)) == "True"


@pytest.mark.parametrize(("name", "kept"), [("django.py", False), ("django/__init__.py", False), ("other.py", True)])
def test_an_application_with_a_module_of_that_name_gets_its_own(tmp_path: Path, name: str, kept: bool) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    source = "preloaded.load(['django.http'])\npreloaded.unload_shadowed(sys.argv[1:])\nprint('django' in sys.modules)"
    assert run(source, str(tmp_path)) == str(kept)


def test_packages_that_were_installed_since_are_seen() -> None:
    source = "preloaded.load(['django.http'])\npreloaded.packages = (1,)\npreloaded.unload_shadowed([])\n"
    source += "print('django' in sys.modules)\nimport django.http"
    assert run(source) == "False"
