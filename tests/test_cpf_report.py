from __future__ import annotations

from webapps.cpf.report import Report, Result, Row, render, table

WHY = "AutheEnabled is left out: the application is public, and that is said in a sentence that has to wrap."
REPORT = Report(
    "merge.cpf",
    (
        Row(2, "CreateDatabase", "DATA", Result.SKIPPED, "Stoa has no such action."),
        Row(10, "CreateApplication", "/notes", Result.CREATED, warnings=(WHY,)),
    ),
)


def test_a_report_is_aligned_with_a_line_for_each_row_where_it_is_not_wrapped():
    assert list(render(REPORT)) == [
        "merge.cpf",
        "Line  Result   Action                    Why",
        "   2  skipped  CreateDatabase DATA       Stoa has no such action.",
        f"  10  created  CreateApplication /notes  Warning: {WHY}",
        "2 lines: 1 created, 1 skipped. 1 warning.",
    ]


def test_a_report_fits_a_terminal_of_80_columns():
    lines = list(render(REPORT, 80))
    assert max(map(len, lines)) <= 80
    assert "wrap." in lines[-2]
    assert lines[2].startswith("   2  skipped  CreateDatabase DATA")


def test_only_the_result_is_coloured():
    lines = list(render(REPORT, 80, lambda text, result: f"<{result}>" if result == "created" else text))
    assert [line for line in lines if "<created>" in line] == [line for line in lines if "/notes" in line]


def test_a_file_cannot_steer_the_terminal():
    row = Row(2, "CreateApplication", "/a\x1b[2J\u202e\n", Result.ERROR, "“\x9b”")
    lines = list(render(Report("a\x1b.cpf", (row,))))
    assert all(line.isprintable() for line in lines)


def test_a_file_without_actions_says_so():
    assert list(render(Report("empty.cpf"))) == ["empty.cpf", "No line under [Actions]: nothing to merge."]


def test_a_report_fails_when_a_line_or_the_file_does():
    assert not REPORT.failed
    assert Report("a", (Row(2, "A", "", Result.ERROR),)).failed
    assert Report("a", problem="cannot be read").failed


def test_a_word_that_is_longer_than_its_column_is_broken():
    assert max(len(line) for line in table(("A", "B", "C", "D"), [("1", "x", "y" * 64, "z" * 200)], 80)) <= 80
