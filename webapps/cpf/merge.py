"""Apply the actions of CPF merge files to the rows.

1. All files are one transaction, each line a savepoint in it: a bad line is undone alone and stops no other.
2. Within a file namespaces come first, then creates, modifies, deletes, whatever the order of the lines.
3. What is there already is left alone, so a second merge changes nothing.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import DatabaseError, transaction

from webapps import control, validators
from webapps.choices import Kind
from webapps.models import Namespace, WebApp

from . import properties
from .parser import Action, BadValue, Unreadable, read_file, shown
from .report import Report, Result, Row

Key = tuple[str, str]
#: In whose name rows are saved.
BY = "manage.py merge"
ORDER = ("createnamespace", "createapplication", "modifyapplication", "deleteapplication")


def merge_files(paths: Iterable[Path], *, dry_run: bool = False) -> list[Report]:
    """Merge files in their order and report on each; a file that cannot be read is reported and left out."""
    with transaction.atomic():
        reports = [_merge_file(path) for path in paths]
        if dry_run:
            transaction.set_rollback(True)
        else:
            _leave_one_nudge()
    return reports


def _merge_file(path: Path) -> Report:
    try:
        actions = read_file(path)
    except Unreadable as error:
        return Report(os.fspath(path), problem=str(error))
    return Report(os.fspath(path), tuple(Merge().apply(actions)))


def _leave_one_nudge() -> None:
    """Drop all but one of the nudges that the saved rows asked for: a thousand would say no more."""
    connection = transaction.get_connection()
    nudges = [entry for entry in connection.run_on_commit if entry[1] is control.nudge]
    for entry in nudges[1:]:
        connection.run_on_commit.remove(entry)


@dataclass(frozen=True)
class _Known:
    """An application that is there: its row, and its name with the host in front as it is written there."""

    pk: int
    label: str


class Merge:
    """One file's merge: what exists is read once and kept up to date, so that a line costs few queries."""

    def __init__(self) -> None:
        self.namespaces = {namespace.name: namespace for namespace in Namespace.objects.all()}
        rows = WebApp.objects.values_list("host", "name", "pk")
        self.webapps: dict[Key, _Known] = {_key(host, name): _Known(pk, host + name) for host, name, pk in rows}
        self.skipped: set[Key] = set()
        self.fresh: list[str] = []

    def apply(self, actions: Sequence[Action]) -> list[Row]:
        """Apply the actions in the order that they need; return their rows in the order of the lines."""
        rows = [self._row(action) for action in sorted(actions, key=_turn)]
        return sorted(rows, key=lambda row: row.number)

    def _row(self, action: Action) -> Row:
        row = Row(action.number, action.action, action.name, Result.ERROR)
        if action.problem:
            return replace(row, why=action.problem)
        handler = self._handlers().get(action.action.lower())
        if handler is None:
            return replace(row, result=Result.SKIPPED, why="Stoa has no such action.")
        self.fresh.clear()
        try:
            with transaction.atomic():
                return handler(action, row)
        except (ValidationError, ValueError, ObjectDoesNotExist, DatabaseError, OSError) as error:
            for name in self.fresh:
                del self.namespaces[name]
            return replace(row, why=_words(error))

    def _handlers(self) -> dict[str, Callable[[Action, Row], Row]]:
        handlers = (self._create_namespace, self._create, self._modify, self._delete)
        return dict(zip(ORDER, handlers, strict=True))

    # Namespaces

    def _create_namespace(self, action: Action, row: Row) -> Row:
        name = action.name.strip().upper()
        if not name:
            raise BadValue("Name is left out; every namespace has one.")
        if name in self.namespaces:
            return replace(row, result=Result.EXISTS)
        self._new_namespace(name, "Name")
        unused = [name for name in action.properties if name.lower() not in ("name", "description")]
        why = f"Not used: {', '.join(unused)}." if unused else ""
        return replace(row, result=Result.CREATED, why=why)

    def _new_namespace(self, name: str, said_by: str) -> Namespace:
        namespace = Namespace(name=name)
        try:
            namespace.full_clean()
        except ValidationError as error:
            raise BadValue(f"{said_by}: {' '.join(error.messages)}") from error
        namespace.save(by=BY)
        self.namespaces[name] = namespace
        self.fresh.append(name)
        return namespace

    def _namespace(self, text: str) -> Namespace:
        name = text.strip().upper()
        if not name:
            raise BadValue("NameSpace is left out; name the namespace that the application runs in.")
        return self.namespaces.get(name) or self._new_namespace(name, "NameSpace")

    def _said(self, why: str = "") -> str:
        """Put in front that a namespace was missing, where it was."""
        made = [f"Namespace {name} did not exist and was created." for name in self.fresh]
        return " ".join([*made, *([why] if why else [])])

    # Applications

    def _create(self, action: Action, row: Row) -> Row:
        key, given = _key_of(action), properties.canonical(action.properties)
        kind = properties.kind_of_new(given)
        if given.strange_class or kind is None:
            self.skipped.add(key)
            return replace(row, result=Result.SKIPPED, why=_why_skipped(given))
        if key in self.webapps:
            return replace(row, result=Result.EXISTS, why=_why_there(action, self.webapps[key]))
        given = properties.read(action.properties)
        webapp = self._new(action, given, kind)
        _check(webapp, given, new=True)
        webapp.save(force_insert=True, by=BY)
        self.webapps[key] = _Known(webapp.pk, webapp.label)
        told = properties.warnings(webapp, given, new=True)
        return replace(row, result=Result.CREATED, why=self._said(_why_kind(given, kind)), warnings=told)

    def _new(self, action: Action, given: properties.Given, kind: Kind) -> WebApp:
        values: dict[str, Any] = {"callable_name": "app", "authe_enabled": properties.PUBLIC, **given.values}
        properties.name_module(values)
        namespace = self._namespace(given.text.get("NameSpace", ""))
        host = given.text.get("Host", "")
        return WebApp(
            name=action.name, host=host, namespace=namespace, kind=kind, properties=dict(given.kept), **values
        )

    def _modify(self, action: Action, row: Row) -> Row:
        key, given = _key_of(action), properties.canonical(action.properties)
        if given.strange_class:
            return replace(row, result=Result.SKIPPED, why=_why_skipped(given))
        if key not in self.webapps:
            return self._nothing_to_modify(key, row)
        given = properties.read(action.properties)
        rows = WebApp.objects.select_related("namespace").select_for_update(of=("self",))
        webapp = rows.get(pk=self.webapps[key].pk)
        before = _values(webapp)
        self._set(webapp, given)
        _check(webapp, given, new=False)
        changed = [name for name, value in _values(webapp).items() if value != before[name]]
        told = properties.warnings(webapp, given, new=False)
        if not changed:
            return replace(row, result=Result.UNCHANGED, warnings=told)
        webapp.save(by=BY)
        why = self._said(f"Changed: {properties.names_of(changed)}.")
        return replace(row, result=Result.MODIFIED, why=why, warnings=told)

    def _nothing_to_modify(self, key: Key, row: Row) -> Row:
        if key in self.skipped:
            return replace(row, result=Result.SKIPPED, why="The line that creates it was skipped.")
        raise BadValue("There is no application of this name to modify; create it first.")

    def _set(self, webapp: WebApp, given: properties.Given) -> None:
        """Set what the line names, and nothing else."""
        for attribute, value in given.values.items():
            setattr(webapp, attribute, value)
        if "NameSpace" in given:
            webapp.namespace = self._namespace(given.text["NameSpace"])
        if "DispatchClass" in given:
            webapp.kind = Kind.WSGI if given.is_wsgi else Kind.FILES
        webapp.properties = properties.keep(webapp.properties, given.kept)

    def _delete(self, action: Action, row: Row) -> Row:
        key = _key_of(action)
        if key not in self.webapps:
            return replace(row, result=Result.ABSENT)
        WebApp.objects.get(pk=self.webapps[key].pk).delete()
        del self.webapps[key]
        return replace(row, result=Result.DELETED, why="Its files stay.")


def _turn(action: Action) -> int:
    name = action.action.lower()
    return ORDER.index(name) if name in ORDER else len(ORDER)


def _key(host: str, name: str) -> Key:
    """Return what tells applications apart: host and name, without regard to case."""
    return host.strip().lower().rstrip("."), validators.normal_name(name).lower()


def _key_of(action: Action) -> Key:
    if not action.name:
        raise BadValue("Name is left out; every application has one.")
    return _key(action.get("Host"), action.name)


def _check(webapp: WebApp, given: properties.Given, *, new: bool) -> None:
    """Check the row as the form does, absent directories excepted. Raises ValidationError and BadValue.

    That the name is free is known already, and the database holds it.
    """
    webapp.full_clean(exclude={"namespace"}, validate_unique=False, validate_constraints=False)
    if problems := list(properties.unusable_directories(webapp, given, new=new)):
        raise BadValue(" ".join(problems))
    if webapp.is_namespace_default:
        _check_default(webapp)


def _check_default(webapp: WebApp) -> None:
    others = WebApp.objects.exclude(pk=webapp.pk).filter(is_namespace_default=True)
    if other := others.filter(namespace=webapp.namespace).first():
        raise BadValue(
            f"IsNameSpaceDefault: {other.label} is the default application of {webapp.namespace}. "
            "Untick it there first."
        )


def _values(webapp: WebApp) -> dict[str, Any]:
    return {field.attname: copy.deepcopy(getattr(webapp, field.attname)) for field in WebApp._meta.concrete_fields}


def _why_skipped(given: properties.Given) -> str:
    if given.strange_class:
        return f"Its dispatch class is {shown(given.strange_class)}; Stoa runs {properties.WSGI_CLASS} only."
    return "It has neither a dispatch class nor a Path: a CSP application, which Stoa does not run."


def _why_there(action: Action, known: _Known) -> str:
    """Name the application that is there, where the line writes its name otherwise."""
    return "" if action.get("Host") + action.name == known.label else f"It is there as {known.label}."


def _why_kind(given: properties.Given, kind: Kind) -> str:
    if kind is Kind.FILES:
        return "Files only."
    return "" if given.is_wsgi else f"DispatchClass is left out: taken as {properties.WSGI_CLASS}."


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return properties.describe(error)
    if isinstance(error, ObjectDoesNotExist):
        return "Somebody deleted it meanwhile; merge again."
    if isinstance(error, DatabaseError):
        return f"The database refused it: {error}"
    return str(error)
