"""What a part of Stoa says too often is counted."""

from __future__ import annotations

from webapps.runtime.flood import LINES, WINDOW, Floods


def test_the_first_lines_are_written_and_the_others_counted() -> None:
    floods = Floods()

    kept = [line for _ in range(3) for line in floods.sift("front", ["a line"] * LINES, now=0.0)]

    assert len(kept) == LINES
    assert floods.due == [WINDOW]
    assert floods.over(WINDOW - 1) == []
    assert floods.over(WINDOW) == [("front", f"{2 * LINES} more lines within 10 seconds are not written")]
    assert floods.over(WINDOW) == [] and floods.due == []
    assert floods.sift("front", ["again"], now=WINDOW + 1) == ["again"]


def test_one_part_takes_no_lines_from_another() -> None:
    floods = Floods()
    floods.sift("front", ["a line"] * LINES * 2, now=0.0)

    assert floods.sift("portal", ["a word"], now=0.0) == ["a word"]


def test_few_lines_are_all_written_however_long_it_takes() -> None:
    floods = Floods()

    assert all(floods.sift("front", ["a line"], now=number * WINDOW) for number in range(2 * LINES))
    assert floods.due == []
