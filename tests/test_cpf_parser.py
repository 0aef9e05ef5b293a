from __future__ import annotations

from pathlib import Path

import pytest

from webapps.cpf.parser import (
    Action,
    BadValue,
    Unreadable,
    parse,
    parse_bits,
    parse_line,
    parse_number,
    read_file,
)

PUBLISHED = Path(__file__).parent / "data" / "cpf"


def only(text: str) -> Action:
    (action,) = parse("[Actions]\n" + text)
    return action


@pytest.mark.parametrize(
    ("text", "properties"),
    [
        ("Name=/a", {"Name": "/a"}),
        ("Name=/a,Description=", {"Name": "/a", "Description": ""}),
        ('Description="Posts, and comments"', {"Description": "Posts, and comments"}),
        ('Description="a=b",Name=/a', {"Description": "a=b", "Name": "/a"}),
        ('Description="say ""yes"""', {"Description": 'say "yes"'}),
        ('Description=""', {"Description": ""}),
        ('Description="" ,Name=/a', {"Description": "", "Name": "/a"}),
        (" Name = /a , ServeFiles = 1 ", {"Name": "/a", "ServeFiles": "1"}),
        ("Name=/a,", {"Name": "/a"}),
        ("Name=/a,,Type=2", {"Name": "/a", "Type": "2"}),
        ("PasswordHash=00ff,00ff,10000,SHA512", {"PasswordHash": "00ff,00ff,10000,SHA512"}),
        ("MatchRoles=a:b,:c,Name=/a", {"MatchRoles": "a:b,:c", "Name": "/a"}),
        ("Description=a=b", {"Description": "a=b"}),
        ('Description=5" screen', {"Description": '5" screen'}),
        ("Description=Größe\u2028次", {"Description": "Größe\u2028次"}),
        ("Description=C:\\apps\\", {"Description": "C:\\apps\\"}),
        ("Description=a;b#c", {"Description": "a;b#c"}),
        ("Description=a\tb", {"Description": "a\tb"}),
    ],
)
def test_a_line_gives_its_properties(text, properties):
    action = only(f"CreateApplication:{text}")
    assert (action.problem, dict(action.properties)) == ("", properties)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no action at all", "This is no action"),
        ("Create Application:Name=/a", "This is no action"),
        ("=:Name=/a", "This is no action"),
        ('A:Name="/a', "never closed"),
        ('A:Name="/a"b', "after a closing double quote"),
        ("A:=x", "without the name of its property"),
        ("A:Name=/a,name=/b", "name is given twice"),
        ("A:Name=/a\x00b", "control character \\x00"),
        ("A:Name=/a\x1b[2J", "control character \\x1b"),
        ("A:Name=/a\x85b", "control character \\x85"),
        ("A:Name=" + "a" * 70_000, "longer than 65,536"),
    ],
)
def test_a_line_that_cannot_be_understood_carries_its_problem(text, words):
    action = parse_line(7, text)
    assert action.number == 7
    assert words in action.problem


def test_hostile_lines_are_read_in_no_time():
    for text in (
        'A:B="' + '""' * 30_000,
        "A:" + ",".join(f"P{n}=" for n in range(8000)),
        "A:" + "," * 60_000,
    ):
        parse_line(1, text)


@pytest.mark.parametrize(
    "text", ["DeleteApplication:/old", 'DeleteApplication: "/old" ', "DeleteApplication:Name=/old"]
)
def test_a_delete_names_its_application_with_or_without_a_property(text):
    assert only(text).name == "/old"


def test_names_of_properties_are_found_in_any_case():
    assert only("CreateApplication:NAME=/a").name == "/a"


def test_only_the_actions_are_read_and_their_lines_numbered():
    text = "\n[Startup]\nA:Name=1\n; [Actions]\n [ACTIONS] \n\n# no\n;no\n  B:Name=2  \n[Other]\nC:Name=3\n"
    text += "[Actions]\nD:Name=4"
    assert [(action.number, action.action) for action in parse(text)] == [(9, "B"), (13, "D")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_byte_order_mark_and_any_line_end_are_read(tmp_path, end):
    path = tmp_path / "merge.cpf"
    path.write_bytes(b"\xef\xbb\xbf" + f"{end}[Actions]{end}A:Name=/ä  {end}B:Name=/b".encode())
    assert [(action.number, action.name) for action in read_file(path)] == [(3, "/ä"), (4, "/b")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[Actions]\r\nA:Name=\xff", "line 2: is not UTF-8 (byte 0xFF)"),
        (b"\xef\xbb\xbf[Actions]\n\nA:Name=\xe4", "line 3: is not UTF-8 (byte 0xE4)"),
        ("[Actions]".encode("utf-16"), "line 1: is not UTF-8"),
    ],
)
def test_a_file_that_is_not_utf8_is_named_with_its_line(tmp_path, data, words):
    path = tmp_path / "merge.cpf"
    path.write_bytes(data)
    with pytest.raises(Unreadable) as caught:
        read_file(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_a_file_that_is_absent_or_a_directory_is_named(tmp_path):
    for path in (tmp_path / "absent.cpf", tmp_path):
        with pytest.raises(Unreadable, match="cannot be read"):
            read_file(path)


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("64", 64),
        ("0", 0),
        ("$$$AuthePassword+$$$AutheUnauthenticated", 96),
        ("$$$AuthePassword + 32", 32),
        ("$$$authelogintoken", 16384),
        ("$$$AutheDelegated+$$$AutheLDAP+$$$AutheK5API+$$$AutheOS", 8192 + 2048 + 4 + 16),
        ("$$$AutheTwoFactorPW+$$$AutheTwoFactorSMS", 2097152 + 1048576),
    ],
)
def test_the_methods_of_authentication_are_numbers_or_macros(text, bits):
    assert parse_bits(text) == bits


@pytest.mark.parametrize("text", ["", "+", "64+", "-1", "1e3", "0x40", "$$$Nobody", "AuthePassword", "9" * 40, "٦٤"])
def test_a_method_that_is_unknown_is_named_with_those_that_are_known(text):
    with pytest.raises(BadValue, match=r"\$\$\$AuthePassword"):
        parse_bits(text)


def test_a_number_out_of_its_range_is_refused():
    assert parse_number("ServeFiles", "3", 3) == 3
    for text in ("", "4", "-1", "x", "²"):
        with pytest.raises(BadValue, match="ServeFiles"):
            parse_number("ServeFiles", text, 3)


@pytest.mark.parametrize(("name", "lines"), [("flask", 8), ("fastapi", 8), ("django", 9)])
def test_the_published_files_are_read_whole(name, lines):
    actions = read_file(PUBLISHED / f"{name}.cpf")
    assert [action.number for action in actions] == list(range(2, lines + 2))
    assert not [action.problem for action in actions if action.problem]
