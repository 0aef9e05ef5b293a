"""Nobody enters without the gate's word, and nothing of Stoa's own goes on to an application."""

from __future__ import annotations

import base64
import itertools
import os
import stat
from collections.abc import Iterator

import pytest

from tests.runtime.front_site import Answer, Gate, Site, asgi, binaries, files, read, wsgi
from tests.runtime.test_paths import TABLE
from webapps.runtime.spec import Cors, Files, ServeFiles

BASIC = "Basic " + base64.b64encode(b"ada:secret").decode()
DENIED = 418


@pytest.fixture(scope="module", params=binaries(), ids=lambda binary: binary.words)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Gate]]:
    root = tmp_path_factory.mktemp("guard")
    static = root / "static"
    static.mkdir()
    for name in ("index.html", "x.css", "a b.txt"):
        (static / name).write_text("a file")
    os.mknod(static / "socket", stat.S_IFSOCK | 0o600)
    site = Site(root / "site", request.param)
    for number in range(1, 20):
        site.backend(number)
    gate = site.gate()
    shared = Cors(("https://a.example", "http://b.example:8000"), ("X-One", "X-Two"))
    try:
        site.serve(
            wsgi(1, "/app", open=False, files=Files(ServeFiles.SECURED, str(static))),
            wsgi(2, "/app/sub", open=False),
            asgi(3, "/live", open=False),
            wsgi(4, "/dot.ted", open=False),
            wsgi(7, "/Case", open=False),
            wsgi(8, "/tilde~-_.x", open=False),
            wsgi(9, "/open"),
            files(10, "/files", static, ServeFiles.SECURED, open=False),
            *(
                wsgi(11 + int(serve), f"/serve{int(serve)}", open=False, files=Files(serve, str(static)))
                for serve in ServeFiles
            ),
            wsgi(16, "/cors", open=False, cors=shared),
            wsgi(17, "/everybody", open=False, cors=Cors(("*",), (), credentials=False)),
        )
        yield site, gate
    finally:
        site.stop()


@pytest.fixture
def gate(whole: tuple[Site, Gate]) -> Gate:
    whole[1].enter()
    whole[1].asked.clear()
    return whole[1]


@pytest.fixture
def site(whole: tuple[Site, Gate], gate: Gate) -> Site:
    return whole[0]


def asks(gate: Gate) -> list[str]:
    """Return the applications that the gate was asked about."""
    return [told["stoa-app"] for path, told in gate.asked if path == "/ask"]


# Who is asked


@pytest.mark.parametrize("path", [path for path in TABLE if not path.startswith("/-/")])
def test_no_spelling_of_a_path_enters_without_the_gates_word(site: Site, gate: Gate, path: str) -> None:
    gate.refuse()
    answer = site.get(path)

    assert answer.status in (400, 404, DENIED)
    assert answer.status != DENIED or answer.seen["app"] == "gate"


@pytest.mark.parametrize("path", [path for path, wanted in TABLE.items() if isinstance(wanted, tuple)])
def test_the_gate_is_asked_about_the_application_that_is_reached(site: Site, gate: Gate, path: str) -> None:
    answer = site.get(path)

    assert asks(gate) == [answer.seen["app"]]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "TRACK"])
def test_every_method_is_asked_about(site: Site, gate: Gate, method: str) -> None:
    gate.refuse()

    assert site.ask(method, "/app/x", body=b"x" * 10 if method == "POST" else b"").status == DENIED
    assert asks(gate) == ["1"]


@pytest.mark.parametrize(("why", "status"), [("sign-in", "401 No"), ("wrong", "401 No"), ("locked 77", "403 No")])
def test_what_is_shown_instead_knows_why(site: Site, gate: Gate, why: str, status: str) -> None:
    gate.refuse(why, status)
    forged = {"Stoa-Why": "x", "Stoa-App": "9", "Stoa-Uri": "//evil", "Stoa-Host": "evil", "Stoa-Client": "1.1.1.1"}
    site.get("/app/x?y", forged)

    (_, asked), (_, denied) = gate.asked
    assert (asked["stoa-app"], asked["stoa-client"]) == ("1", "127.0.0.1")
    assert (denied["stoa-why"], denied["stoa-app"], denied["stoa-uri"]) == (why, "1", "/app/x?y")
    assert denied["stoa-host"] == f"127.0.0.1:{site.port}"


def test_an_open_application_needs_no_gate(site: Site, gate: Gate) -> None:
    assert site.get("/open/").status == 200
    assert gate.asked == []


@pytest.mark.parametrize("status", ["500 Broken", "502 Bad", "404 Nothing", "302 Found", "400 Bad", "503 Busy"])
@pytest.mark.parametrize("path", ["/app/x", "/live/x", "/serve3/static/x.css", "/files/x.css", "/files/", "/serve1/x"])
def test_a_gate_that_fails_lets_nobody_in(site: Site, gate: Gate, status: str, path: str) -> None:
    gate.says = {"status": status}
    answer = site.get(path, {"Accept": "text/html"})

    assert answer.status == 503
    assert "a file" not in answer.text


@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket"])
def test_a_websocket_is_asked_about(site: Site, gate: Gate, upgrade: str) -> None:
    gate.refuse()
    headers = {"Upgrade": upgrade, "Connection": "Upgrade"}
    assert site.get("/live/x", headers).status == DENIED
    gate.enter()
    with site.connect() as sock:
        sock.sendall(b"GET /live/x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        assert read(sock.recv(4096)).status == 101
    assert set(asks(gate)) == {"3"}


# Files


@pytest.mark.parametrize("serve", ServeFiles)
def test_files_are_guarded_by_the_application_alone_where_serve_files_says_so(
    site: Site, gate: Gate, serve: ServeFiles
) -> None:
    gate.refuse()
    wanted = {0: DENIED, 1: 200, 2: 200, 3: 404}[serve]

    for name in ("x.css", "a%20b.txt"):
        answer = site.get(f"/serve{int(serve)}/static/{name}")
        assert answer.status == wanted
        assert (answer.body == b"a file") is (wanted == 200)


@pytest.mark.parametrize("serve", ServeFiles)
@pytest.mark.parametrize("name", ["none.css", "", ".hidden", "x.py", "x.css/"])
def test_what_is_no_file_is_behind_the_applications_guard(site: Site, gate: Gate, serve: ServeFiles, name: str) -> None:
    gate.refuse()
    refused = site.get(f"/serve{int(serve)}/static/{name}").status
    gate.enter()

    assert refused == (404 if serve is ServeFiles.SECURED else DENIED)
    assert site.get(f"/serve{int(serve)}/static/{name}").seen["app"] == str(11 + serve)


def test_a_socket_is_no_file_and_no_gate_that_does_not_answer(site: Site, gate: Gate) -> None:
    assert site.get("/files/socket").status == 404
    assert site.get("/app/static/socket").seen["app"] == "1"
    gate.says = {"status": "500 Trouble"}
    assert site.get("/files/socket").status == site.get("/app/static/socket").status == 503


@pytest.mark.parametrize("status", ["401 No", "403 No"])
def test_files_of_who_may_not_see_the_application_are_not_there(site: Site, gate: Gate, status: str) -> None:
    gate.refuse("no-right", "401 No")

    assert site.get("/files/x.css").status == 404
    assert site.get("/files/").status == DENIED
    gate.enter()
    assert site.get("/files/x.css").body == site.get("/files/").body == b"a file"


# Cookies

STOAS = [
    "stoa_login=1",
    "stoa_a1=2",
    "STOA_session=3",
    "__Host-stoa_x=4",
    "__Secure-Stoa_y=5",
    'stoa_z="6"',
    "stoa_=",
    "stoa_q",
]


def cookies(answer: Answer) -> str:
    return answer.told.get("cookie", "")


@pytest.mark.parametrize("between", ["; ", ";", " ; ", ";\t", ";;"])
@pytest.mark.parametrize("count", range(1, 9))
def test_stoas_cookies_are_taken_out_however_many_there_are(site: Site, between: str, count: int) -> None:
    for place in range(3):
        others = ["a=1", 'b="2 é"']
        others[place:place] = STOAS[:count]
        passed = cookies(site.get("/open/", {"Cookie": between.join(others)}))

        assert "stoa_" not in passed.lower()
        assert "a=1" in passed and "b=" in passed


@pytest.mark.parametrize("places", list(itertools.product([0, 1], repeat=5)))
def test_stoas_cookies_are_taken_out_wherever_they_stand(site: Site, places: tuple[int, ...]) -> None:
    pairs = [f"stoa_{number}=x" if stoas else f"c{number}=y" for number, stoas in enumerate(places)]
    for header in ([("Cookie", "; ".join(pairs))], [("Cookie", pair) for pair in pairs]):
        passed = cookies(site.get("/app/", header))

        assert [pair.strip() for pair in passed.split(";") if pair.strip()] == [p for p in pairs if p[0] == "c"]


def test_where_too_many_runs_of_them_stand_no_cookie_is_passed_on(site: Site) -> None:
    many = "; ".join(f"c{number}=y; stoa_{number}=x" for number in range(40))

    assert cookies(site.get("/open/", {"Cookie": many})) == ""


@pytest.mark.parametrize("header", ["a=1", "a=1; b=2", 'a="x y"; b', "a=1;b=2", " a = 1 ;", "a=1,2", "é=ü", "a==;;=b"])
def test_other_cookies_arrive_byte_for_byte(site: Site, header: str) -> None:
    assert cookies(site.get("/app/", {"Cookie": header})) == header.strip()


OTHERS = [
    "my_stoa_pref=1",
    "MY_STOA_PREF=2",
    "xstoa_=3",
    "__Host-my_stoa_=4",
    "__Host-__Host-stoa_x=5",
    "_stoa_=6",
    "stoa=7",
    "STOA-a1=8",
    "a=stoa_1",
    "a==stoa_1",
    'b="stoa_2"',
    'c="light, stoa_dark"',
    'd="light stoa_dark=1"',
    "e=1,stoa_f=2",
    "stoa.stoa_=9",
    "é_stoa_=ü",
]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("form", ["{}", "{};", "{0}; {0}", "{0};{0}", "{0} ;\t{0}", "a=1; {}", "{}; a=1", "{0};;{0}"])
def test_a_name_or_value_that_only_holds_the_prefix_passes_byte_for_byte(site: Site, other: str, form: str) -> None:
    header = form.format(other)

    assert cookies(site.get("/open/", {"Cookie": header})) == header


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("stoas", STOAS)
@pytest.mark.parametrize(
    "form", ["{o};{s}", "{s};{o}", "{s}; {o}; {s}", "{o}; {s};{s} ; {o}", " {s};\t{s};{o};{s};", ";{s};{o}"]
)
def test_they_pass_beside_stoas_which_do_not(site: Site, other: str, stoas: str, form: str) -> None:
    passed = cookies(site.get("/app/", {"Cookie": form.format(o=other, s=stoas)}))

    left = [pair.strip() for pair in passed.split(";") if pair.strip()]
    assert left == [other] * form.count("{o}")


def test_they_pass_however_many_there_are(site: Site) -> None:
    header = "; ".join(f"my_stoa_{number}=stoa_" for number in range(100))

    assert cookies(site.get("/open/", {"Cookie": header})) == header
    assert cookies(site.get("/open/", {"Cookie": f"{header}; stoa_login=1"})).rstrip("; ") == header


def test_a_quote_that_is_left_open_hides_none_of_stoas(site: Site) -> None:
    for header in ('a="; stoa_login=1; b="', 'a="x; stoa_login=1"', "a='; stoa_login=1; b='", "a=\\; stoa_login=1"):
        assert "login" not in cookies(site.get("/open/", {"Cookie": header}))


def test_the_gate_sees_all_cookies(site: Site, gate: Gate) -> None:
    site.get("/app/", {"Cookie": "a=1; stoa_a1=x; stoa_a1=y"})

    assert gate.asked[0][1]["cookie"] == "a=1; stoa_a1=x; stoa_a1=y"


def test_cookies_that_the_gate_renews_are_added_to_the_applications(site: Site, gate: Gate) -> None:
    gate.enter("ada", "", "stoa_a1=new; Path=/app")
    answer = site.get("/app/", how={"headers": [["Set-Cookie", "own=1"]]})

    assert [value for name, value in answer.headers if name == "Set-Cookie"] == ["own=1", "stoa_a1=new; Path=/app"]


# Who it is


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "Basic ", "  Basic"])
def test_a_password_stays_at_the_gate(site: Site, gate: Gate, scheme: str) -> None:
    line = f"{scheme} {BASIC.partition(' ')[2]}"

    assert "authorization" not in site.get("/app/", {"Authorization": line}).told
    assert gate.asked[0][1]["authorization"] == line.strip()
    assert site.get("/open/", {"Authorization": line}).told["authorization"] == line.strip()


def test_another_scheme_is_the_applications(site: Site) -> None:
    assert site.get("/app/", {"Authorization": "Bearer x"}).told["authorization"] == "Bearer x"


MADE_UP = [
    "Remote-User",
    "REMOTE-USER",
    "Remote_User",
    "remote_user",
    "REMOTE_USER",
    "Remote-Groups",
    "Remote_Groups",
    "X-Remote-User",
    "X_Remote_User",
    "X-Forwarded-User",
    "X_Forwarded_User",
    "Http-Remote-User",
    "Stoa-User",
]


@pytest.mark.parametrize("path", ["/app/", "/live/", "/open/"])
@pytest.mark.parametrize("copies", [1, 2, 3])
def test_no_client_says_who_it_is(site: Site, gate: Gate, path: str, copies: int) -> None:
    gate.enter("ada", "Readers,Writers")
    answer = site.get(path, [(name, "eve") for name in MADE_UP] * copies)

    told = {name.lower().replace("_", "-"): value for name, value in answer.seen["headers"]}
    wanted = (None, None) if path == "/open/" else ("ada", "Readers,Writers")
    assert (told.get("remote-user"), told.get("remote-groups")) == wanted
    assert {name for name, value in told.items() if "eve" in value} <= {"http-remote-user", "stoa-user"}


@pytest.mark.parametrize(
    "line",
    [
        "Remote-User : eve",
        "X: y\r\n Remote-User: eve",
        "X: y\r\n\tRemote-User: eve",
        "Remote-User\t: eve",
        "Remote-User:\0eve",
    ],
)
def test_a_folded_or_broken_line_says_nothing(site: Site, gate: Gate, line: str) -> None:
    answer = site.raw(f"GET /app/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}\r\n\r\n".encode())

    assert answer.status == 400 or answer.told["remote-user"] == "ada"


# Other origins


@pytest.mark.parametrize("origin", ["https://a.example", "http://b.example:8000"])
def test_an_origin_that_is_allowed(site: Site, gate: Gate, origin: str) -> None:
    answer = site.get("/cors/", {"Origin": origin}, how={"headers": [["Access-Control-Allow-Origin", "*"]]})
    assert answer["Access-Control-Allow-Origin"] == origin
    assert (answer["Access-Control-Allow-Credentials"], answer["Vary"]) == ("true", "Origin")
    gate.refuse()
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
    preflight = site.ask("OPTIONS", "/cors/", asked)
    assert (preflight.status, preflight["Access-Control-Allow-Origin"]) == (204, origin)
    assert preflight["Access-Control-Allow-Headers"] == "X-One, X-Two"


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "https://a.example.evil", "http://a.example", "null", "", "https://a.example:443", "*"],
)
def test_an_origin_that_is_not(site: Site, gate: Gate, origin: str) -> None:
    gate.refuse()
    preflight = site.ask("OPTIONS", "/cors/", {"Origin": origin, "Access-Control-Request-Method": "PUT"})
    gate.enter()

    assert preflight.status == DENIED
    for answer in (preflight, site.get("/cors/", {"Origin": origin})):
        assert not answer["Access-Control-Allow-Origin"] and not answer["Access-Control-Allow-Credentials"]


def test_every_origin_is_allowed_without_credentials(site: Site) -> None:
    answer = site.get("/everybody/", {"Origin": "https://any.example"})

    assert (answer["Access-Control-Allow-Origin"], answer["Access-Control-Allow-Credentials"]) == ("*", "")
