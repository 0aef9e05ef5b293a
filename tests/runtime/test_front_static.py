"""Static files, served by the front itself (fields.md, section Files)."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runtime.front_site import CHECKOUT, Site, asgi, binaries, files, wsgi
from tests.waiting import wait_for
from webapps.runtime.spec import Files, ServeFiles

LONG = "p { color: red }\n" * 1000


@pytest.fixture(scope="module", params=binaries(), ids=lambda binary: binary.words)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # Characters that would end or begin something in nginx's configuration.
    root = tmp_path_factory.mktemp("static")
    folder = root / 'people\'s "files"; } $uri {\n# é'
    _write(folder, root)
    site = Site(root / "site", request.param)
    for number in (1, 2, 3, 4, 5, 6):
        site.backend(number)
    always = Files(ServeFiles.ALWAYS, str(folder), 77)
    try:
        site.serve(
            wsgi(1, "/always", files=always),
            wsgi(2, "/cached", files=replace(always, serve=ServeFiles.CACHED)),
            wsgi(3, "/no", files=replace(always, serve=ServeFiles.NO)),
            asgi(4, "/secured", files=replace(always, serve=ServeFiles.SECURED)),
            wsgi(5, "/own", files=always),
            wsgi(6, "/own/static"),
            files(7, "/folder", folder),
            files(12, "/bare", folder / "sub" / "deep"),
            wsgi(13, "/.dot", files=always),
            wsgi(14, "/a.py", files=always),
            files(8, "/nothing", folder, ServeFiles.NO),
            files(9, "/", folder, host="root.example"),
            wsgi(10, "/absent", files=replace(always, path=str(root / "absent"))),
            wsgi(11, "/now", files=replace(always, timeout=0)),
        )
        site.backend(10)
        yield site
    finally:
        site.stop()


def _write(folder: Path, root: Path) -> None:
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "dir.py").mkdir()
    for name in (
        *(
            "app.py",
            "app.PY",
            "app.pyc",
            "x.py.bak",
            "x.pyw",
            "s.wsgi",
            "S.WSGI",
            "d.sqlite3",
            "D.SQLite3",
            "d.sqlite3-wal",
        ),
        *(".env", ".git/config", "sub/.hidden", "dir.py/ok.txt", "sub/deep/app.py"),
    ):
        (folder / name).write_text("never")
    for name in (
        "x.css",
        "long.css",
        "a b.txt",
        "é.txt",
        "100%.txt",
        "x.bin",
        "python.txt",
        "apy.txt",
        "wsgi.txt",
    ):
        (folder / name).write_text(LONG if name == "long.css" else "a file")
    (folder / "index.html").write_text("<p>first</p>")
    (folder / "sub" / "index.html").write_text("<p>second</p>")
    (folder / "sub" / "deep" / "x.txt").write_text("deep")
    (root / "outside.txt").write_text("never")
    (folder / "out.txt").symlink_to(root / "outside.txt")
    (folder / "up").symlink_to(root)
    (folder / "passwd").symlink_to("/etc/passwd")
    os.mkfifo(folder / "fifo.txt")
    os.mknod(folder / "socket.txt", stat.S_IFSOCK | 0o600)


SERVED = [
    "x.css",
    "long.css",
    "a%20b.txt",
    "%C3%A9.txt",
    "100%25.txt",
    "x.bin",
    "sub/deep/x.txt",
    "python.txt",
    "apy.txt",
    "wsgi.txt",
]


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("prefix", ["/always/static", "/cached/static", "/secured/static", "/folder"])
def test_a_file_is_served_by_the_front(site: Site, prefix: str, name: str) -> None:
    answer = site.get(f"{prefix}/{name}")

    assert (answer.status, answer.text) == (
        200,
        {"sub/deep/x.txt": "deep", "long.css": LONG}.get(name, "a file"),
    )


NEVER = [
    *(
        ".env",
        ".git/config",
        "sub/.hidden",
        "app.py",
        "app.PY",
        "app.pyc",
        "x.py.bak",
        "x.pyw",
        "s.wsgi",
        "S.WSGI",
    ),
    *(
        "d.sqlite3",
        "D.SQLite3",
        "d.sqlite3-wal",
        "sub/deep/app.py",
        "out.txt",
        "up/outside.txt",
        "passwd",
        "fifo.txt",
        "socket.txt",
    ),
    # The same in other spellings.
    *(
        "%2eenv",
        "%2Egit%2fconfig",
        "sub%2F.hidden",
        "sub//.hidden",
        "./.env",
        "sub/../.env",
        "app%2epy",
        "app.%70y",
    ),
    *("app%2Epy%63", "sub/%2e%2e/app.py", "d%2Esqlite3", "x.py%2Ebak", "app.py/", "app.py?x", ".env?x.css"),
    *(
        "..%2foutside.txt",
        "../../outside.txt",
        "sub/..%2f..%2foutside.txt",
        "%2e%2e/outside.txt",
        "up%2Foutside.txt",
    ),
    *(
        "",
        "sub",
        "sub/",
        "none",
        "none/",
        "x.css/",
        "x.css/x",
        "X.CSS",
        "x.css.",
        "x.css%20",
        "x.css%5c",
        "%5c..%5cx.css",
    ),
]


@pytest.mark.parametrize("name", NEVER)
def test_what_is_no_file_goes_to_the_application(site: Site, name: str) -> None:
    for prefix in ("/always/static/", "/cached/static/", "/secured/static/"):
        answer = site.get(prefix + name)

        assert answer.status in (200, 400, 404), answer
        if answer.status == 200:
            assert answer.seen["line"] == f"GET {prefix}{name} HTTP/1.1"


@pytest.mark.parametrize("name", [name for name in NEVER if name not in ("", "sub", "sub/")])
def test_what_is_no_file_is_nowhere_in_files_only(site: Site, name: str) -> None:
    for path, host in ((f"/folder/{name}", ""), (f"/{name}", "root.example")):
        answer = site.get(path, host=host)

        assert answer.status in (400, 404), answer
        assert "never" not in answer.text
        assert "root:" not in answer.text


@pytest.mark.parametrize("path", ["/folder/socket.txt", "/folder/fifo.txt"])
def test_what_cannot_be_read_is_answered_with_stoas_page(site: Site, path: str) -> None:
    answer = site.get(path, {"Accept": "text/html"})

    assert answer.status == 404
    assert "There is no application at this address" in answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/folder/", "first"),
        ("/folder/index.html", "first"),
        ("/folder/sub/", "second"),
        ("/folder/?x", "first"),
    ],
)
def test_a_directorys_index_is_served_in_files_only(site: Site, path: str, body: str) -> None:
    assert body in site.get(path).text


def test_a_directory_without_an_index_is_not_listed(site: Site) -> None:
    for path in ("/folder/sub/deep/", "/bare/"):
        answer = site.get(path)

        assert answer.status == 404
        assert "There is no application" in answer.text


def test_a_directory_is_sent_to_its_slash(site: Site) -> None:
    answer = site.get("/folder/sub?x")

    assert (answer.status, answer["Location"]) == (301, "/folder/sub/?x")


def test_files_only_may_be_at_the_root_of_a_host(site: Site) -> None:
    assert "first" in site.get("/", host="root.example").text
    assert site.get("/x.css", host="root.example").text == "a file"
    assert "first" not in site.get("/").text


@pytest.mark.parametrize("name", ["/.dot/static/x.css", "/a.py/static/x.css"])
def test_a_name_may_have_in_it_what_hides_a_file(site: Site, name: str) -> None:
    assert site.get(name).text == "a file"
    assert "never" not in site.get(name.replace("x.css", ".env")).text


@pytest.mark.parametrize("part", [".py", "/.", "%0A", "%20a", ".sqlite", "//"])
def test_the_longest_path_costs_next_to_nothing(site: Site, part: str) -> None:
    plain, long = (shortest(site, "/always/static/" + text) for text in ("x" * 12000, part * (12000 // len(part))))

    assert long < 20 * plain


def shortest(site: Site, path: str) -> float:
    """Return the seconds of the fastest of some tries: what the machine does besides makes the others longer."""
    took = []
    for _ in range(5):
        began = time.perf_counter()
        site.get(path)
        took.append(time.perf_counter() - began)
    return min(took)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_files_only_are_only_read(site: Site, method: str) -> None:
    answer = site.ask(method, "/folder/x.css", body=b"x")

    assert (answer.status, "can only be read" in answer.text) == (405, True)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_any_other_method_is_the_applications(site: Site, method: str) -> None:
    answer = site.ask(method, "/always/static/x.css?a=%2F", body=b"hello")

    assert (answer.seen["line"], answer.seen["length"]) == (
        f"{method} /always/static/x.css?a=%2F HTTP/1.1",
        5,
    )


def test_with_serve_files_no_the_application_is_asked(site: Site) -> None:
    assert site.get("/no/static/x.css").seen["app"] == "3"
    assert site.get("/nothing/x.css").status == 404


def test_an_application_named_as_anothers_files_wins(site: Site) -> None:
    assert site.get("/own/static/x.css").seen["app"] == "6"
    assert site.get("/own/x").seen["app"] == "5"


def test_a_directory_that_is_not_there_is_the_applications_matter(site: Site) -> None:
    assert site.get("/absent/static/x.css").seen["app"] == "10"


@pytest.mark.parametrize(
    ("prefix", "wanted"),
    [
        ("/always/static", "max-age=77"),
        ("/cached/static", "public, max-age=77"),
        ("/secured/static", "private, max-age=77"),
        ("/folder", "max-age=3600"),
        ("/now/static", "no-cache"),
    ],
)
def test_how_long_a_browser_may_keep_it(site: Site, prefix: str, wanted: str) -> None:
    answer = site.get(f"{prefix}/x.css")

    assert answer["Cache-Control"] == wanted
    for name in ("ETag", "Last-Modified"):
        condition = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}[name]
        again = site.get(f"{prefix}/x.css", {condition: answer[name]})
        assert (again.status, again.body, again["Cache-Control"]) == (304, b"", wanted)


@pytest.mark.parametrize("prefix", ["/always/static", "/cached/static", "/folder"])
def test_a_part_of_a_file(site: Site, prefix: str) -> None:
    answer = site.get(f"{prefix}/x.css", {"Range": "bytes=2-3"})
    assert (answer.status, answer.text, answer["Content-Range"]) == (206, "fi", "bytes 2-3/6")
    assert site.get(f"{prefix}/x.css", {"Range": "bytes=9-"}).status == 416
    assert site.get(f"{prefix}/x.css", {"Range": "bytes=2-3", "If-Range": '"other"'}).status == 200


def test_head_has_the_length(site: Site) -> None:
    answer = site.ask("HEAD", "/always/static/x.css")

    assert (answer.status, answer["Content-Length"], answer.body) == (200, "6", b"")


@pytest.mark.parametrize("prefix", ["/always/static", "/cached/static", "/folder"])
def test_text_is_sent_compressed_to_who_takes_it(site: Site, prefix: str) -> None:
    answer = site.get(f"{prefix}/long.css", {"Accept-Encoding": "gzip"})

    assert (answer["Content-Encoding"], answer["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(answer.body).decode() == LONG
    assert site.get(f"{prefix}/long.css")["Content-Encoding"] == ""


TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "map": "application/json; charset=utf-8",
    "webmanifest": "application/manifest+json; charset=utf-8",
    "svg": "image/svg+xml; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "wasm": "application/wasm",
    "woff2": "font/woff2",
    "webp": "image/webp",
    "avif": "image/avif",
    "pdf": "application/pdf",
    "PNG": "image/png",
    "mp4": "video/mp4",
    "unknown": "application/octet-stream",
}


@pytest.mark.parametrize("ending", TYPES)
def test_the_type_of_a_file(site: Site, ending: str, tmp_path: Path) -> None:
    folder = (site.run_dir / "files" / "1").resolve()
    (folder / f"typed.{ending}").write_text("x")

    assert site.get(f"/always/static/typed.{ending}")["Content-Type"] == TYPES[ending]


def test_an_applications_response_is_neither_typed_nor_compressed(site: Site) -> None:
    how = {"headers": [["Content-Type", "text/html"], ["X-Long", "x" * 2000]]}
    answer = site.get("/always/page", {"Accept-Encoding": "gzip"}, how=how)

    assert (answer["Content-Type"], answer["Content-Encoding"]) == ("text/html", "")


def test_the_log_names_the_application_of_a_file(site: Site) -> None:
    site.get("/always/static/x%2Ec%73s")

    line = wait_for(lambda: next((line for line in site.log_lines(1) if "x%2Ec%73s" in line), ""))

    assert line.split()[1:6] == ["/always", "127.0.0.1", "GET", "/always/static/x%2Ec%73s", "200"]


def test_another_directory_is_served_at_once(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", binaries()[0])
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text(name)
    try:
        for serve in (ServeFiles.ALWAYS, ServeFiles.CACHED):
            for name in ("old", "new"):
                site.serve(files(1, "/f", tmp_path / name, serve))
                assert site.get("/f/x.txt").text == name
    finally:
        site.stop()


def test_the_portals_files_are_served_by_the_front(tmp_path: Path) -> None:
    (tmp_path / "static" / "portal").mkdir(parents=True)
    (tmp_path / "static" / "portal" / "x.js").write_text("let x")
    shutil.copytree(CHECKOUT / "static" / "front", tmp_path / "static" / "front")
    site = Site(tmp_path / "site", binaries()[0], static_dir=tmp_path / "static")
    try:
        site.serve()
        answer = site.get("/portal/static/x.js", portal=True)
        assert (answer.text, answer["Content-Type"]) == ("let x", "text/javascript; charset=utf-8")
        assert answer["Cache-Control"] == "max-age=300"
        assert site.get("/portal/static/none.js", portal=True).status == 404
        for name in ("../x.js", "..%2fx.js", ".hidden", "x.py", ""):
            assert site.get(f"/portal/static/{name}", portal=True).status in (302, 404, 502)
    finally:
        site.stop()
