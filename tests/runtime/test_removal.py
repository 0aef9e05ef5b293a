"""How directories are removed that hosted code has filled."""

from __future__ import annotations

import os
from pathlib import Path

from tests import hostile
from tests.waiting import wait_for
from webapps.runtime import removal


def test_a_directory_goes_however_deep_it_is(tmp_path: Path) -> None:
    hostile.deep(tmp_path / "x")
    removal.remove(tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_what_its_links_lead_to_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "y" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "x" / "link").symlink_to(tmp_path / "kept")
    removal.remove(tmp_path / "x")
    assert os.listdir(tmp_path) == ["kept"] and os.listdir(tmp_path / "kept") == ["file"]


def test_a_link_goes_without_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "x").symlink_to("kept")
    removal.remove(tmp_path / "x")
    assert os.listdir(tmp_path) == ["kept"]


def test_whatever_is_in_it_goes(tmp_path: Path) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    for thing in hostile.THINGS:
        thing(tmp_path / "x" / thing.__name__)
        thing(tmp_path / "x" / "y" / thing.__name__)
    removal.remove(tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_it_may_be_done_meanwhile(tmp_path: Path) -> None:
    hostile.deep(tmp_path / "x")
    removal.begin(tmp_path / "x")
    removal.begin(tmp_path / "x")
    wait_for(lambda: os.listdir(tmp_path) == [])


def test_nothing_is_there(tmp_path: Path) -> None:
    removal.begin(tmp_path / "x")
    wait_for(lambda: not removal._under_way)
