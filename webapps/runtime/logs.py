r"""The lines of WSGI.log and messages.log: how one is made, and how the tail of a log is read.

WSGI.log:      ``<time> <label> g<generation> <stream> <text>``, stream is out, err or stoa.
messages.log:  ``<time> <source> <level> <text>``.

Times are UTC with milliseconds. A line, its newline included, is at most 8 KiB long; a longer one is
cut and ends in ``…``. Characters that could end a line or steer a terminal stand as ``\xNN`` or
``\uNNNN``, and so does each byte that is not UTF-8. The label ``*`` means every application.
"""

from __future__ import annotations

import codecs
import os
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .rotation import history

MAX_LINE = 8192
MAX_LABEL = 300
CUT = "…"
EVERYBODY = "*"
STREAMS = ("out", "err", "stoa")
LEVELS = ("debug", "info", "warning", "error", "critical")

BLOCK = 1 << 16
MAX_SCAN = 64 << 20
MAX_LINES = 10_000
FINGERPRINT = 64

# C0 without tab and newline, DEL, C1, line and paragraph separators, what turns the direction of
# writing (https://trojansource.codes), and surrogates, which UTF-8 cannot hold.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BROKEN_ESCAPE = re.compile(r"\\(x[0-9a-f]?|u[0-9a-f]{0,3})?\Z")
_WEBAPP_LINE = re.compile(r"(\S+) (\S+) g(\d+) (out|err|stoa) ?(.*)", re.DOTALL)
_MESSAGE_LINE = re.compile(r"(\S+Z) (\w+) ([a-z]+) ?(.*)", re.DOTALL)
_POSITION = re.compile(r"([0-9]{1,20}):([0-9]{1,20}):([0-9a-f]{8})", re.ASCII)
_NOWHERE = "0:0:00000000"


# How a line is made


def stamp(seconds: float) -> str:
    """Write a time since the epoch as ``2026-11-21T08:19:01.123Z``."""
    milliseconds = int(seconds * 1000)
    day = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{day}.{milliseconds % 1000:03d}Z"


def escape(text: str) -> str:
    """Spell out what could end a line or steer a terminal; newlines and tabs stay."""
    return _UNSAFE.sub(_spelled, text)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def texts_of(lines: bytes) -> list[str]:
    """Turn whole lines, each with its newline, into texts that are safe to show."""
    text = lines.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return escape(text).split("\n")[:-1]


def webapp_prefix(label: object, generation: object, stream: object) -> str:
    """Write what stands between the time and the text in WSGI.log; wrong values are made harmless."""
    number = generation if isinstance(generation, int) and generation >= 0 else 0
    return f"{_word(label)} g{int(number)} {stream if stream in STREAMS else 'stoa'} "


def message_prefix(source: object, level: object) -> str:
    """Write what stands between the time and the text in messages.log; wrong values are made harmless."""
    name = source if isinstance(source, str) and re.fullmatch(r"\w{1,40}", source, re.ASCII) else "log"
    return f"{name} {level if level in LEVELS else 'info'} "


def _word(label: object) -> str:
    """Make a label that holds neither a space nor a newline."""
    if not isinstance(label, str) or not label:
        return "-"
    word = "".join(f"\\x{ord(char):02x}" if char.isspace() else char for char in escape(label))
    return word[:MAX_LABEL]


def format_lines(when: str, prefix: str, texts: Iterable[str]) -> bytes:
    """Make the lines of a log from safe texts without newlines, none longer than 8 KiB."""
    start = f"{when} {prefix}"
    room = MAX_LINE - len(start.encode()) - 1
    return "".join(f"{start}{_fit(text, room)}\n" for text in texts).encode()


def _fit(text: str, room: int) -> str:
    """Cut a text that takes more than ``room`` bytes, but not within a character or its escape."""
    if len(text) * 4 <= room:
        return text
    data = text.encode()
    if len(data) <= room:
        return text
    kept = data[: room - len(CUT.encode())].decode("utf-8", "ignore")
    return _BROKEN_ESCAPE.sub("", kept) + CUT


class Assembler:
    """Cut what comes from one pipe into whole lines."""

    def __init__(self) -> None:
        self.partial = b""
        self._skipping = False
        self._continued = False

    def feed(self, data: bytes) -> list[str]:
        """Take what was read; return the lines that are whole now."""
        if self._skipping:
            _, newline, data = data.partition(b"\n")
            self._skipping = not newline
        head, newline, self.partial = (self.partial + data).rpartition(b"\n")
        texts = self._marked(texts_of(head + newline)) if newline else []
        if len(self.partial) > MAX_LINE:
            texts += self._overlong()
        return texts

    def pause(self) -> list[str]:
        """Give up the unfinished line after a silence, as far as its characters are whole."""
        text, used = codecs.utf_8_decode(self.partial.removesuffix(b"\r"), "backslashreplace", False)
        if not text:
            return []
        self.partial = self.partial[used:]
        texts = self._marked([escape(text) + CUT])
        self._continued = True
        return texts

    def end(self) -> list[str]:
        """Give up the unfinished line because no more will come."""
        texts = self._marked(texts_of(self.partial + b"\n")) if self.partial else []
        self.partial = b""
        return texts

    def _overlong(self) -> list[str]:
        """Give up a line that has no end; the rest of it will be passed over."""
        texts = self._marked(texts_of(self.partial + b"\n"))
        self.partial = b""
        self._skipping = True
        return texts

    def _marked(self, texts: list[str]) -> list[str]:
        """Mark the first line as the rest of the one that was given up unfinished."""
        if not self._continued:
            return texts
        self._continued = False
        return [CUT + texts[0], *texts[1:]] if texts[0] else texts[1:]


# How the tail is read


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log, taken apart; a line of another form has its ``text`` and ``raw`` only."""

    time: str
    label: str
    generation: int
    stream: str
    text: str
    raw: str

    @property
    def source(self) -> str:
        """The part of Stoa that speaks, in messages.log."""
        return self.label

    @property
    def level(self) -> str:
        """How grave it is, in messages.log."""
        return self.stream


@dataclass(frozen=True)
class Tail:
    """The last lines, oldest first, and the ``position`` to go on from.

    ``truncated`` says that there is more before them (after the position that was asked for).
    """

    lines: list[LogLine]
    position: str
    truncated: bool


def parse(raw: str) -> LogLine:
    """Take a line apart."""
    match = _WEBAPP_LINE.fullmatch(raw)
    if match:
        return LogLine(match[1], match[2], int(match[3]), match[4], match[5], raw)
    match = _MESSAGE_LINE.fullmatch(raw)
    if match:
        return LogLine(match[1], match[2], 0, match[3], match[4], raw)
    return LogLine("", "", 0, "", raw, raw)


def read_tail(
    path: Path | str,
    *,
    lines: int = 200,
    label: str = "",
    text: str = "",
    generation: int = 0,
    after: str | None = None,
) -> Tail:
    """Read the last ``lines`` lines that match, from the newest file back into its backups.

    ``label`` is an application's label or a source, exactly; ``text`` is looked for in the text in
    either case; ``generation`` 0 means any. ``after`` is an earlier ``position``: only what came
    since is returned. A position that is no longer in the history reads as none, with
    ``truncated``. A file that is not there has no lines. Raises OSError where it cannot be read.
    """
    wanted = _Wanted(label, text, generation)
    count = max(0, min(lines, MAX_LINES))
    with ExitStack() as stack:
        files = _open_all(stack, Path(path))
        ranges, lost = _ranges(files, after)
        scan = _Scan(ranges, MAX_SCAN)
        found = list(scan.matches(wanted, count + 1)) if count else []
        position = _position(files)
    truncated = lost or scan.exhausted or len(found) > count
    return Tail(found[:count][::-1], position, truncated)


@dataclass(frozen=True)
class _File:
    """An open file and where its last whole line ends."""

    fd: int
    inode: int
    end: int

    def fingerprint(self, offset: int) -> int:
        """Sum up how the file begins: inode numbers are used again."""
        return zlib.crc32(os.pread(self.fd, min(offset, FINGERPRINT), 0))


@dataclass(frozen=True)
class _Range:
    fd: int
    start: int
    end: int


def _open_all(stack: ExitStack, path: Path) -> list[_File]:
    """Open the file and its backups, newest first: what is rotated meanwhile is met twice, not missed."""
    files: list[_File] = []
    for name in history(path):
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            continue
        stack.callback(os.close, fd)
        status = os.fstat(fd)
        if status.st_ino not in [file.inode for file in files]:
            files.append(_File(fd, status.st_ino, _last_line_end(fd, status.st_size)))
    return files


def _last_line_end(fd: int, size: int) -> int:
    """Find the end of the last whole line: the next one may be half written."""
    start = max(0, size - BLOCK)
    return start + os.pread(fd, size - start, start).rfind(b"\n") + 1


def _position(files: Sequence[_File]) -> str:
    if not files:
        return _NOWHERE
    newest = files[0]
    return f"{newest.inode}:{newest.end}:{newest.fingerprint(newest.end):08x}"


def _ranges(files: Sequence[_File], after: str | None) -> tuple[list[_Range], bool]:
    """Choose what to read, newest first; say also whether ``after`` is no longer there."""
    whole = [_Range(file.fd, 0, file.end) for file in files]
    if after is None or after == _NOWHERE:
        return whole, False
    match = _POSITION.fullmatch(after)
    if not match:
        return whole, True
    inode, offset, fingerprint = int(match[1]), int(match[2]), int(match[3], 16)
    for index, file in enumerate(files):
        if file.inode == inode and offset <= file.end and file.fingerprint(offset) == fingerprint:
            return [*whole[:index], _Range(file.fd, offset, file.end)], False
    return whole, True


class _Wanted:
    """What the reader asks for; blocks that cannot hold it are passed over without being split."""

    def __init__(self, label: str, text: str, generation: int) -> None:
        self.label = label
        self.text = text.casefold()
        self.generation = generation
        number = f"g{generation} " if generation else ""
        sign = f" {label} {number}" if label else f" {number}" if number else ""
        self._sign = sign.encode("utf-8", "replace")
        self._everybody = f" {EVERYBODY} g".encode()

    def may_be_in(self, block: bytes) -> bool:
        """Say whether a block of lines, or one line, is worth a closer look."""
        if self._sign not in block and self._everybody not in block:
            return False
        return not self.text or self.text in block.decode("utf-8", "replace").casefold()

    def take(self, raw: bytes) -> LogLine | None:
        """Return the line if it is wanted."""
        if not self.may_be_in(raw):
            return None
        line = parse(raw.decode("utf-8", "replace"))
        return line if self._is_for(line) and self.text in line.text.casefold() else None

    def _is_for(self, line: LogLine) -> bool:
        if line.label == EVERYBODY:
            return True
        return self.label in ("", line.label) and self.generation in (0, line.generation)


class _Scan:
    """Go through ranges of files backwards, no further than ``budget`` bytes."""

    def __init__(self, ranges: Iterable[_Range], budget: int) -> None:
        self.exhausted = False
        self._ranges = ranges
        self._budget = budget

    def matches(self, wanted: _Wanted, count: int) -> Iterator[LogLine]:
        """Yield up to ``count`` lines that are wanted, newest first."""
        for block in self._blocks():
            if not wanted.may_be_in(block):
                continue
            for raw in reversed(block.split(b"\n")):
                line = wanted.take(raw) if raw else None
                if line is None:
                    continue
                yield line
                count -= 1
                if not count:
                    return

    def _blocks(self) -> Iterator[bytes]:
        for part in self._ranges:
            for block in _blocks_backwards(part):
                if self._budget <= 0:
                    self.exhausted = True
                    return
                self._budget -= len(block)
                yield block


def _blocks_backwards(part: _Range) -> Iterator[bytes]:
    """Yield blocks of whole lines, the last one first."""
    end, carry = part.end, b""
    while end > part.start:
        size = min(BLOCK, end - part.start)
        data = os.pread(part.fd, size, end - size)
        if len(data) < size:
            return  # somebody cut the file: what is left of it will be read the next time
        end -= size
        block = data + carry
        if end == part.start:
            yield block
            return
        border = block.find(b"\n") + 1
        # Nobody of ours writes a line longer than a block; of a foreign one the beginning is kept.
        carry, block = (block[:border], block[border:]) if border else (block[:BLOCK], b"")
        yield block
