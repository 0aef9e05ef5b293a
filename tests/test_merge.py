from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.patience import Stopwatch
from webapps import control
from webapps.choices import Kind
from webapps.cpf.merge import merge_files
from webapps.cpf.report import Report
from webapps.models import Change, Namespace, WebApp

pytestmark = pytest.mark.django_db
PUBLISHED = Path(__file__).parent / "data" / "cpf"
WSGI = "DispatchClass=%SYS.Python.WSGI,WSGIAppName=app,AutheEnabled=64"
Merge = Callable[..., Report]


@pytest.fixture
def merge(tmp_path: Path) -> Merge:
    """Merge lines of [Actions]; give the report."""

    def merged(*lines: str, **options: Any) -> Report:
        path = tmp_path / "merge.cpf"
        path.write_text("[Actions]\n" + "\n".join(lines) + "\n")
        (report,) = merge_files([path], **options)
        return report

    return merged


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Give a directory with an application."""
    made = tmp_path / "shop"
    made.mkdir()
    (made / "app.py").write_text("def app(environ, start_response): ...\n")
    return made


def results(report: Report) -> list[str]:
    return [row.result.value for row in report.rows]


def told(report: Report) -> str:
    return " ".join(row.words for row in report.rows)


def rows() -> list[Any]:
    return [*WebApp.objects.order_by("pk").values(), *Namespace.objects.order_by("pk").values()]


# The published files


def mapped(tmp_path: Path, name: str, *, there: bool = True) -> Path:
    """Copy a published file with its directories mapped below ``tmp_path``."""
    root = tmp_path / "irisdev"
    if there:
        for module in ("app/community/app.py", "app/app/app/wsgi.py", "app/app/static/app.css"):
            path = root / module
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    path = tmp_path / f"{name}.cpf"
    path.write_bytes((PUBLISHED / f"{name}.cpf").read_bytes().replace(b"/irisdev", os.fsencode(root)))
    return path


HEAD = [
    (2, "CreateResource %DB_IRISAPP_DATA", "skipped"),
    (3, "CreateDatabase IRISAPP_DATA", "skipped"),
    (4, "CreateResource %DB_IRISAPP_CODE", "skipped"),
    (5, "CreateDatabase IRISAPP_CODE", "skipped"),
    (6, "CreateNamespace IRISAPP", "created"),
    (7, "ModifyService %Service_CallIn", "skipped"),
    (8, "ModifyUser SuperUser", "skipped"),
]
CREATED = {
    "flask": [(9, "CreateApplication /flask", "created")],
    "fastapi": [(9, "CreateApplication /fastapi", "created")],
    "django": [
        (9, "CreateApplication /django", "created"),
        (10, "CreateApplication /django/static", "created"),
    ],
}


@pytest.mark.parametrize("name", CREATED)
def test_a_published_file_is_reported_line_by_line(tmp_path, name):
    (report,) = merge_files([mapped(tmp_path, name)])
    assert [(row.number, row.subject, row.result.value) for row in report.rows] == HEAD + CREATED[name]
    assert not report.failed


@pytest.mark.parametrize("name", CREATED)
def test_a_second_merge_of_a_published_file_changes_nothing(tmp_path, name):
    path = mapped(tmp_path, name)
    merge_files([path])
    before, counter = rows(), Change.counters()[0]
    (report,) = merge_files([path])
    words = {"created": "exists", "skipped": "skipped"}
    expected = [(number, subject, words[word]) for number, subject, word in HEAD + CREATED[name]]
    assert [(row.number, row.subject, row.result.value) for row in report.rows] == expected
    assert rows() == before
    assert Change.counters()[0] == counter


@pytest.mark.parametrize("name", CREATED)
def test_an_application_of_a_published_file_is_named_as_public_to_all(tmp_path, name):
    (report,) = merge_files([mapped(tmp_path, name)])
    (row,) = [row for row in report.rows if row.number == 9]
    assert row.warnings == (
        "AutheEnabled is left out: the application is public.",
        "MatchRoles: “:%ALL” grants everything to everyone in the application.",
    )


@pytest.mark.parametrize("name", CREATED)
def test_a_directory_that_does_not_exist_yet_is_a_warning(tmp_path, name):
    (report,) = merge_files([mapped(tmp_path, name, there=False)])
    assert not report.failed
    warned = [row.number for row in report.rows if "does not exist (yet)" in row.words]
    assert warned == [number for number, _, _ in CREATED[name]]


def test_a_directory_that_is_a_link_to_nowhere_is_a_warning(merge, tmp_path):
    (tmp_path / "link").symlink_to("nothing")
    line = f"NameSpace=USER,DispatchClass=%SYS.Python.WSGI,WSGIAppName=app,WSGIAppLocation={tmp_path}/link"
    (row,) = merge(f"CreateApplication:Name=/a,{line},AutheEnabled=32").rows
    assert "is a link that leads nowhere (yet); the application starts when it appears." in row.words


def test_the_published_files_make_what_they_say(tmp_path):
    merge_files([mapped(tmp_path, name) for name in CREATED])
    root = tmp_path / "irisdev"
    made = WebApp.objects.order_by("name").values_list("name", "app_name", "callable_name", "directory", "path")
    assert list(made) == [
        ("/django", "app.wsgi", "application", f"{root}/app/app/", ""),
        ("/django/static", "", "app", "", f"{root}/app/app/static/"),
        ("/fastapi", "app", "app", f"{root}/app/community/", ""),
        ("/flask", "app", "app", f"{root}/app/community/", ""),
    ]
    assert [webapp.protocol for webapp in WebApp.objects.order_by("name")] == [
        "wsgi",
        "files",
        "asgi",
        "wsgi",
    ]
    assert {webapp.namespace.name for webapp in WebApp.objects.all()} == {"IRISAPP"}
    assert all(webapp.is_public(64) for webapp in WebApp.objects.all())
    assert WebApp.objects.get(name="/flask").properties == {"Type": "2"}


# Creating


def test_every_property_arrives_in_its_field(merge, directory):
    merge(
        'CreateApplication:Name=/shop,NameSpace=sales,Description="Posts, and comments",Enabled=0,'
        f"WSGIAppName=app,WSGICallable=create_app(),WSGIAppLocation={directory},WSGIType=2,WSGIDebug=1,Resource=%Dev,GroupById=g,"
        "AutheEnabled=$$$AuthePassword+$$$AutheLoginToken,MatchRoles=%Dev:%All,CSRFToken=0,"
        'CorsAllowlist="https://a.example, https://b.example",CorsHeadersList=X-A,CorsCredentialsAllowed=0,'
        f"ServeFiles=2,ServeFilesTimeout=60,Path={directory},IsNameSpaceDefault=1,DispatchClass=%SYS.Python.WSGI"
    )
    webapp: dict[str, Any] = {**WebApp.objects.values().get()}
    expected = {
        "name": "/shop",
        "description": "Posts, and comments",
        "enabled": False,
        "kind": "wsgi",
        "app_name": "app",
        "callable_name": "create_app()",
        "directory": str(directory),
        "protocol_type": 2,
        "debug": True,
        "resource": "%Dev",
        "group_by_id": "g",
        "authe_enabled": 32 + 16384,
        "match_roles": "%Dev:%All",
        "csrf_token": False,
        "cors_allowlist": "https://a.example, https://b.example",
        "cors_headers": "X-A",
        "cors_credentials": False,
        "serve_files": 2,
        "serve_files_timeout": 60,
        "path": str(directory),
        "is_namespace_default": True,
        "properties": {},
    }
    assert {name: webapp[name] for name in expected} == expected
    assert Namespace.objects.get().name == "SALES"


def test_what_is_left_out_gets_its_default(merge, settings):
    merge("CreateApplication:Name=/csp/notes,NameSpace=USER,DispatchClass=%SYS.Python.WSGI,WSGIAppName=app")
    webapp = WebApp.objects.get()
    assert webapp.callable_name == "app"
    assert webapp.directory == str(settings.STOA_HOME / "csp" / "notes")
    assert (webapp.authe_enabled, webapp.protocol_type, webapp.serve_files) == (64, 1, 1)
    assert (webapp.enabled, webapp.csrf_token, webapp.cors_credentials) == (True, True, True)


def test_names_of_properties_and_actions_mean_the_same_in_any_case(merge):
    report = merge(
        "createapplication:name=/a,NAMESPACE=USER,wsgiappname=app,DISPATCHCLASS=%SYS.Python.WSGI,autheenabled=32"
    )
    assert results(report) == ["created"]
    assert WebApp.objects.get().authe_enabled == 32


@pytest.mark.parametrize("text", ["0", "1"])
def test_protocol_type_0_means_wsgi(merge, text):
    merge(f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},WSGIType={text}")
    assert WebApp.objects.get().protocol == "wsgi"


def test_session_and_csp_properties_are_kept_as_given(merge):
    report = merge(f'CreateApplication:Name=/a,NameSpace=USER,{WSGI},Type=2,timeout=900,LoginPage="a,b=c.csp",Foo=1')
    assert WebApp.objects.get().properties == {
        "Type": "2",
        "Timeout": "900",
        "LoginPage": "a,b=c.csp",
        "Foo": "1",
    }
    assert "Not known, kept as given: Foo." in told(report)


def test_bits_that_are_not_offered_are_kept_and_named(merge):
    report = merge(f"CreateApplication:Name=/a,NameSpace=USER,{WSGI.replace('64', '32+$$$AutheOS+256')}")
    assert WebApp.objects.get().authe_enabled == 32 + 16 + 256
    assert "16 ($$$AutheOS), 256 kept, but not offered" in told(report)


CLOSED = "nobody is asked who he is, and with a Resource nobody can enter."


@pytest.mark.parametrize(
    ("properties", "warnings"),
    [
        ("", ("AutheEnabled is left out: the application is public.",)),
        (",Resource=", ("AutheEnabled is left out: the application is public.",)),
        (",Resource=%Dev", (f"AutheEnabled is left out: {CLOSED}",)),
        (",Resource=%Dev,AutheEnabled=64", (f"AutheEnabled: {CLOSED}",)),
        (",Resource=%Dev,AutheEnabled=96", ()),
        (",AutheEnabled=64", ()),
    ],
)
def test_an_application_with_a_resource_is_never_called_public(merge, directory, properties, warnings):
    line = f"NameSpace=USER,DispatchClass=%SYS.Python.WSGI,WSGIAppName=app,WSGIAppLocation={directory}{properties}"
    (row,) = merge(f"CreateApplication:Name=/a,{line}").rows
    assert row.warnings == warnings


def test_a_modify_that_closes_an_application_says_so(merge):
    merge(f"CreateApplication:Name=/a,NameSpace=USER,{WSGI}")
    report = merge("ModifyApplication:Name=/a,Resource=%Dev", "ModifyApplication:Name=/a,Description=x")
    assert [row.warnings for row in report.rows] == [(f"AutheEnabled: {CLOSED}",), ()]


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ("%ALL", "“%ALL” has no target and grants nothing"),
        (":%ALL", "“:%ALL” grants everything to everyone"),
        (":%Dev:%All", "“:%Dev:%All” grants everything to everyone"),
    ],
)
def test_odd_match_roles_are_kept_with_a_warning(merge, roles, words):
    report = merge(f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},MatchRoles={roles}")
    assert words in told(report)
    assert WebApp.objects.get().match_roles == roles


def test_a_dotted_callable_is_kept_and_names_the_module_where_nothing_else_does(merge):
    line = "CreateApplication:Name=/{0},NameSpace=USER,DispatchClass=%SYS.Python.WSGI,"
    line += "WSGICallable=app.wsgi.application{1}"
    merge(line.format("a", ",WSGIAppName=app"), line.format("b", ""))
    made = WebApp.objects.order_by("name").values_list("app_name", "callable_name")
    assert list(made) == [("app", "app.wsgi.application"), ("app.wsgi", "application")]


def test_a_path_without_a_class_is_files_only_whatever_else_is_said(merge, directory):
    report = merge(f"CreateApplication:Name=/files,NameSpace=USER,Path={directory},Type=2,LoginPage=x.csp,Recurse=1")
    assert results(report) == ["created"]
    assert WebApp.objects.get().kind == Kind.FILES


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ("DispatchClass=My.Rest.Api,Path=/srv/x", "“My.Rest.Api”"),
        ("DispatchClass=My.Rest.Api,WSGIAppName=app", "“My.Rest.Api”"),
        ("Type=2", "neither a dispatch class nor a Path"),
        ("DispatchClass=,Path=", "neither a dispatch class nor a Path"),
    ],
)
def test_an_application_of_another_kind_is_skipped_and_said(merge, properties, words):
    report = merge(f"CreateApplication:Name=/a,NameSpace=USER,{properties}", "ModifyApplication:Name=/a,Enabled=0")
    assert results(report) == ["skipped", "skipped"]
    assert words in told(report)
    assert not WebApp.objects.exists()


def test_a_python_application_without_a_class_is_taken_and_said(merge):
    report = merge("CreateApplication:Name=/a,NameSpace=USER,WSGIAppName=app")
    assert results(report) == ["created"]
    assert "DispatchClass is left out" in told(report)


def test_a_missing_namespace_is_created_and_said_once(merge):
    report = merge(f"CreateApplication:Name=/a,NameSpace=new,{WSGI}", f"CreateApplication:Name=/b,NameSpace=NEW,{WSGI}")
    assert [row.words.count("Namespace NEW did not exist and was created.") for row in report.rows] == [1, 0]


def test_several_hosts_carry_the_same_name(merge):
    lines = [
        f"CreateApplication:Name=/a,{host}NameSpace=USER,{WSGI}" for host in ("", "Host=A.example,", "Host=b.example,")
    ]
    assert results(merge(*lines)) == ["created"] * 3
    assert results(merge(*lines, "DeleteApplication:Name=/a,Host=a.example")) == ["exists"] * 3 + ["deleted"]
    assert sorted(webapp.label for webapp in WebApp.objects.all()) == ["/a", "b.example/a"]


def test_a_module_that_is_not_in_its_directory_is_a_warning_with_those_that_are(merge, directory):
    report = merge(
        f"CreateApplication:Name=/a,NameSpace=USER,{WSGI.replace('=app', '=ap')},WSGIAppLocation={directory}"
    )
    assert results(report) == ["created"]
    assert "There is no module “ap”" in told(report)
    assert "app" in told(report)


# Again and otherwise


def test_a_create_of_what_exists_is_no_update(merge):
    line = f"CreateApplication:Name=/a,NameSpace=USER,{WSGI}"
    merge(line)
    for again in (line + ",Description=new", line.replace("/a", "/A"), line.replace("/a", "/a/")):
        assert results(merge(again)) == ["exists"]
    assert WebApp.objects.values_list("description", "revision").get() == ("", 1)


def test_a_create_of_what_exists_names_it_where_it_is_written_otherwise(merge):
    line = f"CreateApplication:Name=/Shop,Host=a.example,NameSpace=USER,{WSGI}"
    assert merge(line, line.replace("/Shop", "/shop")).rows[1].words == "It is there as a.example/Shop."
    again = merge(line, line.replace("/Shop", "/SHOP/"), line.replace("a.ex", "A.ex"))
    assert [row.words for row in again.rows] == ["", *["It is there as a.example/Shop."] * 2]


def test_a_delete_of_what_is_absent_is_skipped(merge):
    assert results(merge("DeleteApplication:/old", "DeleteApplication:Name=/old")) == ["absent", "absent"]


def test_a_delete_removes_the_row_and_says_that_files_stay(merge, directory):
    merge(f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},WSGIAppLocation={directory}")
    report = merge("DeleteApplication:/a")
    assert results(report) == ["deleted"]
    assert "files stay" in told(report)
    assert directory.is_dir()
    assert not WebApp.objects.exists()


def test_a_modify_touches_only_what_it_names_and_starts_a_new_generation(merge):
    merge(f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},Type=2,Timeout=900")
    before: dict[str, Any] = {**WebApp.objects.values().get()}
    report = merge('ModifyApplication:Name=/a,Description="Posts, and comments",timeout=60')
    after: dict[str, Any] = {**WebApp.objects.values().get()}
    changed = {name for name in after if after[name] != before[name]}
    assert results(report) == ["modified"]
    assert changed == {"description", "properties", "revision", "modified"}
    assert after["properties"] == {"Type": "2", "Timeout": "60"}
    assert after["revision"] == 2


@pytest.mark.parametrize(
    "more",
    ["", ",AutheEnabled=64", ",WSGIType=0", ",DispatchClass=%SYS.Python.WSGI,Type=2", ",NameSpace=user"],
)
def test_a_modify_that_changes_nothing_is_skipped(merge, more):
    merge(f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},Type=2")
    before = rows()
    assert results(merge(f"ModifyApplication:Name=/a{more}")) == ["unchanged"]
    assert rows() == before


def test_a_modify_of_what_is_absent_is_an_error(merge):
    report = merge("ModifyApplication:Name=/a,Description=x")
    assert results(report) == ["error"]
    assert "create it first" in told(report)


def test_a_modify_makes_files_only_of_an_application_and_back(merge, directory):
    merge(f"CreateApplication:Name=/a,NameSpace=USER,{WSGI}")
    assert results(merge(f"ModifyApplication:Name=/a,DispatchClass=,Path={directory}")) == ["modified"]
    assert WebApp.objects.get().kind == Kind.FILES
    assert results(merge("ModifyApplication:Name=/a,DispatchClass=%SYS.Python.WSGI")) == ["modified"]
    assert WebApp.objects.get().kind == Kind.WSGI


def test_the_order_of_lines_does_not_matter(merge):
    report = merge(
        "DeleteApplication:/gone",
        "ModifyApplication:Name=/a,Description=later",
        f"CreateApplication:Name=/gone,NameSpace=LAST,{WSGI}",
        f"CreateApplication:Name=/a,NameSpace=LAST,{WSGI}",
        "CreateNamespace:Name=LAST",
    )
    assert results(report) == ["deleted", "modified", "created", "created", "created"]
    assert [row.number for row in report.rows] == [2, 3, 4, 5, 6]
    assert WebApp.objects.get().description == "later"


# Bad lines


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"CreateApplication:NameSpace=USER,{WSGI}", "Name is left out"),
        (f"CreateApplication:Name=a,NameSpace=USER,{WSGI}", "Name: A name begins with"),
        (f"CreateApplication:Name=/a//b,NameSpace=USER,{WSGI}", "Name: "),
        (f"CreateApplication:Name=/a/../b,NameSpace=USER,{WSGI}", "Name: “.” and “..”"),
        (f"CreateApplication:Name=/ä,NameSpace=USER,{WSGI}", "Name: Letters without accents"),
        (f"CreateApplication:Name=/a b,NameSpace=USER,{WSGI}", "Name: "),
        (f"CreateApplication:Name=/a;}}{{,NameSpace=USER,{WSGI}", "Name: "),
        (f"CreateApplication:Name=/portal,NameSpace=USER,{WSGI}", "Stoa’s own"),
        (f"CreateApplication:Name=/-/x,NameSpace=USER,{WSGI}", "Stoa’s own"),
        (f"CreateApplication:Name=/{'a' * 64},NameSpace=USER,{WSGI}", "at most 64 characters"),
        (f"CreateApplication:Name=/a,Host=a;b,NameSpace=USER,{WSGI}", "Host: "),
        (f"CreateApplication:Name=/a,{WSGI}", "NameSpace is left out"),
        (f"CreateApplication:Name=/a,NameSpace=%SYS,{WSGI}", "NameSpace: %SYS is reserved"),
        (f"CreateApplication:Name=/a,NameSpace=../x,{WSGI}", "NameSpace: "),
        (f"CreateApplication:Name=/a,NameSpace={'A' * 65},{WSGI}", "NameSpace: "),
        (
            f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},WSGIAppLocation=apps/a",
            "WSGIAppLocation: Give the whole path",
        ),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},WSGIAppLocation=/etc", "WSGIAppLocation: "),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},WSGIAppLocation=/srv/../etc", "WSGIAppLocation: "),
        (
            f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},WSGIAppLocation=/bin/sh",
            "WSGIAppLocation: This is a file",
        ),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},WSGIAppLocation=/srv/{'a' * 256}", "at most 256"),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},Path=/proc/self", "Path: "),
        (
            f"CreateApplication:Name=/a,NameSpace=USER,{WSGI.replace('=app,', '=,')}",
            "WSGIAppName: Give the module",
        ),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI.replace('=app,', '=a b,')}", "WSGIAppName: "),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},WSGICallable=os.system('x')", "WSGICallable: "),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},WSGIType=3", "WSGIType: “3”"),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},WSGIDebug=yes", "WSGIDebug: “yes” is not 0 or 1"),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},ServeFiles=4", "ServeFiles: “4”"),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},ServeFilesTimeout=-1", "ServeFilesTimeout: “-1”"),
        (
            f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},ServeFilesTimeout=2147483647",
            "ServeFilesTimeout: ",
        ),
        (
            f"CreateApplication:Name=/a,NameSpace=USER,{WSGI.replace('64', '$$$Nobody')}",
            "AutheEnabled: “$$$Nobody”",
        ),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI.replace('64', '')}", "AutheEnabled: "),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},MatchRoles=a::", "MatchRoles: "),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},CorsAllowlist=evil;", "CorsAllowlist: "),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},CorsAllowlist=*", "CorsAllowlist: “*” together with"),
        (f"CreateApplication:Name=/a,NameSpace=USER,{WSGI},Description={'x' * 257}", "Description: "),
        (f"CreateApplication:Name=/a,Name=/b,NameSpace=USER,{WSGI}", "Name is given twice"),
        (f'CreateApplication:Name="/a,NameSpace=USER,{WSGI}', "never closed"),
        ("CreateNamespace:Name=1X", "Name: A namespace’s name"),
        ("CreateNamespace:", "Name is left out; every namespace has one."),
        ("CreateNamespace:Description=x", "Name is left out; every namespace has one."),
        ("DeleteApplication:", "Name is left out"),
        ("Rubbish", "This is no action"),
    ],
)
def test_a_bad_line_says_why_and_leaves_nothing_half_done(merge, line, words):
    good = f"CreateApplication:Name=/good,NameSpace=GOOD,{WSGI}"
    report = merge(line, good)
    assert results(report) == ["error", "created"]
    assert words in report.rows[0].words
    assert [webapp.name for webapp in WebApp.objects.all()] == ["/good"]
    assert [namespace.name for namespace in Namespace.objects.all()] == ["GOOD"]


def test_a_bad_modify_changes_nothing(merge):
    merge(f"CreateApplication:Name=/a,NameSpace=USER,{WSGI}")
    before = rows()
    report = merge("ModifyApplication:Name=/a,NameSpace=NEW,Description=x,ServeFiles=9")
    assert results(report) == ["error"]
    assert rows() == before


def test_a_namespace_has_one_default_application(merge):
    line = "CreateApplication:Name={},NameSpace=USER,IsNameSpaceDefault=1," + WSGI
    report = merge(line.format("/a"), line.format("/b"))
    assert results(report) == ["created", "error"]
    assert "/a is the default application of USER" in told(report)


def test_other_actions_are_named_as_skipped(merge):
    report = merge("CreateDatabase:Name=X", "Execute:Namespace=USER,Routine=x", "ModifyUser:Name=y")
    assert results(report) == ["skipped"] * 3


# The whole


def test_a_dry_run_reports_the_same_and_changes_nothing(merge, tmp_path):
    lines = [
        f"CreateApplication:Name=/a,NameSpace=NEW,{WSGI}",
        "CreateNamespace:Name=X",
        "DeleteApplication:/a",
        "?",
    ]
    before = rows()
    rehearsed = merge(*lines, dry_run=True)
    assert rows() == before
    assert not Change.counters()[0]
    assert merge(*lines) == rehearsed


def test_one_nudge_follows_however_many_lines_there_are(merge, monkeypatch, django_capture_on_commit_callbacks):
    lines = [f"CreateApplication:Name=/a{number},NameSpace=USER,{WSGI}" for number in range(5)]
    with django_capture_on_commit_callbacks() as callbacks:
        merge(*lines)
    assert callbacks == [control.nudge]
    with django_capture_on_commit_callbacks() as callbacks:
        merge(*lines, dry_run=True)
    assert callbacks == []


def test_a_thousand_lines_are_merged_in_two_seconds(merge):
    lines = [f"CreateApplication:Name=/m/{n},NameSpace=USER,WSGIAppLocation=/srv/{n},{WSGI}" for n in range(1000)]
    with Stopwatch() as watch:
        report = merge(*lines)
    assert set(results(report)) == {"created"}
    # A busy machine may take longer; a query more for each line would not go unseen.
    assert watch.there < 4, f"{watch.there:.1f} s"


def test_a_line_costs_few_queries(merge, django_assert_max_num_queries):
    lines = [f"CreateApplication:Name=/m/{n},NameSpace=USER,WSGIAppLocation=/srv/{n},{WSGI}" for n in range(50)]
    with django_assert_max_num_queries(50 * 6 + 20):
        merge(*lines)


# The command


def command(*paths: Path, **options: Any) -> str:
    out = io.StringIO()
    call_command("merge", *map(str, paths), stdout=out, **options)
    return out.getvalue()


def test_the_command_prints_a_report_for_each_file(tmp_path):
    text = command(*(mapped(tmp_path, name) for name in CREATED))
    assert [line for line in text.splitlines() if line.endswith(".cpf")] == [
        f"{tmp_path}/{name}.cpf" for name in CREATED
    ]
    assert "\x1b" not in text


def test_the_command_ends_with_1_when_a_line_is_an_error(tmp_path):
    path = tmp_path / "bad.cpf"
    path.write_text("[Actions]\nCreateNamespace:Name=1\nCreateNamespace:Name=B\n")
    with pytest.raises(CommandError) as caught:
        command(path)
    assert caught.value.returncode == 1
    assert Namespace.objects.get().name == "B"


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path):
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("merge", str(tmp_path / "absent.cpf"), str(mapped(tmp_path, "flask")), stdout=out)
    assert "absent.cpf: cannot be read: No such file or directory." in out.getvalue()
    assert WebApp.objects.get().name == "/flask"


def test_a_dry_run_of_the_command_says_so(tmp_path):
    assert "nothing was changed" in command(mapped(tmp_path, "flask"), dry_run=True)
    assert not WebApp.objects.exists()
