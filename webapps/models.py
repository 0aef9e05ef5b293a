"""The rows: what people asked for. What runs is the supervisor's to say."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Lower

from . import validators
from .changes import Change
from .choices import PROTECTED, Authentication, Kind, ProtocolType, ServeFiles, methods
from .security import EntryCode, Options, Resource, SignIn

__all__ = ["Change", "EntryCode", "Namespace", "Options", "Resource", "SignIn", "WebApp", "default_directory"]


class Namespace(models.Model):
    """Where an application's Python process runs by default."""

    name = models.CharField("Name", max_length=64, unique=True, validators=[validators.validate_namespace_name])
    description = models.CharField("Description", max_length=256, blank=True, validators=[validators.validate_text])
    interpreter = models.CharField(
        "Python interpreter", max_length=256, blank=True, validators=[validators.validate_text]
    )
    database_url = models.CharField(
        "Database URL", max_length=1024, blank=True, validators=[validators.validate_database_url]
    )
    environment = models.JSONField(
        "Environment variables", default=dict, blank=True, validators=[validators.validate_environment]
    )
    roots = models.JSONField("Roots", default=list, blank=True)
    os_user = models.CharField("OS user", max_length=64, blank=True, validators=[validators.validate_text])
    limits = models.JSONField("Limits", default=dict, blank=True)
    modified = models.DateTimeField(auto_now=True)
    modified_by = models.CharField(max_length=150, blank=True, editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def clean_fields(self, exclude: Any = None) -> None:
        """Put the name into upper case before it is checked."""
        self.name = self.name.strip().upper()
        super().clean_fields(exclude=exclude)

    def clean(self) -> None:
        """Check the roots."""
        for root in self.roots:
            try:
                validators.validate_directory(root)
            except ValidationError as error:
                raise ValidationError({"roots": error.messages}) from error

    @transaction.atomic
    def save(self, *args: Any, by: str = "", **kwargs: Any) -> None:
        """Save in somebody's name, and start a new generation of every application in the namespace."""
        self.name, self.modified_by = self.name.upper(), by
        super().save(*args, **kwargs)
        self.webapps.update(revision=F("revision") + 1)
        Change.note()

    @transaction.atomic
    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete, and tell the supervisor."""
        deleted = super().delete(*args, **kwargs)
        Change.note()
        return deleted

    @property
    def directory(self) -> str:
        """The namespace's own directory below STOA_HOME."""
        return str(settings.STOA_HOME / "namespaces" / self.name)

    @property
    def labels(self) -> list[str]:
        """The labels of all its applications."""
        return [webapp.label for webapp in self.webapps.all()]

    @property
    def effective_database_url(self) -> str:
        """The database URL that applications get."""
        return self.database_url or f"sqlite:///{self.directory}/db.sqlite3"

    @property
    def effective_roots(self) -> list[str]:
        """The directories below which applications of this namespace may live."""
        return list(self.roots) or [str(settings.STOA_HOME / "csp")]


def default_directory(name: str) -> str:
    """Return the directory that follows from a name: ``<STOA_HOME>/csp/`` + Name without ``/csp``."""
    csp = settings.STOA_HOME / "csp"
    rest = name[len("/csp") :] if name == "/csp" or name.startswith("/csp/") else name
    return str(csp / rest.strip("/"))


def _number(label: str, default: int, least: int, most: int) -> models.BigIntegerField[int, int]:
    return models.BigIntegerField(
        label, default=default, validators=[MinValueValidator(least), MaxValueValidator(most)]
    )


class WebApp(models.Model):
    """A web application as a person asked for it; labels, order and rules are those of ``fields.md``."""

    # General
    name = models.CharField("Name", max_length=64, validators=[validators.validate_name])
    host = models.CharField("Host", max_length=253, blank=True, validators=[validators.validate_host])
    description = models.CharField("Description", max_length=256, blank=True, validators=[validators.validate_text])
    namespace = models.ForeignKey(Namespace, models.PROTECT, related_name="webapps", verbose_name="Namespace")
    is_namespace_default = models.BooleanField("Namespace Default Application", default=False)
    enabled = models.BooleanField("Enable Application", default=True)
    kind = models.CharField("Enable", max_length=8, choices=Kind.choices, default=Kind.WSGI)
    app_name = models.CharField(
        "Application Name", max_length=256, blank=True, validators=[validators.validate_app_name]
    )
    callable_name = models.CharField(
        "Callable Name",
        max_length=256,
        blank=True,
        default="application",
        validators=[validators.validate_callable],
    )
    directory = models.CharField(
        "WSGI App Directory", max_length=256, blank=True, validators=[validators.validate_directory]
    )
    python_path = models.TextField(
        "Python Path",
        max_length=4096,
        blank=True,
        validators=[validators.validate_lines, validators.validate_directories],
    )
    protocol_type = models.PositiveSmallIntegerField(
        "Python Protocol Type", choices=ProtocolType.choices, default=ProtocolType.WSGI
    )
    debug = models.BooleanField("DEBUG", default=False)
    # Security
    resource = models.CharField("Resource Required", max_length=64, blank=True, validators=[validators.validate_text])
    group_by_id = models.CharField("Group by ID", max_length=64, blank=True, validators=[validators.validate_text])
    authe_enabled = models.BigIntegerField(
        "Allowed Authentication Methods",
        default=PROTECTED,
        validators=[MinValueValidator(0)],
    )
    match_roles = models.TextField(
        "Application Roles, Matching Roles",
        max_length=4096,
        blank=True,
        validators=[validators.validate_match_roles],
    )
    csrf_token = models.BooleanField("Prevent login CSRF attack", default=True)
    cors_allowlist = models.TextField(
        "Allowed origins", max_length=4096, blank=True, validators=[validators.validate_origins]
    )
    cors_headers = models.TextField(
        "Allowed headers", max_length=4096, blank=True, validators=[validators.validate_header_names]
    )
    cors_credentials = models.BooleanField("Allow credentials", default=True)
    # Files
    serve_files = models.PositiveSmallIntegerField("Serve Files", choices=ServeFiles.choices, default=ServeFiles.ALWAYS)
    serve_files_timeout = _number("Serve Files Timeout", 3600, 0, 10 * 365 * 86400)
    path = models.CharField("Physical Path", max_length=256, blank=True, validators=[validators.validate_directory])
    # What IRIS has and Stoa does not use, kept as given
    properties = models.JSONField(default=dict, blank=True)
    # Runtime
    processes_min = _number("Minimum processes", 1, 0, 64)
    processes_max = _number("Maximum processes", 2, 1, 64)
    threads = _number("Threads", 4, 1, 256)
    request_timeout = _number("Request timeout", 60, 1, 86400)
    start_timeout = _number("Start timeout", 60, 1, 3600)
    memory_limit = _number("Memory limit", 0, 0, 1 << 44)
    max_requests = _number("Recycle after requests", 0, 0, 1 << 31)
    sleep_after = _number("Sleep after idle", 900, 0, 30 * 86400)
    max_body = _number("Largest request body", 1 << 30, 1, 1 << 40)
    health_path = models.CharField(
        "Health path", max_length=256, blank=True, validators=[validators.validate_health_path]
    )
    health_status = models.PositiveSmallIntegerField(
        "Health status", default=0, validators=[validators.validate_health_status]
    )
    environment = models.JSONField(
        "Environment variables", default=dict, blank=True, validators=[validators.validate_environment]
    )
    # Stoa's bookkeeping
    revision = models.PositiveBigIntegerField(default=1, editable=False)
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)
    modified_by = models.CharField(max_length=150, blank=True, editable=False)

    class Meta:
        ordering = ("name", "host")
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                Lower("host"),
                name="webapp_name_and_host",
                violation_error_message="There is a web application with this Name and Host already.",
            ),
            models.UniqueConstraint(
                fields=["namespace"],
                condition=Q(is_namespace_default=True),
                name="webapp_namespace_default",
                violation_error_message="The namespace has a default application already.",
            ),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The application's name with its host in front, as logs and messages give it."""
        return f"{self.host}{self.name}"

    @property
    def protocol(self) -> str:
        """What the application speaks: wsgi, asgi, or files."""
        if self.kind == Kind.FILES:
            return "files"
        return "asgi" if self.protocol_type == ProtocolType.ASGI else "wsgi"

    def in_force(self, allowed: int) -> int:
        """Return the bits of the methods in force: the application's and, of those, what the system allows."""
        return self.authe_enabled & allowed

    def is_public(self, allowed: int) -> bool:
        """Say whether anybody may enter without saying who he is."""
        return bool(self.in_force(allowed) & Authentication.UNAUTHENTICATED) and not self.resource

    def is_open(self, allowed: int) -> bool:
        """Say whether nobody is ever asked who he is: the front needs no gate for it."""
        return self.in_force(allowed) == Authentication.UNAUTHENTICATED and not self.resource

    @property
    def authentication(self) -> list[str]:
        """The names of the methods of authentication."""
        return methods(self.authe_enabled)

    @property
    def files_path(self) -> str:
        """The directory that static files come from, "" when there is none."""
        if self.path or self.kind == Kind.FILES or not self.directory:
            return self.path
        return self.directory.rstrip("/") + "/static"

    def clean_fields(self, exclude: Any = None) -> None:
        """Bring what was written into the form that is stored, then check each field."""
        self.name = validators.normal_name(self.name)
        self.host = self.host.strip().lower().rstrip(".")
        self.app_name, self.callable_name = validators.meant(self.app_name, self.callable_name)
        if not self.protocol_type:
            self.protocol_type = ProtocolType.WSGI
        super().clean_fields(exclude=exclude)

    def clean(self) -> None:
        """Check the rules that concern several fields, for the form and for a merge alike."""
        problems: dict[str, str] = {}
        if self.kind == Kind.WSGI:
            problems |= self._missing_for_wsgi()
        elif not self.path:
            problems["path"] = "Files only means a Physical Path to serve them from. Give one."
        if self.cors_credentials and "*" in validators.items(self.cors_allowlist):
            problems["cors_allowlist"] = (
                "“*” together with Allow credentials would let every site act for the visitor. Name the origins, or "
                "untick Allow credentials."
            )
        if self.processes_min > self.processes_max:
            problems["processes_max"] = "The maximum is less than the minimum."
        if problems:
            raise ValidationError(problems)

    def _missing_for_wsgi(self) -> dict[str, str]:
        problems = {}
        if not self.app_name:
            problems["app_name"] = "Give the module that has the application, for example app."
        if not self.callable_name:
            problems["callable_name"] = "Give the application’s callable, for example application or app."
        if not self.directory:
            self.directory = default_directory(self.name)
        return problems

    @transaction.atomic
    def save(self, *args: Any, by: str = "", **kwargs: Any) -> None:
        """Save as a new revision in somebody's name: every save starts a new generation, whatever has changed."""
        self.modified_by = by
        if not self._state.adding:
            rows = WebApp.objects.select_for_update().filter(pk=self.pk)
            self.revision = 1 + (rows.values_list("revision", flat=True).first() or 0)
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "revision", "modified", "modified_by"}
        super().save(*args, **kwargs)
        Change.note()

    @transaction.atomic
    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the row, never a file, and tell the supervisor."""
        deleted = super().delete(*args, **kwargs)
        Change.note()
        return deleted
