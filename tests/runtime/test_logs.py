from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from webapps.runtime import logs, rotation
from webapps.runtime.logs import Assembler, read_tail

WHEN = "2026-11-21T08:19:01.123Z"


def write(path: Path, label: str, texts: Iterable[str], generation: int = 1, stream: str = "out") -> None:
    prefix = logs.webapp_prefix(label, generation, stream)
    with path.open("ab") as file:
        file.write(logs.format_lines(WHEN, prefix, texts))


def said(tail: logs.Tail) -> list[str]:
    return [line.text for line in tail.lines]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "WSGI.log"


# A line


def test_a_line_of_an_application_is_taken_apart_as_it_was_made(log: Path) -> None:
    write(log, "/csp/notes", ["hello  world"], generation=3, stream="err")
    (line,) = read_tail(log).lines
    assert line.raw == f"{WHEN} /csp/notes g3 err hello  world"
    assert (line.time, line.label, line.generation, line.stream) == (WHEN, "/csp/notes", 3, "err")
    assert line.text == "hello  world"


def test_a_message_is_taken_apart_as_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "messages.log"
    path.write_bytes(logs.format_lines(WHEN, logs.message_prefix("supervisor", "warning"), ["g3 out is slow"]))
    (line,) = read_tail(path, label="supervisor").lines
    assert (line.source, line.level, line.generation, line.text) == (
        "supervisor",
        "warning",
        0,
        "g3 out is slow",
    )
    assert read_tail(path, label="portal").lines == []


def test_a_blank_line_stays_a_line(log: Path) -> None:
    write(log, "/a", ["", "x"])
    assert said(read_tail(log, label="/a")) == ["", "x"]


def test_a_line_of_another_form_is_shown_as_it_is(log: Path) -> None:
    log.write_text("not ours\n")
    (line,) = read_tail(log).lines
    assert (line.text, line.label) == ("not ours", "")


def test_times_are_utc_with_milliseconds() -> None:
    assert logs.stamp(1795249141.0019) == "2026-11-21T08:19:01.001Z"


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b"\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        (b"a\x00b\x7fc", r"a\x00b\x7fc"),
        (b"tab\there", "tab\there"),
        (b"end\r", "end"),
        (b"10%\r20%", r"10%\x0d20%"),
        (b"\x0b\x0c\x1c\x1d\x1e", r"\x0b\x0c\x1c\x1d\x1e"),
        ("\u0085\u009b31m".encode(), r"\x85\x9b31m"),
        ("\u2028\u2029".encode(), r"\u2028\u2029"),
        ("\u202a\u202e\u2066\u2069".encode(), r"\u202a\u202e\u2066\u2069"),
        (b"caf\xe9", r"caf\xe9"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        (b"\xc0\x8a", r"\xc0\x8a"),
        ("Grüße 東京 🐍".encode(), "Grüße 東京 🐍"),
    ],
)
def test_what_could_end_a_line_or_steer_a_terminal_is_spelled_out(printed: bytes, shown: str) -> None:
    assert logs.texts_of(printed + b"\n") == [shown]


def test_no_character_that_a_splitter_of_lines_knows_gets_through() -> None:
    everything = "".join(map(chr, range(0x110000)))
    assert logs.escape(everything.replace("\n", "")).splitlines()[1:] == []


def test_a_long_line_is_cut_to_8_kib_and_says_so() -> None:
    line = logs.format_lines(WHEN, "/a g1 out ", ["é" * 9000])
    assert len(line) <= 8192
    assert line.decode().endswith("é…\n")


@pytest.mark.parametrize("shift", range(6))
def test_a_cut_never_leaves_half_an_escape(shift: int) -> None:
    line = logs.format_lines(WHEN, "/a g1 out ", ["x" * shift + r"\u202e" * 2000]).decode()
    assert line.endswith(r"\u202e…" + "\n")


def test_an_application_can_not_forge_a_line_of_another(log: Path) -> None:
    forged = f"x\r{WHEN} /other g1 out forged\u2028{WHEN} /other g1 out forged\x85".encode()
    write(log, "/a", logs.texts_of(forged + b"\n"))
    assert read_tail(log, label="/other").lines == []
    assert len(read_tail(log, label="/a").lines) == 1


@pytest.mark.parametrize("label", ["/a g1 out x\n", "/a\u2003b", "/a\tb", "", None, 7, "/" + "x" * 5000, "\ud800"])
def test_a_label_is_one_word_whatever_it_was(label: object) -> None:
    prefix = logs.webapp_prefix(label, "3\n", "x y")
    assert prefix.endswith(" g0 stoa ")
    assert len(prefix.split()) == 3
    assert len(prefix) < 320


@pytest.mark.parametrize(("source", "level"), [("a b", "x"), (None, []), ("", "info\n")])
def test_a_source_and_a_level_are_words_that_are_known(source: object, level: object) -> None:
    assert logs.message_prefix(source, level) == "log info "


# Whole lines from pieces


def test_lines_are_the_same_however_they_are_cut_into_pieces() -> None:
    printed = "one\r\nzwei ü\n\n三\n".encode() + b"\xff\nlast"
    for size in range(1, len(printed) + 1):
        assembler = Assembler()
        texts: list[str] = []
        for start in range(0, len(printed), size):
            texts += assembler.feed(printed[start : start + size])
        assert texts + assembler.end() == ["one", "zwei ü", "", "三", r"\xff", "last"], size


def test_an_unfinished_line_is_given_up_with_a_mark_and_its_rest_with_another() -> None:
    assembler = Assembler()
    assert assembler.feed(b"Name? ") == []
    assert assembler.pause() == ["Name? …"]
    assert assembler.pause() == []
    assert assembler.feed(b"Ada\nnext\n") == ["…Ada", "next"]


def test_a_newline_alone_after_an_unfinished_line_is_no_line() -> None:
    assembler = Assembler()
    assembler.feed(b"Loading")
    assert assembler.pause() == ["Loading…"]
    assert assembler.feed(b"\n") == []
    assert assembler.end() == []


def test_a_character_that_has_only_begun_waits_for_its_end() -> None:
    assembler = Assembler()
    assembler.feed("日本".encode()[:4])
    assert assembler.pause() == ["日…"]
    assert assembler.feed("日本".encode()[4:] + b"\n") == ["…本"]


def test_a_line_without_end_takes_no_memory_and_the_next_one_is_whole() -> None:
    assembler = Assembler()
    texts = [text for _ in range(100) for text in assembler.feed(b"x" * 5000)]
    assert len(texts) == 1
    assert len(assembler.partial) <= logs.MAX_LINE
    assert assembler.feed(b"x\nwhole\n") == ["whole"]


# The tail


def test_a_file_that_is_not_there_has_no_lines_and_a_position_to_follow_from(log: Path) -> None:
    tail = read_tail(log)
    assert (tail.lines, tail.truncated) == ([], False)
    write(log, "/a", ["first"])
    assert said(read_tail(log, after=tail.position)) == ["first"]


@pytest.mark.parametrize("lines", [0, 1, 9, 10, 11])
def test_the_last_lines_come_oldest_first(log: Path, lines: int) -> None:
    write(log, "/a", [str(number) for number in range(10)])
    tail = read_tail(log, lines=lines)
    assert said(tail) == [str(number) for number in range(10)][10 - min(lines, 10) :]
    assert tail.truncated == (0 < lines < 10)


def test_lines_are_whole_across_blocks(log: Path) -> None:
    texts = [f"{number} " + "x" * (number * 37 % 8000) for number in range(200)]
    write(log, "/a", texts)
    assert log.stat().st_size > 5 * logs.BLOCK
    assert said(read_tail(log, lines=1000)) == texts


def test_it_goes_on_into_the_backups(log: Path) -> None:
    for number in range(4):
        write(log, "/a", [f"{number}a", f"{number}b"])
        rotation.rotate(log)
    write(log, "/a", ["now"])
    assert said(read_tail(log)) == ["0a", "0b", "1a", "1b", "2a", "2b", "3a", "3b", "now"]
    tail = read_tail(log, lines=4)
    assert said(tail) == ["2b", "3a", "3b", "now"]
    assert tail.truncated


def test_it_filters_by_application_exactly(log: Path) -> None:
    for label in ("/csp/notes", "/csp/notes2", "/csp", "apps.example/csp/notes"):
        write(log, label, [f"of {label}", "/csp/notes g1 out is not mine"])
    assert {line.label for line in read_tail(log, label="/csp/notes").lines} == {"/csp/notes"}


def test_it_filters_by_generation_and_by_text_in_either_case(log: Path) -> None:
    write(log, "/a", ["Straße", "other"], generation=1)
    write(log, "/a", ["STRASSE", "g1 other"], generation=11)
    assert said(read_tail(log, label="/a", text="strasse")) == ["Straße", "STRASSE"]
    assert said(read_tail(log, generation=1)) == ["Straße", "other"]
    assert said(read_tail(log, label="/a", generation=11, text="OTHER")) == ["g1 other"]


def test_text_is_looked_for_in_the_text_alone(log: Path) -> None:
    write(log, "/notes", ["hello"])
    assert read_tail(log, text="notes").lines == []


def test_what_concerns_every_application_is_shown_for_each(log: Path) -> None:
    write(log, "*", ["3 lines were lost"], generation=0, stream="stoa")
    write(log, "/b", ["x"])
    assert said(read_tail(log, label="/a", generation=3)) == ["3 lines were lost"]


def test_following_returns_each_line_once_through_rotations(log: Path) -> None:
    position, seen = read_tail(log).position, []
    for number in range(30):
        write(log, "/a", [f"{number}a", f"{number}b"])
        if number % 4 == 1:
            rotation.rotate(log)
        if number % 3 == 0:
            tail = read_tail(log, after=position)
            assert not tail.truncated
            position = tail.position
            seen += said(tail)
    seen += said(read_tail(log, after=position))
    assert seen == [f"{number}{half}" for number in range(30) for half in "ab"]


def test_following_gives_the_last_lines_when_there_are_too_many(log: Path) -> None:
    write(log, "/a", ["before"])
    position = read_tail(log).position
    write(log, "/a", [str(number) for number in range(10)])
    tail = read_tail(log, after=position, lines=3)
    assert said(tail) == ["7", "8", "9"]
    assert tail.truncated


def test_a_position_moves_on_past_lines_that_are_not_wanted(log: Path) -> None:
    write(log, "/a", ["x"])
    tail = read_tail(log, label="/b")
    assert read_tail(log, after=tail.position).lines == []


@pytest.mark.parametrize("after", ["", "x", "1", "-1:2:0", "1:1:zzzzzzzz", "9" * 400, "²:1:00000000", "1:1:0000000g"])
def test_a_position_that_makes_no_sense_reads_as_none(log: Path, after: str) -> None:
    write(log, "/a", ["x"])
    tail = read_tail(log, after=after)
    assert said(tail) == ["x"]
    assert tail.truncated


def test_a_position_in_a_file_that_was_emptied_and_written_again_is_not_believed(log: Path) -> None:
    write(log, "/a", ["old"])
    position = read_tail(log).position
    log.write_bytes(b"")
    write(log, "/b", ["new " * 20])
    tail = read_tail(log, after=position)
    assert len(tail.lines) == 1
    assert tail.truncated


def test_a_line_that_is_half_written_waits_for_its_end(log: Path) -> None:
    write(log, "/a", ["whole"])
    with log.open("ab") as file:
        file.write(f"{WHEN} /a g1 out ha".encode())
    tail = read_tail(log)
    assert said(tail) == ["whole"]
    with log.open("ab") as file:
        file.write(b"lf\n")
    assert said(read_tail(log, after=tail.position)) == ["half"]


def test_a_foreign_file_without_a_newline_takes_little_memory(log: Path) -> None:
    log.write_bytes(b"\xff" * (3 << 20))
    assert read_tail(log, text="x").lines == []
    with log.open("ab") as file:
        file.write(b"\n")
    assert len(read_tail(log).lines) == 1


def test_ten_megabytes_without_a_match_are_read_in_a_moment(log: Path) -> None:
    write(log, "/a", ["a line of a usual length, as applications print them"] * 110_000)
    assert log.stat().st_size > 9 << 20
    began = time.process_time()
    assert read_tail(log, label="/b").lines == []
    assert read_tail(log, text="nowhere").lines == []
    assert read_tail(log, label="/a", text="nowhere").lines == []
    assert time.process_time() - began < 2


# The file


def notice(lost: int, reason: str) -> bytes:
    return f"{lost} lost: {reason}\n".encode()


def test_a_log_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = rotation.LogFile(tmp_path / "log" / "WSGI.log", notice)
    file.append(b"x\n")
    file.close()
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700


def test_it_rotates_by_size_and_keeps_five_backups(log: Path) -> None:
    file = rotation.LogFile(log, notice, limit=20)
    for number in range(40):
        file.append(b"%03d456789\n" % number)
    file.close()
    files = sorted(log.parent.iterdir())
    assert [path.name for path in files] == ["WSGI.log", *(f"WSGI.log.{number}" for number in range(1, 6))]
    assert max(path.stat().st_size for path in files) <= 20
    assert log.with_name("WSGI.log.5").read_bytes() == b"028456789\n029456789\n"


def test_a_file_that_was_moved_away_is_made_again(log: Path) -> None:
    clock = iter(range(100))
    file = rotation.LogFile(log, notice, clock=lambda: float(next(clock)))
    file.append(b"one\n")
    log.rename(log.with_name("elsewhere"))
    file.append(b"two\n")
    log.unlink()
    file.append(b"three\n")
    file.close()
    assert log.read_bytes() == b"three\n"


def test_what_a_power_cut_left_of_a_line_does_not_swallow_the_next(log: Path) -> None:
    log.write_bytes(b"whole\nhal")
    file = rotation.LogFile(log, notice)
    file.append(b"next\n")
    file.close()
    assert log.read_bytes() == b"whole\nhal\nnext\n"


def test_a_directory_that_cannot_be_made_costs_lines_that_are_counted(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file in the way")
    file = rotation.LogFile(tmp_path / "log" / "WSGI.log", notice)
    file.append(b"a\nb\n")
    file.append(b"c\n")
    assert file.lost == 3
    (tmp_path / "log").unlink()
    file.append(b"d\n")
    file.close()
    lost = f"3 lost: {os.strerror(errno.EEXIST)}\n"
    assert file.path.read_text() == lost + "d\n"


def test_a_large_file_of_somebody_else_is_rotated(log: Path) -> None:
    assert not rotation.rotate_when_large(log, limit=10)
    log.write_bytes(b"x" * 9)
    assert not rotation.rotate_when_large(log, limit=10)
    log.write_bytes(b"x" * 10)
    assert rotation.rotate_when_large(log, limit=10)
    assert not log.exists()
