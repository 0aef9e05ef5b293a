"""Static files through the whole of Stoa: a merge, the supervisor, the front, and the application behind it."""

from __future__ import annotations

import gzip
import http.client

import pytest

from tests.patience import within
from tests.serving import Stoa
from tests.waiting import wait_for

ECHO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"app {environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode("latin-1")]
"""
CSS = "p { color: red }\n" * 500
HIDDEN = {
    "static/.env": "never",
    "static/.git/config": "never",
    "static/tool.py": "never",
    "static/tool.PYC": "never",
    "static/site.wsgi": "never",
    "static/db.sqlite3": "never",
    "static/sub/.hidden": "never",
    "outside.txt": "never",
}
FILES = {
    "app.py": ECHO,
    "static/x.css": CSS,
    "static/a b é.txt": "a file",
    "static/index.html": "<p>not for an application</p>",
    "static/logo.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "static/data.unknown": "x",
}
SITE = {
    "index.html": "<p>first</p>",
    "sub/index.html": "<p>second</p>",
    "bare/x.txt": "bare",
    ".env": "never",
    "run.py": "never",
}


@pytest.fixture(scope="module")
def site(stoa: Stoa) -> Stoa:
    """Applications that differ in Serve Files alone, over one directory; and one of files only."""
    directory = stoa.write("static/app", HIDDEN | FILES)
    (directory / "static" / "out.txt").symlink_to(directory / "outside.txt")
    (directory / "static" / "up").symlink_to(directory)
    pages = stoa.write("static/pages", SITE)
    kinds = {0: "no", 1: "always", 2: "cached"}
    for serve, word in kinds.items():
        stoa.create(f"/files/{word}", directory, ServeFiles=serve, ServeFilesTimeout=77)
    stoa.merge(
        f'CreateApplication:Name=/files/only,NameSpace=USER,Path="{pages}",ServeFiles=1,AutheEnabled=64',
        f'CreateApplication:Name=/files/none,NameSpace=USER,Path="{pages}",ServeFiles=0,AutheEnabled=64',
    )
    for word in kinds.values():
        stoa.eventually(f"/files/{word}/")
    stoa.eventually("/files/only/", text="first")
    return stoa


SERVING = pytest.mark.parametrize("name", ["/files/always", "/files/cached"])


@SERVING
def test_the_front_serves_the_file(site: Stoa, name: str) -> None:
    answer = site.get(f"{name}/static/x.css")

    assert (answer.status, answer.text) == (200, CSS)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["content-length"] == str(len(CSS))
    assert site.get(f"{name}/static/a%20b%20%C3%A9.txt").text == "a file"


def test_no_means_that_the_application_is_asked(site: Stoa) -> None:
    assert site.get("/files/no/static/x.css").text == "app /files/no /static/x.css"
    assert site.get("/files/none/index.html").status == 404


@SERVING
@pytest.mark.parametrize("path", ["/static/none.css", "/static/", "/static/sub/", "/static", "/x.css"])
def test_what_is_no_file_falls_through_to_the_application(site: Stoa, name: str, path: str) -> None:
    assert site.get(name + path).text == f"app {name} {path}"


@SERVING
def test_it_is_sent_again_only_when_it_has_changed(site: Stoa, name: str) -> None:
    first = site.get(f"{name}/static/x.css").headers

    for condition, value in (("If-None-Match", first["etag"]), ("If-Modified-Since", first["last-modified"])):
        again = site.get(f"{name}/static/x.css", headers={condition: value})
        assert (again.status, again.body) == (304, b"")
    assert site.get(f"{name}/static/x.css", headers={"If-None-Match": '"other"'}).status == 200


@SERVING
def test_a_part_of_it_can_be_had(site: Stoa, name: str) -> None:
    part = site.get(f"{name}/static/x.css", headers={"Range": "bytes=2-8"})

    assert (part.status, part.text) == (206, CSS[2:9])
    assert part.headers["content-range"] == f"bytes 2-8/{len(CSS)}"
    assert site.get(f"{name}/static/x.css", headers={"Range": f"bytes={len(CSS)}-"}).status == 416


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/files/always/static/x.css", "max-age=77"),
        ("/files/cached/static/x.css", "public, max-age=77"),
        ("/files/only/index.html", "max-age=3600"),
    ],
)
def test_a_browser_may_keep_it_as_long_as_the_form_says(site: Stoa, path: str, wanted: str) -> None:
    assert site.get(path).headers["cache-control"] == wanted


@SERVING
def test_it_is_sent_compressed_to_who_takes_it(site: Stoa, name: str) -> None:
    answer = site.get(f"{name}/static/x.css", headers={"Accept-Encoding": "gzip"})

    assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(answer.body).decode() == CSS


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("logo.svg", "image/svg+xml; charset=utf-8"),
        ("index.html", "text/html; charset=utf-8"),
        ("data.unknown", "application/octet-stream"),
    ],
)
def test_it_has_its_type(site: Stoa, file: str, wanted: str) -> None:
    assert site.get(f"/files/always/static/{file}").headers["content-type"] == wanted


def test_files_only_have_an_index_and_no_listing(site: Stoa) -> None:
    assert "first" in site.get("/files/only/").text
    assert "second" in site.get("/files/only/sub/").text
    assert site.get("/files/only/bare/x.txt").text == "bare"
    assert site.get("/files/only/sub").headers["location"].endswith("/files/only/sub/")
    for path in ("/files/only/bare/", "/files/only/none", "/files/only/index.html/x"):
        assert site.get(path).status == 404
    assert site.ask("POST", "/files/only/", body=b"x").status == 405


# What is written %XX is decoded by the front before it looks for a file; what is doubled or dotted is put right.
NEVER = [
    *(".env", "%2eenv", "%2Eenv", "./.env", ".//.env", "sub/../.env", "sub/%2e%2e/.env", ".env?x.css", ".env/"),
    *(".git/config", "%2Egit%2Fconfig", ".git//config", "sub/.hidden", "sub%2F.hidden", "sub/%2ehidden"),
    *(
        "tool.py",
        "tool%2Epy",
        "tool.p%79",
        "%74ool.py",
        "tool.py/",
        "tool.PYC",
        "tool.%50YC",
        "site.wsgi",
        "site%2ewsgi",
    ),
    *("db.sqlite3", "db%2Esqlite3", "db.sqlit%653", "out.txt", "%6fut.txt", "up/outside.txt", "up%2Foutside.txt"),
    *("../app.py", "..%2fapp.py", "%2e%2e/app.py", "%2e%2e%2fapp.py", "../outside.txt", "..%2Foutside.txt"),
    *("..%5coutside.txt", "..%c0%afoutside.txt", "tool.py%00.css", "%252eenv", "x.css/../.env", "up/../../outside.txt"),
]


@pytest.mark.parametrize("path", NEVER)
def test_what_is_never_served_is_not_in_any_spelling(site: Stoa, path: str) -> None:
    for name in ("/files/always/static", "/files/cached/static", "/files/no/static", "/files/only"):
        status, body = raw(site, f"{name}/{path}")

        assert status in (200, 301, 400, 404), (name, status)
        assert b"never" not in body and b"def application" not in body
        if status == 200:
            assert body.startswith(b"app /files/"), (name, body)


def raw(stoa: Stoa, path: str) -> tuple[int, bytes]:
    """Send a path exactly as it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", stoa.port, timeout=within(10))
    try:
        connection.putrequest("GET", path, skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_another_physical_path_is_served_after_the_save(site: Stoa) -> None:
    first, second = (site.write(f"static/moved/{word}", {"x.txt": word}) for word in ("first", "second"))
    site.merge(f'CreateApplication:Name=/files/moved,NameSpace=USER,Path="{first}",ServeFiles=1,AutheEnabled=64')
    site.eventually("/files/moved/x.txt", text="first")

    site.merge(f'ModifyApplication:Name=/files/moved,Path="{second}"')

    site.eventually("/files/moved/x.txt", text="second")


def test_a_file_is_in_the_access_log_with_its_application(site: Stoa) -> None:
    site.get("/files/always/static/x%2Ec%73s?secret")

    lines = wait_for(lambda: [line for line in site.logged("access").splitlines() if "x%2Ec%73s" in line])
    assert lines[0].split()[1] == "/files/always"
