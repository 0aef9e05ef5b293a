"""The pages of the logs."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from webapps.models import WebApp
from webapps.runtime import logs

pytestmark = pytest.mark.django_db
NOW = "2026-11-21T08:19:01.123Z"


@pytest.fixture
def log(stoa_home: Path) -> Path:
    (stoa_home / "log").mkdir()
    (stoa_home / "log" / "WSGI.log").touch()
    return stoa_home / "log" / "WSGI.log"


def write(log: Path, label: str, *texts: str) -> None:
    """Add lines as the log writer does."""
    with log.open("ab") as file:
        file.write(logs.format_lines(NOW, logs.webapp_prefix(label, 1, "out"), texts))


def test_it_says_that_nothing_was_written(administrator: Client, stoa_home: Path) -> None:
    page = administrator.get("/portal/log/applications").content.decode()
    assert "Nothing has been written yet" in page
    assert administrator.get("/portal/log/applications/download").status_code == 404


def test_it_shows_the_last_lines_by_application_and_text(administrator: Client, log: Path, webapp: WebApp) -> None:
    write(log, "/csp/notes", "first <b>", "second")
    write(log, "/other", "third")
    page = administrator.get("/portal/log/applications").content.decode()
    assert "first &lt;b&gt;" in page
    assert "third" in page
    page = administrator.get("/portal/log/applications", {"app": "/csp/notes", "q": "SECOND"}).content.decode()
    assert "second" in page
    assert "first" not in page
    assert "third" not in page


def test_it_gives_what_came_since_to_the_script(administrator: Client, log: Path) -> None:
    write(log, "/a", "before")
    first = administrator.get("/portal/log/applications", {"part": "lines"})
    write(log, "/a", "after")
    second = administrator.get("/portal/log/applications", {"part": "lines", "after": first["X-Log-Position"]})
    assert b"before" in first.content
    assert b"before" not in second.content
    assert b"after" in second.content
    third = administrator.get("/portal/log/applications", {"part": "lines", "after": second["X-Log-Position"]})
    assert third.content.strip() == b""


def test_it_starts_over_where_the_position_is_no_longer_there(administrator: Client, log: Path) -> None:
    write(log, "/a", "line")
    response = administrator.get("/portal/log/applications", {"part": "lines", "after": "1:2:nonsense"})
    assert response["X-Log-Truncated"] == "1"
    assert b"line" in response.content


def test_it_offers_the_file(administrator: Client, log: Path) -> None:
    write(log, "/a", "line")
    response = administrator.get("/portal/log/applications/download")
    assert response["Content-Disposition"] == 'attachment; filename="WSGI.log"'
    assert b"".join(response.streaming_content) == log.read_bytes()  # type: ignore[attr-defined]


def test_it_shows_what_stoa_itself_does(administrator: Client, stoa_home: Path) -> None:
    (stoa_home / "log").mkdir()
    line = logs.format_lines(NOW, logs.message_prefix("front", "error"), ["nginx has gone"])
    (stoa_home / "log" / "messages.log").write_bytes(line)
    assert "nginx has gone" in administrator.get("/portal/log/stoa").content.decode()
    assert "nginx has gone" not in administrator.get("/portal/log/stoa?app=keeper").content.decode()


def test_it_knows_no_other_file(administrator: Client, stoa_home: Path) -> None:
    assert administrator.get("/portal/log/access").status_code == 404
    assert administrator.get("/portal/log/..%2fdb/download").status_code == 404


def test_it_shows_no_line_to_others(colleague: Client, stranger: Client, log: Path) -> None:
    for address in ("/portal/log/applications", "/portal/log/stoa", "/portal/log/applications/download"):
        assert colleague.get(address).status_code == 403
        assert stranger.get(address).status_code == 302
