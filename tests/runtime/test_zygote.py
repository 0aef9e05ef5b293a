"""The faster parts: the interpreter's own, else Stoa's where they load, and a server that uses them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from webapps.runtime import asgi_protocol, zygote

NAME = "stoa_test_fast"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    for known in [known for known in sys.modules if known.partition(".")[0] == NAME]:
        del sys.modules[known]


def part(site: Path, text: str) -> None:
    (site / NAME).mkdir()
    (site / NAME / "__init__.py").write_text(text)
    (site / NAME / "inner.py").write_text("value = 1\n")


def test_a_part_of_stoas_own_is_had_without_its_neighbours(tmp_path: Path) -> None:
    part(tmp_path, f"from {NAME}.inner import value\n")
    zygote.load_fast(NAME, str(tmp_path))
    assert importlib.import_module(NAME).value == 1
    assert str(tmp_path) not in sys.path


def test_a_part_that_does_not_load_leaves_nothing_behind(tmp_path: Path) -> None:
    part(tmp_path, f"from {NAME}.inner import value\nraise ImportError('built for another interpreter')\n")
    zygote.load_fast(NAME, str(tmp_path))
    assert not [known for known in sys.modules if known.startswith(NAME)]


def test_a_part_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    zygote.load_fast(NAME, str(tmp_path))
    assert NAME not in sys.modules


def test_the_interpreters_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, stoas = tmp_path / "own", tmp_path / "stoas"
    for site in (own, stoas):
        site.mkdir()
        part(site, "")
    monkeypatch.syspath_prepend(str(own))
    zygote.load_fast(NAME, str(stoas))
    assert importlib.import_module(NAME).__file__ == str(own / NAME / "__init__.py")


@pytest.mark.skipif(not importlib.util.find_spec("gunicorn_h1c"), reason="the C parser did not install here")
def test_the_asgi_worker_uses_the_c_parser() -> None:
    from gunicorn.asgi.protocol import ASGIProtocol

    assert ASGIProtocol._h1c_has_limits
    assert asgi_protocol.AsgiProtocol._h1c_protocol_class.__name__ == "H1CProtocol"
