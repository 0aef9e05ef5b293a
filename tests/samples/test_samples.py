"""What the three samples answer, and that they keep to what a hosted application may rely on."""

from __future__ import annotations

import json
import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.patience import within
from tests.samples.serving import SAMPLES, Sample
from tests.waiting import wait_for

TITLES = ["Post The First", "Post The Second", "Post The Third"]
COMMENTS = [
    ("Comment for the first post", 1),
    ("Comment for the second post", 2),
    ("Another comment for the second post", 2),
    ("Another comment for the first post", 1),
]


class Rows:
    """The posts or comments of one sample, wherever it has them."""

    def __init__(self, sample: Sample, client: httpx.Client, kind: str) -> None:
        self.django = sample.name == "django"
        self.client = client
        self.address = f"api/{kind}/" if self.django else kind
        self.post_field = "post" if self.django else "post_id"

    def one(self, number: int) -> str:
        return f"{self.address}{number}/" if self.django else f"{self.address}/{number}"

    def all(self) -> list[dict[str, Any]]:
        answer = self.client.get(self.address).raise_for_status().json()
        rows: list[dict[str, Any]] = answer["results"] if self.django else answer
        return rows

    def write(self, **values: Any) -> dict[str, Any]:
        answer = self.client.post(self.address, json=values)
        assert answer.status_code == 201, answer.text
        row: dict[str, Any] = answer.json()
        return row


@pytest.fixture
def posts(sample: Sample, client: httpx.Client) -> Rows:
    return Rows(sample, client, "posts")


@pytest.fixture
def comments(sample: Sample, client: httpx.Client) -> Rows:
    return Rows(sample, client, "comments")


def test_the_posts_were_seeded_once_though_three_processes_started_at_once(posts: Rows) -> None:
    seeded = posts.all()[:3]
    assert [(post["id"], post["title"]) for post in seeded] == list(enumerate(TITLES, 1))
    assert [post["content"] for post in seeded] == [
        "Content for the first post",
        "Content for the Second post",
        "Content for the third post",
    ]
    assert [post["title"] for post in posts.all()].count(TITLES[0]) == 1


def test_the_comments_were_seeded_with_their_posts(comments: Rows) -> None:
    seeded = comments.all()[:4]
    assert [(comment["content"], comment[comments.post_field]) for comment in seeded] == COMMENTS
    assert [comment["id"] for comment in seeded] == [1, 2, 3, 4]


def test_a_post_is_written_changed_and_deleted(posts: Rows) -> None:
    address = posts.one(posts.write(title="Mine", content="First words")["id"])

    changed = posts.client.put(address, json={"title": "Still mine", "content": "Other words"})
    assert (changed.status_code, changed.json()["title"]) == (200, "Still mine")
    assert posts.client.get(address).json()["content"] == "Other words"

    assert posts.client.delete(address).is_success
    assert posts.client.get(address).status_code == 404


def test_a_comment_is_written_changed_and_deleted(posts: Rows, comments: Rows) -> None:
    post = posts.write(title="Commented", content="…")["id"]
    written = comments.write(**{"content": "Hear, hear", comments.post_field: post})
    address = comments.one(written["id"])

    changed = comments.client.put(address, json={"content": "Oh no", comments.post_field: post})
    assert (changed.status_code, changed.json()["content"]) == (200, "Oh no")

    assert comments.client.delete(address).is_success
    assert comments.client.get(address).status_code == 404
    posts.client.delete(posts.one(post)).raise_for_status()


def test_a_post_takes_its_comments_with_it(posts: Rows, comments: Rows) -> None:
    post = posts.write(title="Short-lived", content="…")["id"]
    comment = comments.write(**{"content": "Pity", comments.post_field: post})["id"]

    posts.client.delete(posts.one(post)).raise_for_status()

    assert comments.client.get(comments.one(comment)).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("number", [999_999, 10**30])
def test_what_is_missing_is_404_in_json(posts: Rows, comments: Rows, method: str, number: int) -> None:
    for rows in (posts, comments):
        values = {"title": "x", "content": "x", rows.post_field: 1}
        answer = rows.client.request(method, rows.one(number), json=values)
        assert answer.status_code == 404
        assert "application/json" in answer.headers["content-type"]
        assert answer.json()


@pytest.mark.parametrize(
    "values",
    [{}, {"title": "No content"}, {"title": "x" * 101, "content": "x"}, {"title": "", "content": "x"}, []],
)
def test_a_post_that_is_not_whole_is_refused_in_json(posts: Rows, values: object) -> None:
    before = posts.all()
    answer = posts.client.post(posts.address, json=values)
    assert answer.status_code in (400, 422)
    assert answer.json()
    assert posts.all() == before


def test_a_comment_needs_a_post_that_is_there(comments: Rows) -> None:
    for number in (999_999, 10**30):
        answer = comments.client.post(comments.address, json={"content": "To nobody", comments.post_field: number})
        assert answer.status_code in (400, 422)


def test_iris_lists_ten_tables_as_rows(sample: Sample, client: httpx.Client) -> None:
    rows = client.get("iris").json()
    assert 1 <= len(rows) <= 10
    assert all(isinstance(row, list) for row in rows)
    own = {"flask": "flask_post", "fastapi": "fastapi_post", "django": "django_comment"}
    assert [own[sample.name]] in rows


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_interop_tells_the_request(sample: Sample, client: httpx.Client, method: str) -> None:
    answer = client.request(method, "interop?a=1", content="grüß dich", headers={"X-Seen": "yes"})
    told = answer.json()
    assert set(told) == {"status", "headers", "body"}
    assert (told["status"], told["headers"]) == (200, {"Content-Type": "application/json"})
    request = json.loads(told["body"])
    assert set(request) == {"method", "url", "headers", "body"}
    assert (request["method"], request["body"]) == (method, "grüß dich")
    assert request["url"] == str(client.base_url.join(f"{sample.mount}/interop?a=1"))
    assert {name.lower(): value for name, value in request["headers"].items()}["x-seen"] == "yes"


def test_every_link_and_file_of_the_index_page_works(sample: Sample, client: httpx.Client) -> None:
    page = client.get("")
    assert page.headers["content-type"].startswith("text/html")
    links = [link for link in re.findall(r'(?:href|src)="([^"]+)"', page.text) if not link.startswith("data:")]
    assert "static/site.css" in links
    assert len(links) >= 7
    assert not [link for link in links if link.startswith(("/", "http"))], "links are relative"
    for link in links:
        answer = client.get(link, follow_redirects=True)
        assert answer.status_code == 200, link
        assert answer.url.path.startswith(f"{sample.mount}/"), link


def test_the_stylesheet_is_served_by_the_application_itself(client: httpx.Client) -> None:
    answer = client.get("static/site.css")
    assert answer.headers["content-type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in answer.text
    assert client.get("static/../app.py").status_code == 404
    assert client.get("static/%2e%2e/app.py").status_code in (400, 404)


def test_the_index_page_shows_what_the_application_was_told(sample: Sample, client: httpx.Client) -> None:
    page = client.get("").text
    assert f"<code>{sample.mount}</code>" in page
    assert f"<code>{sample.directory}</code>" in page
    assert f"{sample.home}/db.sqlite3" in page


def test_what_it_prints_becomes_lines_of_its_output(sample: Sample, posts: Rows) -> None:
    number = posts.write(title="Printed", content="…")["id"]
    posts.client.delete(posts.one(number)).raise_for_status()
    assert f"Post {number} was written: 'Printed'" in sample.printed()


def test_nothing_is_seeded_again_at_the_next_start(own_sample: Sample) -> None:
    with own_sample.client() as client:
        rows = Rows(own_sample, client, "posts")
        client.delete(rows.one(1)).raise_for_status()

    own_sample.restart()

    with own_sample.client() as client:
        assert [post["title"] for post in Rows(own_sample, client, "posts").all()] == TITLES[1:]
    assert "password" not in own_sample.printed()


def test_the_shapes_of_flask(flask: Sample) -> None:
    with flask.client() as client:
        second = client.get("posts/2").json()
        assert list(second) == ["comments", "content", "id", "title"]
        assert [list(comment) for comment in second["comments"]] == [["content", "id", "post_id"]] * 2
        assert client.get("nowhere").json() == {"error": client.get("nowhere").json()["error"]}
        assert client.patch("posts/2").status_code == 405


def test_the_shapes_of_fastapi(fastapi: Sample) -> None:
    with fastapi.client() as client:
        assert list(client.get("posts/2").json()) == ["id", "title", "content"]
        assert set(client.get("comments/2").json()) == {"id", "content", "post_id"}
        number = client.post("posts", json={"title": "Going", "content": "…"}).json()["id"]
        assert client.delete(f"posts/{number}").json() == {"message": "Post deleted successfully"}


def test_the_documentation_of_fastapi_names_its_description_below_the_mount(fastapi: Sample) -> None:
    with fastapi.client() as client:
        assert f"{fastapi.mount}/openapi.json" in client.get("docs").text
        description = client.get("openapi.json").json()
        assert description["servers"] == [{"url": fastapi.mount}]
        assert {"/iris", "/posts", "/posts/{number}", "/comments/{number}"} <= set(description["paths"])


def test_the_websocket_of_fastapi_echoes_text_and_bytes(fastapi: Sample) -> None:
    with fastapi.client() as client:
        address = str(client.base_url).replace("http:", "ws:") + "ws"
    with connect(address, proxy=None) as socket:
        for words in ("Hello", "grüß dich", b"\x00\xff"):
            socket.send(words)
            assert socket.recv(timeout=within(10)) == words


@pytest.mark.parametrize("name", ["flask", "fastapi"])
def test_the_stream_arrives_event_by_event(name: str, request: pytest.FixtureRequest) -> None:
    sample: Sample = request.getfixturevalue(name)
    times: list[float] = []

    def came_apart() -> bool:
        """Read the stream; who reads on a busy machine may be late for some, but not again and again."""
        times.clear()
        with sample.client() as client, client.stream("GET", "stream") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            came = [(line, time.monotonic()) for line in answer.iter_lines() if line]
        times.extend(at for _, at in came)
        assert [line for line, _ in came] == [f"data: event {number} of 5" for number in range(1, 6)]
        return all(later - earlier > 0.1 for earlier, later in pairwise(times))

    wait_for(came_apart, 10, lambda: str(times))


def test_the_api_of_django_has_twenty_rows_a_page(django: Sample) -> None:
    with django.client() as client:
        made = [
            client.post("api/posts/", json={"title": f"Post {number}", "content": "…"}).json()["id"]
            for number in range(20)
        ]
        first = client.get("api/posts/").json()
        second = client.get(first["next"]).json()
        assert list(first) == ["count", "next", "previous", "results"]
        assert (len(first["results"]), first["previous"]) == (20, None)
        assert second["previous"].endswith(f"{django.mount}/api/posts/")
        for number in made:
            client.delete(f"api/posts/{number}/").raise_for_status()


def test_the_administrator_of_django_signs_in_with_the_password_of_the_log(django: Sample) -> None:
    found = re.findall(r"administrator is admin, the password (\S+)", django.printed())
    assert len(found) == 1
    with django.client() as client:
        page = client.get("admin/login/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token
        index = f"{django.mount}/admin/"
        form = {
            "csrfmiddlewaretoken": token[1],
            "username": "admin",
            "password": found[0],
            "next": index,
        }
        answer = client.post("admin/login/", data=form)
        assert (answer.status_code, answer.headers["location"]) == (302, index)
        page = client.get("admin/blog/post/").text
        assert "Post The Third" in page


def test_the_files_of_the_admin_are_served_and_collected(django: Sample) -> None:
    with django.client() as client:
        page = client.get("admin/login/").text
        sheets = re.findall(r'href="([^"]+\.css)"', page)
        assert sheets
        assert all(sheet.startswith(f"{django.mount}/static/admin/") for sheet in sheets)
        assert all(client.get(f"{client.base_url.join(sheet)}").status_code == 200 for sheet in sheets)
    assert (django.directory / "static/admin/css/base.css").is_file()


def test_the_secret_of_django_is_made_for_the_owner_alone(django: Sample) -> None:
    secret = django.directory / ".secret_key"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_text()) >= 50
    assert not (SAMPLES / "django" / ".secret_key").exists()


def test_the_pins_of_the_samples_are_those_that_are_tested() -> None:
    tested = (SAMPLES.parent / "requirements-dev.txt").read_text() + (SAMPLES.parent / "requirements.txt").read_text()
    for path in sorted(Path(SAMPLES).glob("*/requirements.txt")):
        pins = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert pins
        assert [pin for pin in pins if pin not in tested.splitlines()] == []
