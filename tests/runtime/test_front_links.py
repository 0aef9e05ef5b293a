"""What the front does where a directory that it serves files from becomes a link, and with links among files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runtime.front_site import Site, binaries, files, wsgi
from webapps.runtime.spec import Files, Route, ServeFiles

# Characters that would end or begin something in nginx's configuration.
NASTY = 'people\'s "files"; } $uri ${x} \\n\\ {\n# route 7\r\t\x01é\u2028\udcff'
ALWAYS = Files(ServeFiles.ALWAYS, "named in the form", 77)


@pytest.fixture(scope="module", params=binaries(), ids=lambda binary: binary.words)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("links") / NASTY
    for name in (f"{NASTY}/static/releases/5", "plain/static", "other/static"):
        (root / name).mkdir(parents=True)
        (root / name / "x.txt").write_text(name[-1])
    site = Site(root.parent / "site", request.param)
    site.backend(1)
    site.backend(2)
    yield site
    site.stop()


def nasty(site: Site) -> Path:
    return site.root.parent / NASTY


def served(site: Site, **more: object) -> Route:
    """A route to files that lie inside a directory of the most curious name, within another."""
    route = wsgi(1, "/one", files=ALWAYS, root=str(nasty(site)), inside=f"{NASTY}/static", **more)
    site.serve(route, replace(route, id=2, socket="apps/2.sock", name="/two", inside="plain/static", links=()))
    return route


def test_any_name_of_a_directory_is_one_word_of_the_configuration(site: Site) -> None:
    served(site)

    assert site.get("/one/static/releases/5/x.txt").text == "5"
    assert site.get("/two/static/x.txt").text == "c"


def test_another_root_is_served_at_once(site: Site) -> None:
    for name in ("plain", "other"):
        site.serve(wsgi(1, "/one", files=ALWAYS, root=str(nasty(site) / name), inside="static"))
        assert site.get("/one/static/x.txt").text == "c"
        (found,) = (site.run_dir / "files").iterdir()
        assert found.resolve() == nasty(site) / name


@pytest.mark.parametrize("serve", [ServeFiles.ALWAYS, ServeFiles.CACHED, ServeFiles.SECURED])
@pytest.mark.parametrize("part", ["static", "plain"])
def test_no_link_is_followed_below_the_root(site: Site, serve: ServeFiles, part: str) -> None:
    route = wsgi(1, "/one", files=replace(ALWAYS, serve=serve), root=str(nasty(site)), inside="plain/static")
    only = files(2, "/only", Path("named"), serve, root=str(nasty(site)), inside="plain/static")
    site.serve(route, only)
    path = nasty(site) / ("plain/static" if part == "static" else "plain")
    path.rename(nasty(site) / "aside")
    path.symlink_to(nasty(site) / "other" / "static" if part == "static" else nasty(site) / "other")
    try:
        assert site.get("/one/static/x.txt").seen["app"] == "1"
        assert site.get("/only/x.txt").status == 404
        assert site.get("/only/").status == 404
    finally:
        path.unlink()
        (nasty(site) / "aside").rename(path)


def test_links_among_files_are_served_by_what_they_lead_to(site: Site) -> None:
    served(site, links=(("cur$1 rent\n", "releases"), ("releases/y.txt", "releases/5/x.txt"), ("é", "releases/5")))

    for path in ("cur$1%20rent%0a/5/x.txt", "cur$1%20rent%0A/y.txt", "releases/y.txt", "%C3%A9/x.txt"):
        assert site.get(f"/one/static/{path}").text == "5", path
    for path in ("cur$1%20rent%0a", "cur$1%20rent%0a/none?x=%2F", "%C3%A9/.env", "%C3%A9x/x.txt", "x/%C3%A9/x.txt"):
        assert site.get(f"/one/static/{path}").seen["line"] == f"GET /one/static/{path} HTTP/1.1"
    posted = site.ask("POST", "/one/static/%C3%A9/x.txt", body=b"x").seen
    assert (posted["line"], posted["length"]) == ("POST /one/static/%C3%A9/x.txt HTTP/1.1", 1)


@pytest.mark.parametrize("host", ["", "root.example"])
@pytest.mark.parametrize("name", ["/only", "/"])
def test_links_among_files_alone_too(site: Site, host: str, name: str) -> None:
    (nasty(site) / "plain" / "static" / "sub").mkdir(exist_ok=True)
    (nasty(site) / "plain" / "static" / "sub" / "index.html").write_text("index")
    root = str(nasty(site) / "plain")
    site.serve(files(3, name, Path("named"), host=host, root=root, inside="static", links=(("now", "sub"),)))
    mount = name.rstrip("/")

    assert site.get(f"{mount}/now/index.html", host=host).text == "index"
    assert site.get(f"{mount}/now/", host=host).text == "index"
    assert site.get(f"{mount}/now", host=host).status == 301
    assert site.get(f"{mount}/now/none", host=host).status == 404
