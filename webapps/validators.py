"""The rules of ``fields.md`` for single values: a ValidationError names the cause and the next move."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError

SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")
NAMESPACE = re.compile(r"%?[A-Z][A-Z0-9_-]*")
HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
CALLABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(\(\s*\))?", re.ASCII)
MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
ROLE = re.compile(r"%?[\w. -]+")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
SURROGATE = re.compile(r"[\ud800-\udfff]")

#: The first segments that are Stoa's own, in any case.
RESERVED_NAMES = ("portal", "-")
RESERVED_NAMESPACES = ("%SYS",)
SYSTEM_DIRECTORIES = ("/etc", "/proc", "/sys", "/dev")


def validate_text(value: str) -> None:
    """Refuse control characters: they could forge a log line or a directive."""
    _refuse(CONTROL, value)


def validate_lines(value: str) -> None:
    """Refuse control characters but the ends of lines."""
    _refuse(CONTROL_BUT_LINES, value)


def _refuse(pattern: re.Pattern[str], value: str) -> None:
    if found := pattern.search(value) or SURROGATE.search(value):
        raise ValidationError(
            "The character %(code)s is not allowed here. Remove it.",
            code="control",
            params={"code": f"U+{ord(found[0]):04X}"},
        )


def normal_name(value: str) -> str:
    """Drop one trailing slash of a name, ``/`` alone excepted."""
    value = value.strip(" ")
    return value[:-1] if len(value) > 1 and value.endswith("/") else value


def validate_name(value: str) -> None:
    """Check the path that an application answers to."""
    if not value.startswith("/"):
        raise ValidationError("A name begins with “/”, for example /csp/notes.", code="slash")
    if value == "/":
        return
    for segment in value[1:].split("/"):
        _validate_segment(segment)
    if value[1:].split("/")[0].lower() in RESERVED_NAMES:
        raise ValidationError("/portal and /- are Stoa’s own. Choose another name.", code="reserved")


def _validate_segment(segment: str) -> None:
    if not segment:
        raise ValidationError("A name has one slash between its parts and none at its end.", code="empty")
    if segment in (".", ".."):
        raise ValidationError("“.” and “..” cannot be parts of a name.", code="dots")
    if not SEGMENT.fullmatch(segment):
        raise ValidationError(
            "Letters without accents, digits and “. _ ~ -” make up the parts of a name; "
            "“%(segment)s” has something else.",
            code="characters",
            params={"segment": CONTROL.sub("�", segment)},
        )


def validate_host(value: str) -> None:
    """Check a host name: no port, no scheme, no wildcard."""
    labels = value.split(".")
    if len(value) > 253 or not all(HOST_LABEL.fullmatch(label) for label in labels):
        raise ValidationError(
            "Give a host name such as shop.example.com, without scheme, port or path. Blank: any host.",
            code="host",
        )


def validate_namespace_name(value: str) -> None:
    """Check a namespace's name, in upper case."""
    if not NAMESPACE.fullmatch(value):
        raise ValidationError(
            "A namespace’s name is a letter, then letters, digits, “_” and “-”, for example SALES.",
            code="namespace",
        )
    if value in RESERVED_NAMESPACES:
        raise ValidationError("%(name)s is reserved. Choose another name.", code="reserved", params={"name": value})


def meant(app_name: str, callable_name: str) -> tuple[str, str]:
    """Understand ``app.py`` as ``app`` and ``app:create_app()`` as module and callable."""
    app_name = app_name.strip()
    if ":" in app_name:
        app_name, _, named = app_name.partition(":")
        callable_name = named.strip() or callable_name
    if app_name.endswith(".py") and "/" not in app_name:
        app_name = app_name[: -len(".py")]
    return app_name, callable_name.strip()


def validate_app_name(value: str) -> None:
    """Check Application Name: a module, dotted allowed, or a script file by its path in the directory."""
    validate_text(value)
    module, _ = meant(value, "")
    if MODULE.fullmatch(module):
        return
    path = Path(module)
    if path.is_absolute() or ".." in path.parts or not path.suffix or module.endswith("/"):
        raise ValidationError(
            "Give a module without “.py” such as app or shop.wsgi, or a script file such as myapp.wsgi "
            "by its path in the directory.",
            code="module",
        )


def validate_callable(value: str) -> None:
    """Check Callable Name: an attribute, dotted allowed, or a factory with its parentheses."""
    if not CALLABLE.fullmatch(value):
        raise ValidationError(
            "Give a callable’s name such as application, or a factory with its parentheses: create_app().",
            code="callable",
        )


def validate_directory(value: str) -> None:
    """Refuse directories that no application may live in or serve from; whether it exists is not asked."""
    validate_text(value)
    if not os.path.isabs(value):
        raise ValidationError("Give the whole path, beginning with “/”.", code="relative")
    for path in {os.path.normpath(value), os.path.realpath(value)}:
        if why := _why_forbidden(Path("/" + path.lstrip("/"))):
            raise ValidationError(
                "%(why)s. Choose another directory, for example below %(csp)s.",
                code="forbidden",
                params={"why": why, "csp": settings.STOA_HOME / "csp"},
            )


def _why_forbidden(path: Path) -> str:
    """Say why a path is forbidden, "" when it is not."""
    home, checkout = settings.STOA_HOME, settings.BASE_DIR
    if path == Path("/"):
        return "This is the root of the file system, which has everything in it"
    for system in SYSTEM_DIRECTORIES:
        if path.is_relative_to(system):
            return f"{system} belongs to the operating system"
    for place in (home, Path(os.path.realpath(home))):
        if path.is_relative_to(place / "csp"):
            return ""
        if path.is_relative_to(place):
            return "This is where Stoa keeps its own data; of STOA_HOME only csp/ is for applications"
        if place.is_relative_to(path):
            return "Stoa’s own data lies below this directory"
    if path.is_relative_to(checkout):
        return "This is Stoa’s own program"
    if checkout.is_relative_to(path):
        return "Stoa’s own program lies below this directory"
    return ""


def validate_directories(value: str) -> None:
    """Check directories that stand one to a line."""
    for line in lines(value):
        validate_directory(line)


def lines(value: str) -> list[str]:
    """Split text into its lines, without blank ones."""
    return [line.strip() for line in re.split(r"[\r\n]+", value) if line.strip()]


def validate_database_url(value: str) -> None:
    """Check that a database URL names a scheme."""
    validate_text(value)
    if not re.match(r"[a-z][a-z0-9+.-]*://", value):
        raise ValidationError(
            "Give a URL such as postgresql://user:password@host/database or sqlite:////absolute/path.",
            code="database_url",
        )


def validate_environment(value: object) -> None:
    """Check ``{name: {"value": text, "secret": bool}}``."""
    if not isinstance(value, dict):
        raise ValidationError("Environment variables are names with values.", code="environment")
    for name, entry in value.items():
        validate_variable(name)
        if not isinstance(entry, dict) or not isinstance(entry.get("value"), str):
            raise ValidationError("%(name)s has no value.", code="environment", params={"name": name})
        validate_lines(entry["value"])


def validate_variable(name: str) -> None:
    """Check the name of an environment variable."""
    if not VARIABLE.fullmatch(name):
        raise ValidationError(
            "“%(name)s” is no name of an environment variable: letters, digits and “_”, and no digit first.",
            code="variable",
            params={"name": CONTROL.sub("�", name)},
        )


def validate_health_path(value: str) -> None:
    """Check the path below the name that tells whether the application is well."""
    if not re.fullmatch(r"/[A-Za-z0-9._~/%?=&-]*", value):
        raise ValidationError("Give a path below the name that begins with “/”, for example /health.", code="health")


def validate_health_status(value: int) -> None:
    """Check the status that the health path has to answer; 0 stands for 200 to 399."""
    if value and not 200 <= value <= 599:
        raise ValidationError("Give 0 (any of 200 to 399), or a status from 200 to 599.", code="health")


def validate_match_roles(value: str) -> None:
    """Check ``Match:Target1:Target2,Match2:Target3``; a blank match role means everybody."""
    validate_text(value)
    for entry in filter(None, (part.strip() for part in value.split(","))):
        roles = [role.strip() for role in entry.split(":")]
        if not all(ROLE.fullmatch(role) for role in roles[1:]) or not ROLE.fullmatch(roles[0] or "x"):
            raise ValidationError(
                "“%(entry)s” is not understood. Write Match:Target, with commas between several; "
                ":%%ALL grants %%ALL to everyone.",
                code="roles",
                params={"entry": entry},
            )


def validate_origins(value: str) -> None:
    """Check the origins of Cross-Origin Settings: ``*`` or scheme, host and port."""
    validate_text(value)
    for origin in items(value):
        if origin != "*" and not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?", origin):
            raise ValidationError(
                "“%(origin)s” is no origin. Write scheme and host such as https://shop.example.com.",
                code="origin",
                params={"origin": origin},
            )


def validate_header_names(value: str) -> None:
    """Check the header names of Cross-Origin Settings."""
    validate_text(value)
    for name in items(value):
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise ValidationError("“%(name)s” is no name of a header.", code="header", params={"name": name})


def items(value: str) -> list[str]:
    """Split a list that has commas or blanks between its items."""
    return [item for item in re.split(r"[,\s]+", value) if item]


def describe(error: ValidationError) -> str:
    """Say a ValidationError in one line, with the fields' names in front."""
    if hasattr(error, "message_dict"):
        return "; ".join(_with_field(name, messages) for name, messages in error.message_dict.items())
    return " ".join(error.messages)


def _with_field(name: str, messages: Iterable[str]) -> str:
    joined = " ".join(messages)
    return joined if name == "__all__" else f"{name}: {joined}"
