"""Which links on the way to a directory count."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from webapps.runtime.areas import Areas, LinkRefused, Place


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An application, what lies beside it, and a link to all that somebody has made who looks after the machine."""
    root = tmp_path / "real"
    for name in ("app/releases/5/static", "app/deep", "other"):
        (root / name).mkdir(parents=True)
    (tmp_path / "named").symlink_to(root)
    return root


def areas(tree: Path) -> Areas:
    return Areas([str(tree / "app")])


def test_a_link_outside_of_every_area_counts(tree: Path) -> None:
    way = areas(tree).way(f"{tree.parent}/named/app/deep")

    assert (way.end, way.links) == (f"{tree}/app/deep", (f"{tree.parent}/named",))


@pytest.mark.parametrize(
    "target", ["releases/5", "../app/releases/5", "{tree}/app/releases/5", "{named}/app/releases/5"]
)
def test_a_link_in_an_area_counts_while_it_stays_there(tree: Path, target: str) -> None:
    (tree / "app" / "current").symlink_to(target.format(tree=tree, named=tree.parent / "named"))

    assert areas(tree).way(f"{tree}/app/current/static").end == f"{tree}/app/releases/5/static"


@pytest.mark.parametrize(
    "target", ["..", "../other", "{tree}/other", "/", "{named}/other", "../app/../other", "/nothing"]
)
def test_a_link_that_leaves_its_area_is_refused_by_name(tree: Path, target: str) -> None:
    (tree / "app" / "static").symlink_to(target.format(tree=tree, named=tree.parent / "named"))

    with pytest.raises(LinkRefused, match=f"^{tree}/app/static is a link to .* followed within {tree}/app only"):
        areas(tree).way(f"{tree.parent}/named/app/static/x")


def test_the_smallest_area_is_the_one_that_counts(tree: Path) -> None:
    (tree / "app" / "static").symlink_to("../other")

    assert Areas([str(tree)]).way(f"{tree}/app/static").end == f"{tree}/other"
    with pytest.raises(LinkRefused):
        Areas([str(tree), str(tree / "app")]).way(f"{tree}/app/static")


def test_a_link_in_an_area_is_refused_behind_one_that_counts(tree: Path) -> None:
    (tree / "app" / "first").symlink_to("second")
    (tree / "app" / "second").symlink_to("../other")
    (tree / "alias").symlink_to("app/first")

    with pytest.raises(LinkRefused):
        areas(tree).way(f"{tree}/alias")


def test_links_that_go_round_are_refused(tree: Path) -> None:
    (tree / "app" / "round").symlink_to("round")
    (tree / "outer").symlink_to("outer")

    for path in ("app/round", "outer/x"):
        with pytest.raises(LinkRefused, match="in a row"):
            areas(tree).way(f"{tree}/{path}")


@pytest.mark.parametrize("path", ["app/nothing/x", "app/releases/5/static"])
def test_files_are_served_from_inside_what_nobody_hosted_can_change(tree: Path, path: str) -> None:
    inside = path.removeprefix("app/")

    assert areas(tree).place(f"{tree.parent}/named/{path}") == Place(f"{tree}/app", inside)
    assert areas(tree).place(f"{tree}/app") == Place(f"{tree}/app")
    assert areas(tree).place(f"{tree.parent}/named/other") == Place(f"{tree}/other")


def test_where_a_link_is_refused_it_is_the_link_that_nginx_is_told(tree: Path) -> None:
    (tree / "app" / "static").symlink_to("../other")
    (tree / "alias").symlink_to("app/static")

    for path in ("app/static/x", "alias/x"):
        place = areas(tree).place(f"{tree}/{path}")
        assert (place.root, place.inside) == (f"{tree}/app", "static/x")
        assert f"{tree}/app/static is a link to {tree}/other" in place.refused


def test_the_largest_area_is_where_nginx_begins_to_look(tree: Path) -> None:
    place = Areas([str(tree), str(tree / "app")]).place(f"{tree}/app/deep")

    assert (place.root, place.inside) == (str(tree), "app/deep")
    assert os.path.join(place.root, place.inside) == place.directory


def test_what_a_deleted_application_left_is_as_its_own(tree: Path) -> None:
    left = Areas(parents=[str(tree)])
    (tree / "app" / "static").symlink_to("../other")
    (tree / "by-hand").symlink_to(tree.parent)

    with pytest.raises(LinkRefused, match=f"within {tree}/app only"):
        left.way(f"{tree}/app/static")
    assert left.way(f"{tree}/by-hand").end == str(tree.parent)
    assert left.place(f"{tree}/app/deep") == Place(f"{tree}/app", "deep")
