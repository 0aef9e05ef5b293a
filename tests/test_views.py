"""The pages of web applications, tried as an administrator, a colleague without the right, and a stranger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from tests.fakes import FakeSupervisor
from tests.test_forms import filled, variables
from webapps.models import Namespace, WebApp
from webapps.runtime import logs

pytestmark = pytest.mark.django_db

PAGES = ["list", "create", "namespaces", "namespace_create", "system"]
PAGES_OF_ONE = ["detail", "edit", "delete", "install"]
ACTIONS = ["enable", "disable", "reload", "protocol", "delete", "install"]


def text(response: Any) -> str:
    """Return a page's text, after a look at its status."""
    assert isinstance(response, HttpResponse)
    assert response.status_code == 200, response
    return response.content.decode()


def said(response: Any) -> str:
    """Return what the response leaves to be said on the next page."""
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def running(**more: Any) -> dict[str, Any]:
    """Return what a supervisor says of an application that runs."""
    fact = {"state": "running", "reason": "", "detail": "", "remedy": "", "generation": 1, "pids": [77]}
    return {**fact, "since": "2026-11-21T08:19:01.123Z", **more}


def addresses(webapp: WebApp, namespace: Namespace) -> list[str]:
    """List every page."""
    of_one = [reverse(f"webapps:{name}", args=[webapp.pk]) for name in PAGES_OF_ONE]
    of_namespace = [reverse(f"webapps:namespace_{name}", args=[namespace.name]) for name in ("edit", "delete")]
    logs_ = [reverse("webapps:log", args=[which]) for which in ("applications", "stoa")]
    return [reverse(f"webapps:{name}") for name in PAGES] + of_one + of_namespace + logs_


def test_it_shows_every_page_to_an_administrator(administrator: Client, webapp: WebApp, namespace: Namespace) -> None:
    for address in addresses(webapp, namespace):
        assert "<h1" in text(administrator.get(address)), address


def test_it_tells_a_colleague_what_he_lacks(colleague: Client, webapp: WebApp, namespace: Namespace) -> None:
    for address in addresses(webapp, namespace):
        response = colleague.get(address)
        assert response.status_code == 403, address
        assert "Ask an administrator for a role that may" in response.content.decode()


def test_it_sends_a_stranger_to_sign_in(stranger: Client, webapp: WebApp, namespace: Namespace) -> None:
    for address in addresses(webapp, namespace):
        response = stranger.get(address)
        assert response.status_code == 302, address
        assert response["Location"].startswith("/portal/login?next=/portal/")


def test_it_lets_nobody_else_press_a_button(colleague: Client, stranger: Client, webapp: WebApp) -> None:
    for action in ACTIONS:
        address = reverse(f"webapps:{action}", args=[webapp.pk])
        assert colleague.post(address).status_code == 403
        assert stranger.post(address).status_code == 302
    assert WebApp.objects.get().revision == 1


def test_it_presses_no_button_by_get(administrator: Client, webapp: WebApp) -> None:
    for action in ("enable", "disable", "reload", "protocol"):
        assert administrator.get(reverse(f"webapps:{action}", args=[webapp.pk])).status_code == 405


def test_it_takes_no_form_from_elsewhere(administrator: Client, webapp: WebApp) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = administrator.cookies
    response = strict.post(reverse("webapps:delete", args=[webapp.pk]))
    assert response.status_code == 403
    assert "too old, or came from elsewhere" in response.content.decode()
    assert WebApp.objects.exists()


def test_it_welcomes_whoever_has_nothing_yet(administrator: Client, stoa_home: Path) -> None:
    assert "Create Namespace" in text(administrator.get("/portal/"))
    Namespace.objects.create(name="USER")
    page = text(administrator.get("/portal/"))
    assert "No web applications yet" in page
    assert reverse("webapps:create") in page


def test_it_lists_each_application_with_its_state(
    administrator: Client, webapp: WebApp, supervisor: FakeSupervisor, namespace: Namespace
) -> None:
    WebApp.objects.create(name="/shop", host="a.example", namespace=namespace, authe_enabled=32, enabled=False)
    supervisor.facts = {str(webapp.pk): running(state="failed", reason="app raised <NameError>")}
    page = text(administrator.get("/portal/"))
    assert "app raised &lt;NameError&gt;" in page
    assert "Failed" in page
    assert "Disabled" in page
    assert "Open to all" in page
    assert "Password" in page
    assert 'href="http://testserver:8000/csp/notes/"' in page
    assert "not running" not in page


def test_it_asks_as_little_for_many_applications_as_for_one(
    administrator: Client,
    webapp: WebApp,
    supervisor: FakeSupervisor,
    namespace: Namespace,
    django_assert_max_num_queries: Any,
) -> None:
    many = [WebApp(name=f"/many/{number:04}", namespace=namespace, app_name="app") for number in range(999)]
    WebApp.objects.bulk_create(many)
    with django_assert_max_num_queries(8):
        page = text(administrator.get("/portal/"))
    assert len(supervisor.asked) == 1
    assert "1000 applications" in page
    assert "Page 1 of 10" in page
    assert "/many/0998" in text(administrator.get("/portal/?page=10"))


def test_it_filters_by_text(administrator: Client, webapp: WebApp, namespace: Namespace) -> None:
    WebApp.objects.create(name="/shop", host="b.example", namespace=namespace, description="Sells things")
    for query in ("shop", "b.example/sh", "SELLS user"):
        page = text(administrator.get("/portal/", {"q": query}))
        assert "/shop" in page
        assert "/csp/notes" not in page
    assert "Nothing matches" in text(administrator.get("/portal/", {"q": "<b>zzz"}))


def test_it_gives_the_rows_alone_to_the_script(administrator: Client, webapp: WebApp) -> None:
    page = text(administrator.get("/portal/", {"part": "rows"}))
    assert "/csp/notes" in page
    assert "<html" not in page


def test_it_says_when_the_supervisor_does_not_run(administrator: Client, webapp: WebApp) -> None:
    for address in ("/portal/", reverse("webapps:detail", args=[webapp.pk]), "/portal/system"):
        page = text(administrator.get(address))
        assert "supervisor is not running" in page
        assert "script/serve" in page
    assert "Not known" in text(administrator.get("/portal/"))


def test_it_saves_a_new_application_and_says_where_it_is(
    administrator: Client, namespace: Namespace, directory: Path, supervisor: FakeSupervisor
) -> None:
    response = administrator.post(reverse("webapps:create"), filled(namespace).dict())
    webapp = WebApp.objects.get()
    assert response["Location"] == reverse("webapps:detail", args=[webapp.pk])
    page = text(administrator.get(response["Location"]))
    assert 'Its address is <a href="http://testserver:8000/csp/notes/">' in page


def test_it_saves_while_the_supervisor_is_down(administrator: Client, namespace: Namespace, directory: Path) -> None:
    response = administrator.post(reverse("webapps:create"), filled(namespace).dict())
    assert WebApp.objects.count() == 1
    assert "it will be live at" in said(response)


def test_it_shows_what_is_wrong_and_saves_nothing(administrator: Client, namespace: Namespace, stoa_home: Path) -> None:
    page = text(administrator.post(reverse("webapps:create"), filled(namespace).dict()))
    assert "Nothing is saved yet" in page
    assert "There is no directory" in page
    assert "Make this directory with a Hello application" in page
    assert not WebApp.objects.exists()


def test_it_makes_the_directory_when_asked(administrator: Client, namespace: Namespace, stoa_home: Path) -> None:
    data = filled(namespace, make_directory="on").dict()
    response = administrator.post(reverse("webapps:create"), data)
    assert "Made " in said(response)
    assert (stoa_home / "csp" / "notes" / "app.py").is_file()


def test_it_fills_the_form_from_another_application(administrator: Client, webapp: WebApp) -> None:
    webapp.description = "To be copied"
    webapp.environment = {"KEY": {"value": "hunter2", "secret": True}}
    webapp.save()
    page = text(administrator.get(reverse("webapps:create"), {"copy": webapp.pk}))
    assert "Copied from /csp/notes" in page
    assert "To be copied" in page
    assert "hunter2" not in page
    assert "Copied from" not in text(administrator.get(reverse("webapps:create"), {"copy": "x1"}))


def test_it_starts_a_new_generation_with_every_save(
    administrator: Client, webapp: WebApp, namespace: Namespace
) -> None:
    data = filled(namespace, directory=webapp.directory).dict()
    for _ in range(2):
        administrator.post(reverse("webapps:edit", args=[webapp.pk]), data)
    assert WebApp.objects.get().revision == 3


def test_it_warns_that_a_renamed_application_has_another_address(
    administrator: Client, webapp: WebApp, namespace: Namespace
) -> None:
    page = text(administrator.get(reverse("webapps:edit", args=[webapp.pk])))
    assert "changes the address" in page
    data = filled(namespace, name="/new", directory=webapp.directory).dict()
    response = administrator.post(reverse("webapps:edit", args=[webapp.pk]), data)
    assert "/csp/notes answers 404 from now on" in said(response)


def test_it_never_sends_a_secret_to_the_browser(administrator: Client, webapp: WebApp) -> None:
    webapp.environment = {"KEY": {"value": "hunter2", "secret": True}}
    webapp.save()
    webapp.namespace.environment = {"KEY": {"value": "hunter2", "secret": True}}
    webapp.namespace.save()
    for address in addresses(webapp, webapp.namespace):
        assert "hunter2" not in text(administrator.get(address))


def test_it_shows_the_traceback_the_lines_and_the_remedy(
    administrator: Client, webapp: WebApp, supervisor: FakeSupervisor, stoa_home: Path
) -> None:
    (stoa_home / "log").mkdir()
    prefix = logs.webapp_prefix("/csp/notes", 1, "out")
    lines = logs.format_lines("2026-11-21T08:19:01.123Z", prefix, ["printed <b>this</b>"])
    (stoa_home / "log" / "WSGI.log").write_bytes(lines)
    supervisor.facts = {
        str(webapp.pk): running(
            reason="generation 2 did not start: it is ASGI",
            detail="Traceback <most recent>",
            remedy="protocol:asgi",
        )
    }
    page = text(administrator.get(reverse("webapps:detail", args=[webapp.pk]), {"part": "status"}))
    assert "Running" in page
    assert "generation 2 did not start" in page
    assert "Traceback &lt;most recent&gt;" in page
    assert "printed &lt;b&gt;this&lt;/b&gt;" in page
    assert "Set Python Protocol Type to asgi" in page
    assert "2026-11-21 08:19:01" in page
    assert "<html" not in page


def test_it_sets_the_protocol_with_one_click(administrator: Client, webapp: WebApp) -> None:
    address = reverse("webapps:protocol", args=[webapp.pk])
    administrator.post(address, {"protocol": "asgi"})
    assert WebApp.objects.get().protocol == "asgi"
    administrator.post(address, {"protocol": "nonsense"})
    assert WebApp.objects.get().protocol == "asgi"


def test_it_says_why_an_application_was_begun_anew(
    administrator: Client, webapp: WebApp, supervisor: FakeSupervisor
) -> None:
    supervisor.facts = {str(webapp.pk): running(note="Begun anew: process 7: recycled after 1003 requests.")}
    page = text(administrator.get(reverse("webapps:detail", args=[webapp.pk])))
    assert "Begun anew: process 7: recycled after 1003 requests." in page


def test_it_says_what_nginx_refuses(administrator: Client, webapp: WebApp, supervisor: FakeSupervisor) -> None:
    supervisor.facts = {str(webapp.pk): running()}
    supervisor.front = {"error": "", "refused": {str(webapp.pk): "invalid path"}}
    assert "The front refuses its route: invalid path" in text(administrator.get("/portal/"))


def test_it_warns_of_debug_where_everybody_may_enter(administrator: Client, webapp: WebApp) -> None:
    webapp.debug = True
    webapp.save()
    page = text(administrator.get(reverse("webapps:detail", args=[webapp.pk])))
    assert "DEBUG is on and the application is open to all" in page


def test_it_disables_enables_and_reloads(administrator: Client, webapp: WebApp, supervisor: FakeSupervisor) -> None:
    administrator.post(reverse("webapps:disable", args=[webapp.pk]))
    assert not WebApp.objects.get().enabled
    administrator.post(reverse("webapps:enable", args=[webapp.pk]))
    assert WebApp.objects.get().enabled
    response = administrator.post(reverse("webapps:reload", args=[webapp.pk]))
    assert "starts anew" in said(response)
    assert WebApp.objects.get().revision == 4


def test_it_asks_before_it_deletes_and_leaves_the_files(administrator: Client, webapp: WebApp, directory: Path) -> None:
    address = reverse("webapps:delete", args=[webapp.pk])
    assert "The files stay" in text(administrator.get(address))
    assert WebApp.objects.exists()
    response = administrator.post(address)
    assert f"Its files stay in {directory}" in said(response)
    assert not WebApp.objects.exists()
    assert (directory / "app.py").exists()
    assert administrator.get(address).status_code == 404


def test_it_has_the_requirements_installed(
    administrator: Client, webapp: WebApp, supervisor: FakeSupervisor, directory: Path
) -> None:
    address = reverse("webapps:install", args=[webapp.pk])
    assert "There is no <code>" in text(administrator.get(address))
    assert "There is no " in said(administrator.post(address))
    (directory / "requirements.txt").write_text("Flask\n")
    WebApp.objects.create(name="/off", namespace=webapp.namespace, enabled=False)
    administrator.post(address)
    assert supervisor.asked[-1] == {
        "do": "install",
        "id": webapp.pk,
        "label": "/csp/notes",
        "namespace": "USER",
        "requirements": str(directory / "requirements.txt"),
        "labels": ["/csp/notes", "/off"],
    }
    supervisor.install_answer = {"error": "an installation is under way"}
    assert "under way" in said(administrator.post(address))


def test_it_shows_how_the_installation_goes(
    administrator: Client, webapp: WebApp, stoa_home: Path, directory: Path
) -> None:
    place = stoa_home / "namespaces" / "USER" / "install"
    place.mkdir(parents=True)
    ended = '"started": "2026-11-21T08:00:00Z", "ended": "2026-11-21T08:01:00Z"'
    (place / "json").write_text(f'{{"state": "failed", "label": "/a", {ended}, "message": "No such thing"}}')
    (place / "log").write_text("Resolving <nothing>\n")
    page = text(administrator.get(reverse("webapps:install", args=[webapp.pk]), {"part": "install"}))
    assert "Failed" in page
    assert "No such thing" in page
    assert "Resolving &lt;nothing&gt;" in page
    assert "<html" not in page


def test_it_creates_edits_and_deletes_namespaces(administrator: Client, stoa_home: Path) -> None:
    assert "No namespaces yet" in text(administrator.get("/portal/namespaces/"))
    data: dict[str, Any] = {"name": "sales", **variables(("KEY", "hunter2", True))}
    administrator.post(reverse("webapps:namespace_create"), data)
    assert Namespace.objects.get().environment["KEY"] == {"value": "hunter2", "secret": True}
    address = reverse("webapps:namespace_edit", args=["SALES"])
    administrator.post(address, {"description": "Ours", **variables(("KEY", "", True))})
    namespace = Namespace.objects.get()
    assert (namespace.name, namespace.description) == ("SALES", "Ours")
    assert namespace.environment["KEY"]["value"] == "hunter2"
    administrator.post(reverse("webapps:namespace_delete", args=["SALES"]))
    assert not Namespace.objects.exists()


def test_it_keeps_a_namespace_while_applications_are_in_it(administrator: Client, webapp: WebApp) -> None:
    address = reverse("webapps:namespace_delete", args=["USER"])
    page = text(administrator.get(address))
    assert "/csp/notes" in page
    assert "cannot be deleted yet" in page
    administrator.post(address)
    assert Namespace.objects.exists()


def test_hosted_codes_words_steer_neither_a_page_nor_a_terminal(
    administrator: Client, webapp: WebApp, supervisor: FakeSupervisor
) -> None:
    supervisor.facts = {str(webapp.pk): running(state="failed", reason="no\x1b[2J\u202emodule", detail="a\x1bb\nc")}
    for address in ("/portal/", reverse("webapps:detail", args=[webapp.pk])):
        page = text(administrator.get(address))
        assert "\x1b" not in page and "\u202e" not in page
        assert "no\\x1b[2J\\u202emodule" in page


def test_it_shows_the_system(administrator: Client, webapp: WebApp, supervisor: FakeSupervisor) -> None:
    page = text(administrator.get("/portal/system"))
    assert "4321" in page
    assert "nginx" in page
    assert "TLS library of nginx</dt><dd>OpenSSL 3." in page
    assert "SQLite" in page


def test_it_has_no_script_or_style_within_a_page(administrator: Client, webapp: WebApp, namespace: Namespace) -> None:
    for address in addresses(webapp, namespace):
        page = text(administrator.get(address))
        assert " style=" not in page, address
        assert "<style" not in page, address
        assert "<script>" not in page, address
        assert " onclick" not in page, address
