"""Application Roles and Matching Roles, as ``MatchRoles`` keeps them: ``Match:Target1:Target2,Match2:Target3``.

An entry with a blank match role gives its targets to everybody in the application; one without a target grants
nothing. What a tab does not show stays in the text as it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from .models import WebApp
from .roles import ALL


@dataclass(frozen=True)
class Entry:
    """One entry of the text. ``text`` is how it was written, blanks around it included."""

    text: str
    match: str
    targets: tuple[str, ...] = ()

    @classmethod
    def of(cls, match: str, targets: Iterable[str]) -> Entry:
        """Make an entry from names of roles."""
        targets = tuple(targets)
        return cls(":".join((match, *targets)), match, targets)

    @property
    def is_for_all(self) -> bool:
        """Whether it grants roles to everybody: an entry of Application Roles."""
        return not self.match and bool(self.targets)

    @property
    def is_matching(self) -> bool:
        """Whether it grants roles to who holds another: an entry of Matching Roles."""
        return bool(self.match and self.targets)

    @property
    def names(self) -> tuple[str, ...]:
        """All roles that it names."""
        return tuple(name for name in (self.match, *self.targets) if name)


def parse(text: str) -> list[Entry]:
    """Read the text; every entry is returned, understood or not."""
    return [_entry(part) for part in text.split(",") if part.strip()]


def _entry(part: str) -> Entry:
    match, *targets = (name.strip() for name in part.split(":"))
    return Entry(part, match, tuple(target for target in targets if target))


def written(entries: Iterable[Entry]) -> str:
    """Write entries as one text."""
    return ",".join(entry.text for entry in entries)


def application_roles(text: str) -> list[str]:
    """List the roles that everybody has in the application."""
    return [target for entry in parse(text) if entry.is_for_all for target in entry.targets]


def with_application_roles(text: str, roles: Sequence[str]) -> str:
    """Put these roles in the place of those that everybody had."""
    if list(roles) == application_roles(text):
        return text
    return _replaced(text, lambda entry: entry.is_for_all, [Entry.of("", roles)] if roles else [])


def matching_roles(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """List match roles with what they are granted."""
    return [(entry.match, entry.targets) for entry in parse(text) if entry.is_matching]


def with_matching_roles(text: str, rows: Sequence[tuple[str, tuple[str, ...]]]) -> str:
    """Put these rows in the place of those that were there."""
    if list(rows) == matching_roles(text):
        return text
    return _replaced(text, lambda entry: entry.is_matching, [Entry.of(match, targets) for match, targets in rows])


def _replaced(text: str, selects: Callable[[Entry], bool], fresh: Iterable[Entry]) -> str:
    """Put fresh entries one for one in the place of those that are selected; further ones come last."""
    coming = iter(fresh)
    kept: list[Entry] = []
    for entry in parse(text):
        if not selects(entry):
            kept.append(entry)
        elif (instead := next(coming, None)) is not None:
            kept.append(instead)
    return written([*kept, *coming])


def warnings(text: str) -> Iterator[str]:
    """Say what a person should know of the text."""
    for entry in parse(text):
        if not entry.targets:
            shown = entry.text.strip()
            more = f" “:{entry.match}” would, to everyone." if entry.match else ""
            yield f"“{shown}” has no target and grants nothing.{more}"
        elif entry.is_for_all and ALL.lower() in (target.lower() for target in entry.targets):
            yield f"“{entry.text.strip()}” grants everything to everyone in the application."


def rename(old: str, new: str) -> None:
    """Rename a role in every application that names it, within the transaction of the caller."""
    for webapp in naming(old):
        entries = [_renamed(entry, old, new) for entry in parse(webapp.match_roles)]
        webapp.match_roles = written(entries)
        webapp.save(update_fields=["match_roles"])


def _renamed(entry: Entry, old: str, new: str) -> Entry:
    if old.lower() not in (name.lower() for name in entry.names):
        return entry
    names = [new if part.strip().lower() == old.lower() else part for part in entry.text.split(":")]
    return replace(entry, text=":".join(names))


def naming(role: str) -> list[WebApp]:
    """List the applications whose roles name this one."""
    rows = WebApp.objects.exclude(match_roles="")
    return [webapp for webapp in rows if role.lower() in _names(webapp.match_roles)]


def _names(text: str) -> set[str]:
    return {name.lower() for entry in parse(text) for name in entry.names}
