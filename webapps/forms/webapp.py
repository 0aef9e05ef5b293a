"""The General tab and what goes with it."""

from __future__ import annotations

import copy
from typing import Any, cast

from crispy_forms.helper import FormHelper
from crispy_forms.layout import HTML, Field
from django import forms
from django.core.exceptions import ValidationError

from webapps import directories, roots, validators
from webapps.choices import OFFERED_BITS, Authentication, Kind, ProtocolType
from webapps.entrance import sharing_warning
from webapps.models import Namespace, Options, Resource, WebApp, default_directory

from .conflict import Careful
from .fields import BitsField, EnvironmentField, MegabytesField, merge_bits
from .layout import Pair, Section, helper, mark, wide

HELP = {
    "name": "The path that people open, for example /csp/notes. Begins with “/”.",
    "host": "Blank: any host. Several hosts can carry the same name.",
    "description": "",
    "namespace": "Where the Python process runs: its virtual environment, database and variables.",
    "is_namespace_default": "/-/ns/NAMESPACE/ leads to it. At most one in a namespace.",
    "enabled": "Off: no process runs, and the address answers 404.",
    "kind": "WSGI runs a Python application, ASGI ones too. Files only serves a directory.",
    "app_name": "The module without “.py”, for example app or shop.wsgi; or a script such as myapp.wsgi.",
    "callable_name": "The application in that module, or a factory with its parentheses: create_app().",
    "directory": "Where the module is. Blank: follows the name.",
    "python_path": "Further directories to import from, one to a line.",
    "protocol_type": "wsgi for Flask, Django and Bottle; asgi for FastAPI, Starlette and Django’s asgi.py.",
    "debug": "Edits of Python files are picked up by themselves, and exceptions show their traceback in the browser. "
    "Never for an application that is open to all on a public address.",
    "resource": "Whoever enters must hold USE on it through a role. Blank: whoever is signed in may enter.",
    "group_by_id": "Applications with the same id share a sign-in by Password.",
    "authe_enabled": "Unauthenticated lets everybody in, unless a resource is required. Login Cookie shares a sign-in "
    "with all applications that allow it; Password alone asks for each.",
    "csrf_token": "The sign-in form carries a token of its own.",
    "cors_allowlist": "Origins such as https://shop.example.com, with commas between several. “*”: all of them, "
    "without credentials.",
    "cors_headers": "Names of request headers, with commas between several.",
    "cors_credentials": "Cookies and sign-ins may come with requests from these origins.",
    "serve_files": "No: every request goes to the application. Always: the front serves files, asking nobody "
    "who it is. Always and cached: marked public too. Use application security: only for who may enter; "
    "others get 404.",
    "serve_files_timeout": "Seconds for which a browser may keep a file.",
    "path": "Where files come from. Blank: the directory static in the application’s directory.",
    "processes_min": "Processes that always run while it is awake. 0: one, and it is asleep until somebody asks.",
    "processes_max": "Processes that may run when all threads are busy for a while.",
    "threads": "Requests that one process answers at once.",
    "request_timeout": "Seconds until a request is given up.",
    "start_timeout": "Seconds until a start is given up.",
    "memory_limit": "MB for one process; one that takes more is replaced. 0: no limit.",
    "max_requests": "A process is replaced after so many, give or take. 0: never.",
    "sleep_after": "Seconds without a request, after which no process runs; the next request starts one. 0: never.",
    "max_body": "MB. A larger one is answered with 413.",
    "health_path": "Below the name, for example /health. A new process has to answer it first. Blank: none.",
    "health_status": "What the health path has to answer, for example 204. 0: anything from 200 to 399.",
    "environment": "Names with values, after those of the namespace. A secret’s value is never shown again.",
}

GENERAL = (
    Pair("name", "host"),
    wide("description"),
    Pair("namespace", Field("is_namespace_default")),
    "enabled",
    Field("kind", css_class="radios"),
    Pair(
        Field("app_name", spellcheck="false", autocapitalize="off"),
        Field("callable_name", spellcheck="false", autocapitalize="off"),
        css_id="python-callable",
        css_class="wsgi-only",
    ),
    Field("directory", wrapper_class="wide wsgi-only", spellcheck="false"),
    HTML("{% include 'webapps/_make_directory.html' %}"),
    Field("python_path", wrapper_class="wide wsgi-only", rows=2, spellcheck="false"),
    Field("protocol_type", wrapper_class="wsgi-only", css_class="radios"),
    Field("debug", wrapper_class="wsgi-only"),
)
SECURITY = (
    Pair("resource", "group_by_id"),
    Field("authe_enabled", css_class="boxes"),
    HTML("{% include 'webapps/_sharing.html' %}"),
    "csrf_token",
    HTML("<h3>Cross-Origin Settings</h3>"),
    Pair(Field("cors_allowlist", rows=2), Field("cors_headers", rows=2)),
    "cors_credentials",
)
FILES = (Pair("serve_files", "serve_files_timeout"), wide("path", spellcheck="false"))
RUNTIME_LEAD = "The defaults do for most applications."
RUNTIME = (
    Pair("processes_min", "processes_max"),
    Pair("threads", "max_requests"),
    Pair("request_timeout", "start_timeout"),
    Pair("memory_limit", "max_body"),
    Pair("health_path", "health_status"),
    "sleep_after",
)
SECTIONS = (
    Section("General", *GENERAL),
    Section("Security", *SECURITY, lead="Who may enter. What they are granted is on the tabs of the roles."),
    Section("Files", *FILES, lead="Who serves what lies below the name’s static."),
    Section("Runtime", *RUNTIME, lead=RUNTIME_LEAD, css_class="wsgi-only"),
    Section("Environment", "environment", css_class="wsgi-only"),
)


#: Every field that the row has, in the order in which problems are listed.
FIELDS = tuple(HELP)
#: Fields of the form's own making: Django does not take their defaults from the model.
DECLARED = ("authe_enabled", "memory_limit", "max_body")


class WebAppForm(Careful):
    """A web application, with the labels, the order and the rules of ``fields.md``."""

    authe_enabled = BitsField(label="Allowed Authentication Methods")
    environment = EnvironmentField(label="Environment variables")
    memory_limit = MegabytesField(label="Memory limit", min_value=0, max_value=1 << 24)
    max_body = MegabytesField(label="Largest request body", min_value=1, max_value=1 << 20)
    make_directory = forms.BooleanField(label="Make this directory with a Hello application", required=False)

    class Meta:
        model = WebApp
        fields = FIELDS
        widgets = {
            "kind": forms.RadioSelect,
            "protocol_type": forms.RadioSelect,
            "python_path": forms.Textarea,
            "cors_allowlist": forms.Textarea,
            "cors_headers": forms.Textarea,
        }

    def __init__(self, *args: Any, copy_of: WebApp | None = None, confined: bool = False, **kwargs: Any) -> None:
        if kwargs.get("instance") is None:
            begun = copied(copy_of) if copy_of else forms.model_to_dict(WebApp(), DECLARED)
            kwargs["initial"] = begun | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)
        if copy_of:
            self.instance.match_roles = copy_of.match_roles
        self.before = copy.copy(self.instance) if self.instance.pk else None
        self.confined = confined
        self.offers_directory = False
        self.made = ""
        self._prepare_fields()

    def _prepare_fields(self) -> None:
        for name, text in HELP.items():
            self.fields[name].help_text = text
        if not self.instance._state.adding:
            self.fields["name"].help_text += " A changed name or host changes the address: the old one answers 404."
        mark(self, "name", "namespace", "app_name", "callable_name")
        self.fields["app_name"].required = self.fields["callable_name"].required = False
        self.fields["name"].widget.attrs |= {"autofocus": self.instance._state.adding, "spellcheck": "false"}
        self.fields["name"].widget.attrs |= {"autocapitalize": "off", "placeholder": "/csp/notes"}
        if self.instance._state.adding:  # A rename leaves the files where they are.
            follows = {"data-follows": "id_name", "data-root": default_directory("/csp")}
            self.fields["directory"].widget.attrs |= follows
        for name in ("kind", "protocol_type"):
            field = cast(forms.ChoiceField, self.fields[name])
            field.choices = [choice for choice in cast(Any, field.choices) if choice[0] != ""]
        namespaces = cast("forms.ModelChoiceField[Namespace]", self.fields["namespace"])
        namespaces.empty_label = "Choose a namespace"
        namespaces.error_messages["invalid_choice"] = "There is no such namespace. Create it first, or choose another."
        cast(EnvironmentField, self.fields["environment"]).stored = dict(self.instance.environment or {})
        self.allowed = Options.current().methods
        cast(BitsField, self.fields["authe_enabled"]).allow(self.allowed)
        self.fields["resource"].widget.attrs |= {"list": "known-resources", "autocomplete": "off"}

    @property
    def known_resources(self) -> list[str]:
        """The resources that Resource Required offers; others are accepted."""
        return list(Resource.objects.values_list("name", flat=True))

    @property
    def sharing(self) -> str:
        """What is to be said of the origin that the application shares, as it is or is about to be."""
        begun = self.before or WebApp(authe_enabled=self.initial["authe_enabled"], host=self.initial.get("host", ""))
        return sharing_warning(begun, self.allowed)

    @property
    def helper(self) -> FormHelper:
        """How the form is drawn."""
        return helper(*SECTIONS)

    @property
    def kept_bits(self) -> int:
        """The bits of AutheEnabled that the row has and the form does not offer."""
        return int(self.instance.authe_enabled) & ~OFFERED_BITS

    def clean_name(self) -> str:
        """Return the name as it is stored."""
        return validators.normal_name(self.cleaned_data["name"])

    def clean_host(self) -> str:
        """Return the host as it is stored."""
        return str(self.cleaned_data["host"]).strip().lower().rstrip(".")

    def clean_authe_enabled(self) -> int:
        """Return the bits as one number, with those that are not offered as they were."""
        return merge_bits(self.cleaned_data["authe_enabled"], self.instance.authe_enabled)

    def clean(self) -> dict[str, Any]:
        """Check what concerns several fields, and the directories."""
        cleaned = cast(dict[str, Any], super().clean())
        if "app_name" in cleaned and "callable_name" in cleaned:
            names = validators.meant(cleaned["app_name"], cleaned["callable_name"])
            cleaned["app_name"], cleaned["callable_name"] = names
        self._check_taken(cleaned)
        self._check_default(cleaned)
        if cleaned.get("kind") == Kind.WSGI:
            self._check_wsgi(cleaned)
        elif cleaned.get("kind") == Kind.FILES and cleaned.get("path"):
            self._check_directory("path", cleaned["path"])
        for line in validators.lines(cleaned.get("python_path") or ""):
            self._check_directory("python_path", line)
        return cleaned

    def _check_taken(self, cleaned: dict[str, Any]) -> None:
        if not cleaned.get("name") or "host" not in cleaned:
            return
        others = WebApp.objects.exclude(pk=self.instance.pk)
        other = others.filter(name__iexact=cleaned["name"], host__iexact=cleaned["host"]).first()
        if other:
            self.add_error("name", f"{other.label} is taken (case does not count). Choose another name, or a host.")

    def _check_default(self, cleaned: dict[str, Any]) -> None:
        if not cleaned.get("is_namespace_default") or not cleaned.get("namespace"):
            return
        others = WebApp.objects.exclude(pk=self.instance.pk).filter(is_namespace_default=True)
        if other := others.filter(namespace=cleaned["namespace"]).first():
            text = f"{other.label} is the default application of {cleaned['namespace']}. Untick it there first."
            self.add_error("is_namespace_default", text)

    def _check_wsgi(self, cleaned: dict[str, Any]) -> None:
        """Check the directory, and that the module is in it."""
        if "directory" not in cleaned:
            return
        if not cleaned["directory"]:
            if not cleaned.get("name") or not _passes(validators.validate_name, cleaned["name"]):
                return
            cleaned["directory"] = default_directory(cleaned["name"])
        directory = cleaned["directory"]
        if not self._check_directory("directory", directory) or not cleaned.get("app_name"):
            return
        if directories.missing(directory) or not _passes(validators.validate_app_name, cleaned["app_name"]):
            return
        problem = directories.without_module(
            directory, self._roots(cleaned), cleaned["app_name"], cleaned.get("callable_name", "")
        )
        if problem:
            self.add_error("app_name", problem)

    def _check_directory(self, field: str, directory: str) -> bool:
        """Check one directory at its field, and offer to make the application's when it is absent."""
        try:
            validators.validate_directory(directory)
        except ValidationError as error:
            self.add_error(field, error)
            return False
        if not self._may_name(field, directory):
            return False
        if directories.leads_nowhere(directory):
            self.add_error(field, f"{directory} is a link that leads nowhere. Mend it, or give another directory.")
            return False
        if directories.missing(directory):
            return self._is_missing(field, directory)
        if problem := directories.problem(directory):
            self.add_error(field, problem)
        return not problem

    def _is_missing(self, field: str, directory: str) -> bool:
        self.offers_directory = self.offers_directory or field == "directory"
        if field == "directory" and self.cleaned_data.get("make_directory"):
            return True
        more = " Or let Stoa make it: tick the box below." if field == "directory" else ""
        self.add_error(field, f"There is no directory {directory}. Create it, or give another.{more}")
        return False

    def _roots(self, cleaned: dict[str, Any]) -> list[str]:
        roots = validators.lines(cleaned.get("python_path") or "")
        namespace: Namespace | None = cleaned.get("namespace")
        if namespace is None:
            return roots
        return roots + directories.installed_roots(namespace.interpreter, namespace.directory)

    def _post_clean(self) -> None:
        """Hold an editor to his namespace’s roots, once the row has what was posted."""
        super()._post_clean()  # type: ignore[misc]
        if not self.confined or not {"name", "namespace"} <= self.cleaned_data.keys():
            return
        for field, problem in roots.problems(self.instance, self.before).items():
            if field not in self.errors:
                self.add_error(field, problem)

    def _may_name(self, field: str, directory: str) -> bool:
        """Say whether an editor is told what lies there; ``_post_clean`` refuses what he may not name."""
        namespace: Namespace | None = self.cleaned_data.get("namespace")
        if not self.confined or namespace is None:
            return not self.confined
        known = roots.named(self.before).get(field, ()) if self.before else ()
        return directory in known or roots.is_below(directory, namespace.effective_roots)

    def full_clean(self) -> None:
        """Make the directory last, when everything else is right: nothing is half done."""
        super().full_clean()
        if self.is_bound and not self.errors and not self.conflict and self.offers_directory:
            self._make_directory()

    def _make_directory(self) -> None:
        cleaned = self.cleaned_data
        try:
            self.made = directories.make_hello(
                cleaned["directory"],
                cleaned["app_name"],
                cleaned["callable_name"],
                asgi=cleaned["protocol_type"] == ProtocolType.ASGI,
            )
        except OSError as error:
            self.add_error("directory", f"The directory could not be made: {error.strerror}. Give another.")


def _passes(check: Any, value: str) -> bool:
    try:
        check(value)
    except ValidationError:
        return False
    return True


def copied(source: WebApp) -> dict[str, Any]:
    """Return what Copy from takes over: everything but the name, and no secret's value."""
    initial = forms.model_to_dict(source, FIELDS)
    for name in ("name", "is_namespace_default"):
        initial.pop(name)
    initial["environment"] = {
        name: {**entry, "value": ""} if entry["secret"] else entry for name, entry in source.environment.items()
    }
    initial["authe_enabled"] = source.authe_enabled & sum(Authentication.values)
    return initial
