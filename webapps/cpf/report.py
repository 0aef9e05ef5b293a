"""What a merge did, a row for each line of [Actions], and how a terminal shows it."""

from __future__ import annotations

import enum
import shutil
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


class Result(enum.StrEnum):
    """What became of one line, in the word that the report uses."""

    CREATED = "created"
    MODIFIED = "modified"
    DELETED = "deleted"
    EXISTS = "exists"
    ABSENT = "absent"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    ERROR = "error"


CHANGES = frozenset({Result.CREATED, Result.MODIFIED, Result.DELETED})


@dataclass(frozen=True)
class Row:
    """What became of one line: its number, what it was about, the result, and why in sentences."""

    number: int
    action: str
    name: str
    result: Result
    why: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """What the line was about, in one cell."""
        return printable(f"{self.action} {self.name}".strip())

    @property
    def words(self) -> str:
        """Why, and the warnings, in one cell."""
        return printable(" ".join([self.why, *(f"Warning: {warning}" for warning in self.warnings)]).strip())


@dataclass(frozen=True)
class Report:
    """What became of one file. ``problem`` is "" or why it could not be read at all."""

    file: str
    rows: tuple[Row, ...] = ()
    problem: str = ""

    @property
    def failed(self) -> bool:
        """Whether anything is an error."""
        return bool(self.problem) or any(row.result is Result.ERROR for row in self.rows)

    def summary(self) -> str:
        """Count the results in one line."""
        if self.problem:
            return self.problem
        if not self.rows:
            return "No line under [Actions]: nothing to merge."
        counts = Counter(row.result for row in self.rows)
        words = ", ".join(f"{counts[result]} {result}" for result in Result if counts[result])
        warnings = sum(len(row.warnings) for row in self.rows)
        told = f" {_counted(warnings, 'warning')}." if warnings else ""
        return f"{_counted(len(self.rows), 'line')}: {words}.{told}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


Paint = Callable[[str, str], str]


def plain(text: str, _result: str) -> str:
    """Leave text as it is, where there is no colour."""
    return text


def printable(text: str) -> str:
    """Escape what does not print, so that no file can steer a terminal or forge a line."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def render(report: Report, width: int | None = None, paint: Paint = plain) -> Iterator[str]:
    """Yield the report's lines, wrapped to ``width`` columns; None: one line for each row, for grep."""
    yield printable(report.file)
    if report.rows:
        heads = ("Line", "Result", "Action", "Why")
        cells = [(str(row.number), row.result.value, row.subject, row.words) for row in report.rows]
        yield from table(heads, cells, width, paint, right=True)
    yield printable(report.summary())


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    width: int | None = None,
    paint: Paint = plain,
    *,
    right: bool = False,
) -> Iterator[str]:
    """Yield an aligned table; the last two columns wrap where ``width`` is given.

    ``paint`` colours the second column by its word; ``right`` aligns the first to the right, as numbers are.
    """
    rows = list(rows)
    columns = [max(len(row[at]) for row in [heads, *rows]) for at in range(len(heads))]
    if width is not None:
        columns = _fitted(columns, width)
    for at, row in enumerate([heads, *rows]):
        yield from _lines(row, columns, width, paint if at else plain, right)


def _fitted(columns: Sequence[int], width: int) -> list[int]:
    """Share what the fixed columns leave between the last two."""
    *fixed, first, last = columns
    room = max(30, width - sum(fixed) - 2 * (len(columns) - 1))
    if first + last > room:
        first = max(min(first, room * 2 // 5), room - last)
        last = room - first
    return [*fixed, first, last]


def _lines(row: Sequence[str], columns: Sequence[int], width: int | None, paint: Paint, right: bool) -> Iterator[str]:
    cells = [[cell] if width is None else _wrapped(cell, column) for cell, column in zip(row, columns, strict=True)]
    for number in range(max(map(len, cells))):
        parts = [cell[number] if number < len(cell) else "" for cell in cells]
        padded = [part.ljust(column) for part, column in zip(parts, columns, strict=True)]
        if right:
            padded[0] = parts[0].rjust(columns[0])
        padded[1] = paint(padded[1], parts[1]) if parts[1] else padded[1]
        yield "  ".join(padded).rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]


def width_of(stream: Any) -> int | None:
    """Return how many columns to wrap to; None where nobody looks and lines stay whole."""
    return max(60, shutil.get_terminal_size().columns) if stream.isatty() else None
