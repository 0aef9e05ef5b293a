"""Unmodified applications of other people run below a name."""

from __future__ import annotations

import hashlib
import sys

import pytest

from tests.patience import within
from tests.serving import Answer, Stoa

RAW = """
from wsgiref.validate import validator

def chunks(environ):
    yield b"one,"
    yield b"two"

def main(environ, start_response):
    path = environ["PATH_INFO"]
    text = [("Content-Type", "text/plain")]
    if path == "/write":
        write = start_response("200 OK", text)
        write(b"written,")
        return iter([b"returned"])
    if path == "/nothing":
        start_response("204 No Content", [])
        return iter([])
    if path == "/unchanged":
        start_response("304 Not Modified", [("ETag", '"x"')])
        return iter([])
    if path == "/upload":
        import hashlib
        digest, stream = hashlib.sha256(), environ["wsgi.input"]
        while block := stream.read(65536):
            digest.update(block)
        start_response("200 OK", text)
        return iter([digest.hexdigest().encode()])
    start_response("200 OK", text)
    return chunks(environ)

application = validator(main)
"""

FLASK = """
from flask import Flask, redirect, request, send_file, session, url_for
app = Flask(__name__)
app.secret_key = "only of this test"

@app.get("/")
def index():
    return f'<a href="{url_for("other")}">other</a> {request.remote_addr} {request.url}'

@app.get("/other")
def other():
    session["seen"] = session.get("seen", 0) + 1
    return str(session["seen"])

@app.get("/away")
def away():
    return redirect(url_for("other"))

@app.get("/file")
def file():
    import io
    return send_file(io.BytesIO(bytes(range(256)) * 40), mimetype="application/octet-stream", download_name="x", conditional=True, etag="v1")

@app.post("/upload")
def upload():
    import hashlib
    digest = hashlib.sha256()
    for block in iter(lambda: request.stream.read(1 << 16), b""):
        digest.update(block)
    return digest.hexdigest()

@app.get("/raw/<path:rest>")
def raw(rest):
    return rest
"""

BOTTLE = """
import bottle
application = bottle.Bottle()

@application.get("/")
def index():
    return bottle.request.script_name + " " + application.get_url("named")

@application.get("/named", name="named")
def named():
    bottle.response.set_cookie("kept", "yes")
    return "named"

@application.get("/away")
def away():
    bottle.redirect("named")
"""

STARLETTE = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

@asynccontextmanager
async def lifespan(app):
    print("lifespan began")
    yield {"greeting": "hello"}
    print("lifespan ended")

async def index(request):
    return PlainTextResponse(f"{request.state.greeting} {request.url_for('stream')} {request.client.host} {request.scope['root_path']}")

async def stream(request):
    async def chunks():
        for word in ("one", "two"):
            yield word
    return StreamingResponse(chunks())

async def echo(websocket):
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(message + "!")

app = Starlette(routes=[Route("/", index), Route("/stream", stream, name="stream"), WebSocketRoute("/ws", echo)], lifespan=lifespan)
"""

DJANGO = {
    "manage_site/__init__.py": "",
    "manage_site/settings.py": """
SECRET_KEY = "only of this test"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "manage_site.urls"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
""",
    "manage_site/urls.py": """
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import path, reverse

def index(request):
    return HttpResponse(f"{reverse('other')} {request.build_absolute_uri()}")

def other(request):
    response = HttpResponse("other")
    response.set_cookie("a", "1"); response.set_cookie("stoa_session", "stolen")
    return response

urlpatterns = [path("", index), path("other/", other, name="other"), path("away/", lambda r: HttpResponseRedirect(reverse("other")))]
""",
    "manage_site/wsgi.py": """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "manage_site.settings")
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
""",
}


@pytest.fixture(scope="module")
def host(stoa: Stoa) -> Stoa:
    """A Stoa with one application per framework, all under the interpreter of the tests, which has them all."""
    stoa.merge("CreateNamespace:Name=FRAMEWORKS")
    stoa.command(
        "shell",
        "-c",
        f"from webapps.models import *; n = Namespace.objects.get(name='FRAMEWORKS'); n.interpreter = {sys.executable!r}; n.save()",
    )
    for name, files, properties in (
        ("raw", {"app.py": RAW}, {}),
        ("flask", {"app.py": FLASK}, {"WSGICallable": "app"}),
        ("bottle", {"app.py": BOTTLE}, {}),
        ("django", DJANGO, {"WSGIAppName": "manage_site.wsgi"}),
        ("starlette", {"app.py": STARLETTE}, {"WSGICallable": "app", "WSGIType": 2}),
    ):
        directory = stoa.write(f"frameworks/{name}", files)
        given = {"WSGIAppName": "app", "WSGICallable": "application", "WSGIType": 1, **properties}
        words = "".join(f',{key}="{value}"' for key, value in given.items())
        stoa.merge(
            f'CreateApplication:Name=/fw/{name},NameSpace=FRAMEWORKS,WSGIAppLocation="{directory}"{words},AutheEnabled=64'
        )
        stoa.eventually(f"/fw/{name}/")
    return stoa


def test_a_raw_application_passes_wsgirefs_validator(host: Stoa) -> None:
    assert host.get("/fw/raw/").body == b"one,two"
    assert host.get("/fw/raw/write").body == b"written,returned"
    assert host.get("/fw/raw/nothing").status == 204
    assert host.get("/fw/raw/unchanged").status == 304
    head = host.ask("HEAD", "/fw/raw/")
    assert (head.status, head.body) == (200, b"")
    said = [line for line in host.logged("WSGI").splitlines() if " /fw/raw " in line]
    assert said and "AssertionError" not in "\n".join(said)


@pytest.mark.parametrize("name", ["raw", "flask"])
def test_an_upload_of_100_mb_arrives_whole(host: Stoa, name: str) -> None:
    block = bytes(range(256)) * 4096
    digest = hashlib.sha256(block * 100).hexdigest()

    answer = host.ask(
        "POST",
        f"/fw/{name}/upload",
        body=(block for _ in range(100)),
        headers={"Content-Length": str(len(block) * 100)},
        timeout=within(60),
    )

    assert answer.text == digest


def test_flasks_links_redirects_cookies_and_ranges_work(host: Stoa) -> None:
    index = host.get("/fw/flask/").text
    assert '<a href="/fw/flask/other">' in index and "127.0.0.1" in index
    assert f"http://127.0.0.1:{host.port}/fw/flask/" in index
    assert host.get("/fw/flask/away").headers["location"] == "/fw/flask/other"
    cookie = host.get("/fw/flask/other").headers["set-cookie"].partition(";")[0]
    assert host.get("/fw/flask/other", headers={"Cookie": cookie}).text == "2"
    part = host.get("/fw/flask/file", headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, bytes(range(10, 20)))
    whole = host.get("/fw/flask/file")
    assert len(whole.body) == 10240
    assert host.get("/fw/flask/file", headers={"If-None-Match": whole.headers["etag"]}).status == 304


def test_the_rest_of_the_path_arrives_as_it_was_sent(host: Stoa) -> None:
    assert host.get("/fw/flask/raw/a%2Fb//c").text == "a/b//c"


def test_bottles_links_and_redirects_work(host: Stoa) -> None:
    assert (
        host.get("/fw/bottle/").text == "/fw/bottle/ /fw/bottle/named" or "/fw/bottle" in host.get("/fw/bottle/").text
    )
    assert host.get("/fw/bottle/away").headers["location"].endswith("/fw/bottle/named")
    assert host.get("/fw/bottle/named").headers["set-cookie"].startswith("kept=yes")


def test_djangos_links_redirects_and_cookies_work(host: Stoa) -> None:
    assert host.get("/fw/django/").text == f"/fw/django/other/ http://127.0.0.1:{host.port}/fw/django/"
    assert host.get("/fw/django/away/").headers["location"] == "/fw/django/other/"
    assert host.get("/fw/django/other").headers["location"] == "/fw/django/other/"


def test_no_application_sets_a_cookie_of_stoas(host: Stoa) -> None:
    answer: Answer = host.get("/fw/django/other/")

    assert answer.headers["set-cookie"].startswith("a=1")
    assert "stoa_session" not in str(answer.headers)


def test_starlettes_lifespan_state_links_and_streams_work(host: Stoa) -> None:
    words = host.get("/fw/starlette/").text.split()
    assert words == [
        "hello",
        f"http://127.0.0.1:{host.port}/fw/starlette/stream",
        "127.0.0.1",
        "/fw/starlette",
    ]
    assert host.get("/fw/starlette/stream").text == "onetwo"
    assert "lifespan began" in host.logged("WSGI")


def test_websockets_echo(host: Stoa) -> None:
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{host.port}/fw/starlette/ws") as websocket:
        websocket.send("hello")
        assert websocket.recv(timeout=within(10)) == "hello!"
