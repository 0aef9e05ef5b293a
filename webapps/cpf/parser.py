"""Read the [Actions] of a CPF merge file: text in, frozen values out, nothing applied.

1. A line is ``Action:Property=value,Property=value``; a value with ``,`` or ``=`` stands in double quotes, a
   double quote in it is written twice.
2. A piece without ``=`` goes on with the value before it, comma included: published password hashes need it.
3. Lines that begin with ``;`` or ``#``, blank lines, other sections, a byte order mark and CRLF mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MAX_BYTES = 16 << 20
MAX_LINE = 64 << 10
SECTION = re.compile(r"\[\s*([^\]]*?)\s*\]\s*$")
ACTION = re.compile(r"([A-Za-z]\w*)\s*:\s*(.*)$", re.DOTALL)
LINE_END = re.compile(r"\r\n|\n|\r")  # str.splitlines also splits at U+2028 and friends, which a value may hold
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
QUOTED = re.compile(r'"((?:[^"]|"")*)"[ \t]*')
BARE = re.compile(r"[^,]*")
PROPERTY = re.compile(r"[ \t]*([A-Za-z_%][\w.%-]*)[ \t]*=[ \t]*")

#: Bits of AutheEnabled by their macro, without ``$$$``.
AUTHE_MACROS: Mapping[str, int] = {
    "AutheK5API": 4,
    "AutheOS": 16,
    "AuthePassword": 32,
    "AutheUnauthenticated": 64,
    "AutheLDAP": 2048,
    "AutheDelegated": 8192,
    "AutheLoginToken": 16384,
    "AutheTwoFactorSMS": 1048576,
    "AutheTwoFactorPW": 2097152,
}
MAX_BITS = (1 << 31) - 1


class Unreadable(Exception):
    """A file cannot be read; the message names the file and, where known, the line."""


class BadValue(ValueError):
    """A line or a value says something that cannot be understood; the message says what."""


@dataclass(frozen=True)
class Action:
    """One line of [Actions]: its number in the file, the action, and its properties as written.

    ``subject`` is the name of a line without properties (``DeleteApplication:/old``). ``problem`` is "", or
    why the line cannot be understood.
    """

    number: int
    action: str
    properties: Mapping[str, str] = field(default_factory=dict)
    subject: str = ""
    problem: str = ""

    @property
    def name(self) -> str:
        """What the line is about, as written."""
        return self.get("Name") or self.subject

    def get(self, name: str) -> str:
        """Return a property's value without regard to the case of its name, or ""."""
        return next((value for key, value in self.properties.items() if key.lower() == name.lower()), "")


def read_file(path: Path) -> list[Action]:
    """Read the actions of a file. Raises Unreadable."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if len(data) > MAX_BYTES:
        raise Unreadable(f"{path}: is larger than {MAX_BYTES >> 20} MB, which no merge file is.")
    return parse(_decode(path, data))


def _decode(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # error.object lacks the byte order mark, which has no line end: the line is right either way.
        line = len(LINE_END.findall(error.object[: error.start].decode("utf-8"))) + 1
        byte = error.object[error.start]
        raise Unreadable(f"{path}, line {line}: is not UTF-8 (byte 0x{byte:02X}); save the file as UTF-8.") from error


def parse(text: str) -> list[Action]:
    """Return the lines of [Actions] in their order; a line that cannot be understood carries its problem."""
    return [parse_line(number, line) for number, line in action_lines(text)]


def action_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number and text of each line of [Actions] that says something."""
    inside = False
    for number, raw in enumerate(LINE_END.split(text.removeprefix("\ufeff")), 1):
        line = raw.strip(" \t")
        if not line or line[0] in ";#":
            continue
        if section := SECTION.match(line):
            inside = section[1].lower() == "actions"
        elif inside:
            yield number, line


def parse_line(number: int, line: str) -> Action:
    """Parse one line, ``Action:Property=value,…``."""
    match = ACTION.match(line)
    if match is None:
        return Action(number, "", subject=line, problem="This is no action: expected Action:Property=value,….")
    action, rest = match[1], match[2]
    try:
        subject, properties = parse_properties(rest)
    except BadValue as error:
        return Action(number, action, problem=str(error))
    return Action(number, action, properties, subject)


def parse_properties(text: str) -> tuple[str, dict[str, str]]:
    """Return what stands before the first property, and the properties. Raises BadValue."""
    if len(text) > MAX_LINE:
        raise BadValue(f"The line is longer than {MAX_LINE:,} characters.")
    if found := CONTROL.search(text):
        raise BadValue(f"The line has the control character \\x{ord(found[0]):02x}.")
    subject = current = ""
    properties: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in _pieces(text):
        if name:
            if name.lower() in seen:
                raise BadValue(f"{name} is given twice.")
            seen.add(name.lower())
            properties[name] = value
            current = name
        elif value and current:
            properties[current] += f",{value}"
        elif value:
            subject = f"{subject},{value}" if subject else value
    return subject, properties


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name ("" where there is none) and the value of each piece between commas."""
    position = 0
    while position < len(text):
        name = ""
        if match := PROPERTY.match(text, position):
            name, position = match[1], match.end()
        elif text[position : position + 1] == "=":
            raise BadValue("A value stands without the name of its property.")
        value, position = _value(text, position)
        yield name, value
        position += 1  # the comma


def _value(text: str, start: int) -> tuple[str, int]:
    """Read one value, quoted or not, and return it with the position of the comma after it."""
    while text[start : start + 1] in (" ", "\t"):
        start += 1
    if text[start : start + 1] != '"':
        match = BARE.match(text, start)
        assert match is not None  # BARE matches anything, nothing included
        return match[0].strip(), match.end()
    quoted = QUOTED.match(text, start)
    if quoted is None:
        raise BadValue("A double quote is opened and never closed; a quote inside a value is written twice.")
    if text[quoted.end() : quoted.end() + 1] not in ("", ","):
        raise BadValue("There is text after a closing double quote; a quote inside a value is written twice.")
    return quoted[1].replace('""', '"'), quoted.end()


def parse_bits(text: str) -> int:
    """Read AutheEnabled: a number, or numbers and macros joined with ``+``. Raises BadValue."""
    bits = 0
    for piece in text.split("+"):
        bits |= _bit(piece.strip())
    return bits


def _bit(piece: str) -> int:
    if re.fullmatch(r"[0-9]{1,10}", piece) and int(piece) <= MAX_BITS:
        return int(piece)
    macro = piece.removeprefix("$$$").lower()
    for name, bit in AUTHE_MACROS.items():
        if piece.startswith("$$$") and name.lower() == macro:
            return bit
    known = ", ".join(f"$$${name}" for name in AUTHE_MACROS)
    raise BadValue(f"AutheEnabled: {shown(piece)} is neither a number up to {MAX_BITS} nor one of {known}.")


def parse_number(name: str, text: str, maximum: int = MAX_BITS) -> int:
    """Read a property that is a whole number from 0 to ``maximum``. Raises BadValue."""
    if re.fullmatch(r"[0-9]{1,10}", text) and int(text) <= maximum:
        return int(text)
    if not text:
        raise BadValue(f"{name} has no value; leave the property out, or give a number.")
    expected = "0 or 1" if maximum == 1 else f"a whole number from 0 to {maximum}"
    raise BadValue(f"{name}: {shown(text)} is not {expected}.")


def shown(text: str, limit: int = 60) -> str:
    """Quote somebody's text for a message: control characters escaped, cut where it is long."""
    safe = CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return f"“{safe[: limit - 1]}…”" if len(safe) > limit else f"“{safe}”"
