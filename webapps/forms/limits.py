"""The limits of a namespace: one to a line, as ``memory: 512 MB``."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError

from webapps import validators
from webapps.runtime.reach import is_below

MEGABYTE = 1 << 20
# What a line may say: the name that is stored, whether it is in MB, least and most.
KINDS = {
    "memory": ("memory", True, 64, 1 << 24),
    "memory of all": ("memory_all", True, 64, 1 << 24),
    "temporary directory": ("temporary", True, 1, 1 << 24),
    "open files": ("open_files", False, 64, 1 << 20),
    "processes": ("processes", False, 8, 1 << 16),
    "nice": ("nice", False, 0, 19),
}
REACH, PORTS = "reach", "ports"
KNOWN = ", ".join([*KINDS, REACH, PORTS])
#: So many ports a namespace may have: each is a rule of the kernel's, in each process.
MOST_PORTS = 1000


class LimitsField(forms.CharField):
    """Limits as lines; a directory beyond its own is a line ``reach: /srv/data``, ports are ``ports: 9000-9010``."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        """Show what is stored as lines."""
        return self.in_words(value) if isinstance(value, dict) else value

    def in_words(self, value: dict[str, Any]) -> str:
        """Say the limits as they are typed."""
        lines = [
            f"{words}: {value[name] // MEGABYTE} MB" if sized else f"{words}: {value[name]}"
            for words, (name, sized, _least, _most) in KINDS.items()
            if value.get(name)
        ]
        lines += [f"{REACH}: {path}" for path in value.get(REACH) or ()]
        return "\n".join([*lines, *(f"{PORTS}: {_named(*pair)}" for pair in value.get(PORTS) or ())])

    def clean(self, value: Any) -> Any:
        """Return the limits as they are stored. Raises ValidationError with all lines that are wrong."""
        limits: dict[str, Any] = {}
        wrong: list[ValidationError] = []
        for line in validators.lines(super().clean(value) or ""):
            try:
                _take(limits, line)
            except ValidationError as error:
                wrong.append(error)
        if sum(last - first + 1 for first, last in limits.get(PORTS, ())) > MOST_PORTS:
            wrong.append(ValidationError(f"A namespace may have {MOST_PORTS} ports. Give fewer."))
        if wrong:
            raise ValidationError(wrong)
        return limits


def _take(limits: dict[str, Any], line: str) -> None:
    name, understood = _understood(line)
    if name in (REACH, PORTS):
        limits.setdefault(name, []).append(understood)
    elif name in limits:
        raise ValidationError(f"“{line}”: this limit is given twice. Keep one of the two.")
    else:
        limits[name] = understood


def _understood(line: str) -> tuple[str, Any]:
    words, colon, text = (part.strip() for part in line.partition(":"))
    words = words.lower()
    if words == REACH and colon:
        return REACH, _directory(line, text)
    if words == PORTS and colon:
        return PORTS, _ports(line, text)
    if words in KINDS and colon:
        name, sized, least, most = KINDS[words]
        return name, _number(line, text, sized=sized, least=least, most=most)
    if meant := [kind for kind in (*KINDS, REACH, PORTS) if f"{words} ".startswith(f"{kind} ") and not colon]:
        raise ValidationError(f"“{line}”: a colon is missing. Write it behind “{max(meant, key=len)}”.")
    raise ValidationError(f"“{line}” is not understood. Each line begins with one of: {KNOWN}.")


def _number(line: str, text: str, *, sized: bool, least: int, most: int) -> int:
    """Return a number, or the bytes of a size, which is in MB where nothing else is said. Raises ValidationError."""
    found = re.fullmatch(r"(\d{1,9})(?: ?([MG])B)?" if sized else r"(\d{1,9})()", text, re.IGNORECASE)
    number = int(found[1]) * (1024 if (found[2] or "").upper() == "G" else 1) if found else -1
    if not least <= number <= most:
        unit = " MB" if sized else ""
        raise ValidationError(f"“{line}”: give a number from {least} to {most}{unit}.")
    return number * (MEGABYTE if sized else 1)


def _directory(line: str, text: str) -> str:
    """Return a directory that may be opened. Raises ValidationError."""
    home = os.path.realpath(settings.STOA_HOME)
    if os.path.isabs(text) and (is_below(text, [home]) or os.path.realpath(text) == home):
        raise ValidationError(
            f"“{line}” lies in Stoa’s home, of which an application has its own directory and its namespace’s. "
            "Give a directory elsewhere."
        )
    try:
        validators.validate_directory(text)
    except ValidationError as error:
        why = (error.params or {}).get("why")
        words = f"{why}. Give a directory elsewhere." if why else " ".join(error.messages)
        raise ValidationError(f"“{line}”: {words}") from error
    return text


def _ports(line: str, text: str) -> list[int]:
    """Return first and last of the ports that a line names. Raises ValidationError."""
    found = re.fullmatch(r"(\d{1,5})(?: ?- ?(\d{1,5}))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not first <= last <= 65535:
        raise ValidationError(f"“{line}”: give a port or a range, as 9000-9010; 0 is any that is free.")
    for url in (settings.STOA_URL, settings.STOA_PORTAL_URL):
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        if first <= port <= last:
            raise ValidationError(f"“{line}”: {port} is Stoa’s own port. Leave it out.")
    return [first, last]


def _named(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
