"""The properties of an application's line: which field each is, how it is read, what is worth a warning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError

from webapps import directories, validators
from webapps.choices import AVAILABLE, OFFERED_BITS, Kind
from webapps.models import WebApp

from .parser import AUTHE_MACROS, parse_bits, parse_number, shown

WSGI_CLASS = "%SYS.Python.WSGI"
PUBLIC = 64

#: Properties that say which application is meant, or what it is, and have code of their own.
APART = ("Name", "Host", "NameSpace", "DispatchClass")

#: What IRIS has for other kinds of applications (session and CSP settings): kept as given, unremarked.
KEPT = (
    *("Timeout", "UseCookies", "CookiePath", "SessionScope", "UserCookieScope", "EventClass", "Recurse"),
    *("AutoCompile", "LockCSPName", "Package", "SuperClass", "PermittedClasses", "LoginPage"),
    *("ChangePasswordPage", "ErrorPage", "CSPZENEnabled", "DeepSeeEnabled", "iKnowEnabled"),
    *("InbndWebServicesEnabled", "JWTAuthEnabled", "JWTAccessTokenTimeout", "JWTRefreshTokenTimeout"),
    *("RedirectEmptyPath", "TwoFactorEnabled", "TraceEnabled", "Type"),
)

Reader = Callable[[str, str], Any]


def _text(_name: str, value: str) -> str:
    return value


def _flag(name: str, value: str) -> bool:
    return bool(parse_number(name, value, 1))


def _serve_files(name: str, value: str) -> int:
    return parse_number(name, value, 3)


def _protocol_type(name: str, value: str) -> int:
    return parse_number(name, value, 2) or 1


def _bits(_name: str, value: str) -> int:
    return parse_bits(value)


#: Property -> field of the model, and how its text is read.
FIELDS: Mapping[str, tuple[str, Reader]] = {
    "Description": ("description", _text),
    "IsNameSpaceDefault": ("is_namespace_default", _flag),
    "Enabled": ("enabled", _flag),
    "WSGIAppName": ("app_name", _text),
    "WSGICallable": ("callable_name", _text),
    "WSGIAppLocation": ("directory", _text),
    "WSGIType": ("protocol_type", _protocol_type),
    "WSGIDebug": ("debug", _flag),
    "Resource": ("resource", _text),
    "GroupById": ("group_by_id", _text),
    "AutheEnabled": ("authe_enabled", _bits),
    "MatchRoles": ("match_roles", _text),
    "CSRFToken": ("csrf_token", _flag),
    "CorsAllowlist": ("cors_allowlist", _text),
    "CorsHeadersList": ("cors_headers", _text),
    "CorsCredentialsAllowed": ("cors_credentials", _flag),
    "ServeFiles": ("serve_files", _serve_files),
    "ServeFilesTimeout": ("serve_files_timeout", parse_number),
    "Path": ("path", _text),
}
_CANONICAL = {name.lower(): name for name in (*APART, *FIELDS, *KEPT)}
_PROPERTY_OF = {attribute: name for name, (attribute, _) in FIELDS.items()} | {
    "name": "Name",
    "host": "Host",
    "namespace": "NameSpace",
    "namespace_id": "NameSpace",
    "kind": "DispatchClass",
}


@dataclass(frozen=True)
class Given:
    """What a line gives: values by field, what is only kept, and all of it as text by its canonical name."""

    text: Mapping[str, str]
    values: Mapping[str, Any] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.text

    @property
    def dispatch_class(self) -> str | None:
        """The class as written, "" where it is given and blank, None where it is left out."""
        return self.text.get("DispatchClass")

    @property
    def is_wsgi(self) -> bool:
        """Whether the class is the one that runs Python."""
        return (self.dispatch_class or "").lower() == WSGI_CLASS.lower()

    @property
    def strange_class(self) -> str:
        """The class, where it is none that Stoa runs."""
        return "" if self.is_wsgi else self.dispatch_class or ""


def read(properties: Mapping[str, str]) -> Given:
    """Read a line's properties, whatever the case of their names. Raises BadValue."""
    text = {_CANONICAL.get(name.lower(), name): value for name, value in properties.items()}
    values = {FIELDS[name][0]: FIELDS[name][1](name, value) for name, value in text.items() if name in FIELDS}
    kept = {name: value for name, value in text.items() if name not in FIELDS and name not in APART}
    return Given(text, values, kept)


def canonical(properties: Mapping[str, str]) -> Given:
    """Name a line's properties as IRIS does, without reading their values."""
    return Given({_CANONICAL.get(name.lower(), name): value for name, value in properties.items()})


def keep(properties: Mapping[str, str], kept: Mapping[str, str]) -> dict[str, str]:
    """Put what a line gives over what was kept, whatever the case of the names."""
    fresh = {name.lower() for name in kept}
    return {name: value for name, value in properties.items() if name.lower() not in fresh} | dict(kept)


def names_of(attributes: Iterable[str]) -> str:
    """Name fields of the model as a merge file does, with commas between them."""
    return ", ".join(_PROPERTY_OF.get(attribute, attribute) for attribute in attributes)


def describe(error: ValidationError) -> str:
    """Say a ValidationError in one line, with the properties' names in front."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    return " ".join(_named(name, messages) for name, messages in error.message_dict.items())


def _named(attribute: str, messages: Iterable[str]) -> str:
    words = " ".join(messages)
    name = _PROPERTY_OF.get(attribute, attribute)
    return words if attribute == "__all__" else f"{name}: {words}"


def warnings(webapp: WebApp, given: Given, *, new: bool) -> tuple[str, ...]:
    """Say what a person should know of a line that was taken."""
    return (
        *_authentication(webapp, given, new),
        *(_roles(given.text["MatchRoles"]) if "MatchRoles" in given else ()),
        *_directories(webapp, given, new),
        *_module(webapp, given, new),
        *_unknown(given),
    )


def _authentication(webapp: WebApp, given: Given, new: bool) -> Iterator[str]:
    bits = webapp.authe_enabled
    yield from _without_asking(webapp, given, new)
    if "AutheEnabled" not in given:
        return
    if bits & ~OFFERED_BITS:
        yield f"AutheEnabled: {_bit_names(bits & ~OFFERED_BITS)} kept, but not offered for applications."
    if not bits & OFFERED_BITS:
        yield "AutheEnabled allows no method: nobody can enter."


def _without_asking(webapp: WebApp, given: Given, new: bool) -> Iterator[str]:
    """Say that nobody is asked who he is: the application is public, or closed where it requires a resource."""
    left_out = "AutheEnabled is left out: " if new and "AutheEnabled" not in given else ""
    if webapp.resource and webapp.authe_enabled & AVAILABLE == PUBLIC:
        if left_out or "AutheEnabled" in given or "Resource" in given:
            yield f"{left_out or 'AutheEnabled: '}nobody is asked who he is, and with a Resource nobody can enter."
    elif left_out:
        yield f"{left_out}the application is public."


def _bit_names(bits: int) -> str:
    macros = {bit: f" ($$${name})" for name, bit in AUTHE_MACROS.items()}
    singles = (1 << at for at in range(bits.bit_length()) if bits >> at & 1)
    return ", ".join(f"{bit}{macros.get(bit, '')}" for bit in singles)


def _roles(text: str) -> Iterator[str]:
    for entry in filter(None, (part.strip() for part in text.split(","))):
        match, *targets = (role.strip() for role in entry.split(":"))
        if not targets:
            yield f"MatchRoles: {shown(entry)} has no target and grants nothing; :{match} would, to everyone."
        elif not match and "%ALL" in (target.upper() for target in targets):
            yield f"MatchRoles: {shown(entry)} grants everything to everyone in the application."


def _directories(webapp: WebApp, given: Given, new: bool) -> Iterator[str]:
    if webapp.kind == Kind.WSGI and (new or "WSGIAppLocation" in given):
        yield from _missing("WSGIAppLocation", webapp.directory, "the application starts when it appears")
    if webapp.path and (new or "Path" in given):
        yield from _missing("Path", webapp.path, "files are served when it appears")


def _missing(name: str, path: str, then: str) -> Iterator[str]:
    if directories.leads_nowhere(path):
        yield f"{name}: {shown(path, 120)} is a link that leads nowhere (yet); {then}."
    elif directories.missing(path):
        yield f"{name}: {shown(path, 120)} does not exist (yet); {then}."


def _module(webapp: WebApp, given: Given, new: bool) -> Iterator[str]:
    """Say that the module is not in a directory that is there; it may come later, as the directory may."""
    named = any(name in given for name in ("WSGIAppName", "WSGICallable", "WSGIAppLocation"))
    if webapp.kind != Kind.WSGI or not (new or named) or not Path(webapp.directory).is_dir():
        return
    names = webapp.app_name, webapp.callable_name
    roots = validators.lines(webapp.python_path)
    if directories.without_module(webapp.directory, roots, *names):
        namespace = webapp.namespace
        roots += directories.installed_roots(namespace.interpreter, namespace.directory)
        if problem := directories.without_module(webapp.directory, roots, *names):
            yield f"WSGIAppName: {problem}"


def _unknown(given: Given) -> Iterator[str]:
    names = [name for name in given.kept if name not in KEPT]
    if names:
        yield f"Not known, kept as given: {', '.join(names)}."


def unusable_directories(webapp: WebApp, given: Given, *, new: bool) -> Iterator[str]:
    """Say which directory is there and cannot be used."""
    fields = {"WSGIAppLocation": webapp.directory if webapp.kind == Kind.WSGI else "", "Path": webapp.path}
    for name, path in fields.items():
        if path and (new or name in given) and (problem := directories.problem(path)):
            yield f"{name}: {problem}"


def kind_of_new(given: Given) -> Kind | None:
    """Say what a new application is, by its class, then its Path; None: neither Python nor files."""
    if given.is_wsgi:
        return Kind.WSGI
    if given.text.get("Path"):
        return Kind.FILES
    return Kind.WSGI if given.text.get("WSGIAppName") or given.text.get("WSGIAppLocation") else None


def name_module(values: dict[str, Any]) -> None:
    """Take the module from a callable in dotted form, where the line names no module."""
    module, dot, attribute = values["callable_name"].rpartition(".")
    if dot and not values.get("app_name"):
        values["app_name"], values["callable_name"] = module, attribute
