"""The limits of a namespace: one to a line, as ``memory: 512 MB``."""

from __future__ import annotations

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
        """Return the limits as they are stored. Raises ValidationError."""
        limits: dict[str, Any] = {}
        for line in validators.lines(super().clean(value) or ""):
            name, understood = _understood(line)
            if name in (REACH, PORTS):
                limits.setdefault(name, []).append(understood)
            elif name in limits:
                raise ValidationError(f"“{line}”: this limit is given twice. Keep one of the two.")
            else:
                limits[name] = understood
        if sum(last - first + 1 for first, last in limits.get(PORTS, ())) > MOST_PORTS:
            raise ValidationError(f"A namespace may have {MOST_PORTS} ports. Give fewer.")
        return limits


def _understood(line: str) -> tuple[str, Any]:
    words, _, text = (part.strip() for part in line.partition(":"))
    words = words.lower()
    if words == REACH:
        validators.validate_directory(text)
        if is_below(text, [str(settings.STOA_HOME)]):
            raise ValidationError(
                f"“{line}” lies in Stoa’s home, of which an application has its own directory and its namespace’s. "
                "Give a directory elsewhere."
            )
        return REACH, text
    if words == PORTS:
        return PORTS, _ports(line, text)
    if words not in KINDS:
        raise ValidationError(f"“{line}” is not understood. Each line begins with one of: {KNOWN}.")
    name, sized, least, most = KINDS[words]
    number = re.fullmatch(r"(\d{1,9})( ?MB)?" if sized else r"(\d{1,9})", text, re.IGNORECASE)
    if number is None or not least <= int(number[1]) <= most:
        unit = " MB" if sized else ""
        raise ValidationError(f"“{line}”: give a number from {least} to {most}{unit}.")
    return name, int(number[1]) * (MEGABYTE if sized else 1)


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
