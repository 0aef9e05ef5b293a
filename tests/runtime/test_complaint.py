from __future__ import annotations

from webapps.runtime.complaint import mark


def test_the_same_words_are_the_same_complaint():
    assert mark("app raised KeyError", "line 1") == mark("app raised KeyError", "line 1")


def test_another_reason_or_another_line_is_another_complaint():
    marks = {mark("a", "line 1"), mark("b", "line 1"), mark("a", "line 2"), mark("a", "")}
    assert len(marks) == 4


def test_where_an_object_was_in_memory_makes_no_difference():
    words = "<app.Database object at 0x7f{}> is closed"
    assert mark(words.format("0a1b"), words.format("0a1b")) == mark(words.format("FF00"), words.format("FF00"))


def test_a_lone_surrogate_has_a_mark():
    assert mark("\udcff", "")
