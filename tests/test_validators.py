from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from webapps import validators

GOOD_NAMES = ["/", "/a", "/csp/notes", "/csp/a.b/c_d/e~f/g-h", "/Portal2", "/portals", "/.hidden", "/..."]
BAD_NAMES = [
    "a",
    "//",
    "//a",
    "/a//b",
    "/a/",
    "/./a",
    "/a/..",
    "/a b",
    "/ä",
    "/a%2Fb",
    "/a;b",
    "/a{b}",
    "/a$b",
    "/a\n",
    "/a\x00",
    "/a\\b",
    '/a"b',
    "/portal",
    "/PORTAL/x",
    "/-",
    "/-/ns",
]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_it_takes_names_of_plain_segments(name: str) -> None:
    validators.validate_name(name)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_it_refuses_names_that_are_more_than_plain_segments_or_stoas_own(name: str) -> None:
    with pytest.raises(ValidationError):
        validators.validate_name(name)


def test_it_drops_one_trailing_slash_of_a_name() -> None:
    assert [validators.normal_name(name) for name in ("/a/", "/", " /a ")] == ["/a", "/", "/a"]


@pytest.mark.parametrize("host", ["shop.example.com", "localhost", "a-b.c", "10.0.0.1"])
def test_it_takes_host_names(host: str) -> None:
    validators.validate_host(host)


@pytest.mark.parametrize(
    "host", ["a:80", "http://a", "*.a", "a/b", "a b", "-a", "a..b", "a;b", "a\n", "é.com", "a_b", "[::1]"]
)
def test_it_refuses_what_is_no_host_name(host: str) -> None:
    with pytest.raises(ValidationError):
        validators.validate_host(host)


@pytest.mark.parametrize(
    ("written", "callable_name", "meant"),
    [
        ("app", "application", ("app", "application")),
        ("app.py", "app", ("app", "app")),
        ("app:create_app()", "application", ("app", "create_app()")),
        ("shop/app.wsgi", "application", ("shop/app.wsgi", "application")),
        ("app:", "app", ("app", "app")),
    ],
)
def test_it_understands_what_people_write(written: str, callable_name: str, meant: tuple[str, str]) -> None:
    assert validators.meant(written, callable_name) == meant


@pytest.mark.parametrize("name", ["app", "shop.wsgi", "myapp.wsgi", "sub/my-app.wsgi", "my-app.wsgi", "app.py"])
def test_it_takes_modules_and_scripts(name: str) -> None:
    validators.validate_app_name(name)


@pytest.mark.parametrize("name", ["/etc/passwd", "../app.wsgi", "a b", "app\n", "my-app", "a/b/", "", "1app"])
def test_it_refuses_what_is_neither_module_nor_script(name: str) -> None:
    with pytest.raises(ValidationError):
        validators.validate_app_name(name)


@pytest.mark.parametrize("name", ["application", "a.b", "create_app()", "create_app( )", "_app"])
def test_it_takes_callables_and_factories(name: str) -> None:
    validators.validate_callable(name)


@pytest.mark.parametrize("name", ["create_app(1)", "a b", "a.", "1a", "a()()", "", "a;b", "a\n"])
def test_it_refuses_what_is_no_callable(name: str) -> None:
    with pytest.raises(ValidationError):
        validators.validate_callable(name)


@pytest.mark.parametrize("name", ["USER", "%LIB", "A-B_1"])
def test_it_takes_namespaces(name: str) -> None:
    validators.validate_namespace_name(name)


@pytest.mark.parametrize("name", ["%SYS", "user", "1A", "A B", "A/B", "", "A\n"])
def test_it_refuses_what_is_no_namespace(name: str) -> None:
    with pytest.raises(ValidationError):
        validators.validate_namespace_name(name)


def test_it_takes_a_directory_below_csp_or_elsewhere(stoa_home: Path) -> None:
    for directory in (stoa_home / "csp", stoa_home / "csp" / "a", Path("/srv/a"), Path("/etcetera")):
        validators.validate_directory(str(directory))


@pytest.mark.parametrize(
    "directory",
    ["/", "//", "/.", "/etc", "/etc/a", "/proc/1", "/sys", "/dev/shm", "relative", "/a\nb", "/srv/../etc"],
)
def test_it_refuses_directories_of_the_system(directory: str) -> None:
    with pytest.raises(ValidationError):
        validators.validate_directory(directory)


def test_it_refuses_stoas_own_directories(stoa_home: Path, settings: Any) -> None:
    own = [stoa_home, stoa_home / "log", stoa_home / "csp" / ".." / "run", stoa_home.parent]
    for directory in [*own, settings.BASE_DIR, settings.BASE_DIR / "webapps", settings.BASE_DIR.parent]:
        with pytest.raises(ValidationError):
            validators.validate_directory(str(directory))


def test_it_looks_through_links(stoa_home: Path) -> None:
    (stoa_home / "csp").mkdir()
    (stoa_home / "csp" / "link").symlink_to("/etc")
    with pytest.raises(ValidationError, match="operating system"):
        validators.validate_directory(str(stoa_home / "csp" / "link"))


@pytest.mark.parametrize("value", [":%ALL", "%ALL", "A:B:C,D:E", ":%All, X:Y", ""])
def test_it_takes_matching_roles(value: str) -> None:
    validators.validate_match_roles(value)


@pytest.mark.parametrize("value", ["A:", "A:;", "A:B\n", "{x}"])
def test_it_refuses_what_are_no_roles(value: str) -> None:
    with pytest.raises(ValidationError):
        validators.validate_match_roles(value)


def test_it_takes_origins_only() -> None:
    validators.validate_origins("*, https://a.example:8443 http://b")
    for value in ("a.example", "https://a/b", "javascript:1"):
        with pytest.raises(ValidationError):
            validators.validate_origins(value)


@pytest.mark.parametrize("value", ["a\x00b", "a\x1bb", "a\u2028b", "a\x85b", "a\ud800b"])
def test_it_refuses_control_characters(value: str) -> None:
    with pytest.raises(ValidationError, match="not allowed here"):
        validators.validate_text(value)


def test_it_describes_an_error_in_one_line() -> None:
    error = ValidationError({"name": ["Too long.", "Taken."], "__all__": ["Both."]})
    assert validators.describe(error) == "name: Too long. Taken.; Both."
