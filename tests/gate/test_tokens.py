"""Tokens: whatever a client sends in a cookie, it is in by a token of ours alone, and nothing raises."""

from __future__ import annotations

import base64
import itertools
import string
from dataclasses import replace

import pytest

from portal.gate.tokens import (
    LOGIN,
    LONGEST,
    How,
    Signer,
    Token,
    cookie_of_application,
    cookie_of_group,
    cookies_of,
    from_https,
    over_https,
    proof_of,
)

NOW = 1_800_000_000.0
COOKIE = cookie_of_application(7)
SIGNER = Signer("the secret key of a test")
TOKEN = Token(12, "Abc-_def01234567", How.PASSWORD, int(NOW) - 100, int(NOW) - 50, int(NOW) + 900, "0123456789abcdef")
VALUE = SIGNER.sign(TOKEN, COOKIE)


def test_a_token_of_ours_is_read_as_it_was_written() -> None:
    assert SIGNER.read(VALUE, COOKIE, NOW) == TOKEN


@pytest.mark.parametrize("how", How)
def test_what_stands_behind_a_token_is_kept(how: How) -> None:
    token = replace(TOKEN, how=how)

    assert SIGNER.read(SIGNER.sign(token, COOKIE), COOKIE, NOW) == token


def test_a_token_needs_no_character_that_a_cookie_may_not_have() -> None:
    assert set(VALUE) <= {*string.ascii_letters, *string.digits, ".", "-", "_"}
    assert len(VALUE) < LONGEST


@pytest.mark.parametrize("length", range(len(VALUE)))
def test_a_truncated_token_is_none(length: int) -> None:
    assert SIGNER.read(VALUE[:length], COOKIE, NOW) is None


@pytest.mark.parametrize("place", range(len(VALUE)))
def test_a_token_with_one_other_character_is_none(place: int) -> None:
    for other in ".A0é":
        if VALUE[place] != other:
            assert SIGNER.read(VALUE[:place] + other + VALUE[place + 1 :], COOKIE, NOW) is None


@pytest.mark.parametrize(
    "other", [LOGIN, cookie_of_application(8), cookie_of_application(77), cookie_of_group(""), cookie_of_group("7"), ""]
)
def test_a_token_in_another_cookie_is_none(other: str) -> None:
    assert SIGNER.read(VALUE, other, NOW) is None


def test_no_cookie_shares_its_name_with_another() -> None:
    names = [LOGIN, *map(cookie_of_application, range(50)), *map(cookie_of_group, ["", "a", "A", "a1", "login", "ä"])]

    assert len(set(names)) == len(names)
    assert all(name.startswith("stoa_") for name in names)


@pytest.mark.parametrize("secret", ["", "the secret key of a tesT", "the secret key of a test ", "x" * 1000])
def test_a_token_under_a_foreign_key_is_none(secret: str) -> None:
    assert SIGNER.read(Signer(secret).sign(TOKEN, COOKIE), COOKIE, NOW) is None


@pytest.mark.parametrize(("seconds", "counts"), [(899, True), (900, False), (901, False), (10**9, False)])
def test_a_token_ends_at_its_time(seconds: int, counts: bool) -> None:
    assert (SIGNER.read(VALUE, COOKIE, NOW + seconds) is not None) is counts


@pytest.mark.parametrize(("seconds", "counts"), [(0, True), (60, True), (61, False), (10**6, False)])
def test_a_token_from_the_future_is_none_beyond_what_clocks_differ(seconds: int, counts: bool) -> None:
    token = replace(TOKEN, issued=int(NOW) + seconds, expires=int(NOW) + 10**7)

    assert (SIGNER.read(SIGNER.sign(token, COOKIE), COOKIE, NOW) is not None) is counts


MALFORMED = [
    "",
    ".",
    "." * 7,
    "." * LONGEST,
    "." * 100_000,
    "x",
    "x" * LONGEST,
    "x" * 1_000_000,
    "0.0.0.0.0.0.0.0",
    "-1.a.p.0.0.99999999999.0.0",
    "1e9.a.p.0.0.9.0.",
    "12.Abc-_def01234567.p",
    VALUE + "=",
    VALUE + ".",
    "." + VALUE,
    VALUE + " ",
    " " + VALUE,
    f'"{VALUE}"',
    VALUE + "\0",
    VALUE + "\r\n",
    VALUE.replace(".", "%2E"),
    VALUE.replace(".", "．"),
    VALUE.upper(),
    VALUE + VALUE,
    VALUE.rpartition(".")[0],
    VALUE.rpartition(".")[0] + ".",
    VALUE.rpartition(".")[2],
    TOKEN.text + ".é",
    TOKEN.text + ".\udcff",
    "\udc80" * 20,
    "é" * LONGEST,
    "\u0661\u0662." * 8,
    "null",
    "{}",
    "true",
    base64.b64encode(VALUE.encode()).decode(),
]


@pytest.mark.parametrize("value", MALFORMED, ids=lambda value: ascii(value[:24]))
def test_what_is_malformed_is_none(value: str) -> None:
    assert SIGNER.read(value, COOKIE, NOW) is None


def test_a_user_who_is_extended_by_a_digit_is_none() -> None:
    signature = VALUE.rpartition(".")[2]

    for token in (replace(TOKEN, user=1), replace(TOKEN, user=121), replace(TOKEN, expires=TOKEN.expires + 1)):
        assert SIGNER.read(f"{token.text}.{signature}", COOKIE, NOW) is None


def test_the_longest_token_that_we_write_is_read() -> None:
    token = replace(TOKEN, user=2**63 - 1, sign_in="x" * 16, began=10**11, issued=10**9, expires=10**11)

    value = SIGNER.sign(token, cookie_of_group("g" * 64))

    assert SIGNER.read(value, cookie_of_group("g" * 64), NOW) == token


def test_a_proof_tells_passwords_and_keys_apart_and_gives_neither_away() -> None:
    passwords = ["", "a", "pbkdf2_sha256$1$a$b", "pbkdf2_sha256$1$a$c", "ä"]
    proofs = [proof_of(password, Signer(secret).key) for password in passwords for secret in "kl"]

    assert len(set(proofs)) == len(proofs)
    assert not any(character in proof for proof in proofs for character in ".;, ")


# Which cookie counts

OTHERS = ["a=1", "stoa_b=2", "xstoa_a7=3", "stoa_a77=4", "STOA_A7=5", "stoa_a7", "stoa_a7x=6", "=", ""]


@pytest.mark.parametrize("place", range(len(OTHERS) + 1))
@pytest.mark.parametrize("between", ["; ", ";", " ; ", ";\t"])
def test_one_cookie_is_found_anywhere(place: int, between: str) -> None:
    pairs = [pair for pair in OTHERS if pair != "stoa_a7"]
    pairs.insert(place, f"stoa_a7={VALUE}")

    assert cookies_of(between.join(pairs), "stoa_a7") == VALUE


@pytest.mark.parametrize("copies", [2, 3, 4])
def test_of_several_copies_none_counts(copies: int) -> None:
    for values in itertools.product(["", VALUE, "x"], repeat=copies):
        for other in ("", "a=1; "):
            header = "; ".join(f"{other}stoa_a7={value}" for value in values)
            assert cookies_of(header, "stoa_a7") is None


@pytest.mark.parametrize("disguise", ["stoa_a7", "stoa_a7 =x", "stoa_a7= x", " stoa_a7=x", "stoa_a7=x=y"])
def test_a_second_copy_in_disguise_counts_as_one(disguise: str) -> None:
    found = cookies_of(f"stoa_a7={VALUE}; {disguise}", "stoa_a7")

    assert found is None or disguise == "stoa_a7 =x"


@pytest.mark.parametrize(
    "header",
    [
        "",
        ";",
        "=",
        ";;;;",
        "stoa_A7=x",
        "Stoa_a7=x",
        "__Host-stoa_a7=x",
        "stoa_a7x=1",
        "a=stoa_a7=x",
        "\xa0stoa_a7=x",
        "\x85stoa_a7=x",
        "\x1fstoa_a7=x",
        '"stoa_a7"=x',
        "é=ü",
        "a=1, stoa_a7=x",
    ],
    ids=ascii,
)
def test_what_is_no_cookie_of_that_name_is_none(header: str) -> None:
    assert cookies_of(header, "stoa_a7") is None


def test_over_https_a_cookie_for_the_whole_host_is_this_very_hosts() -> None:
    assert over_https(LOGIN) == "__Host-stoa_login"
    assert over_https(cookie_of_group("pair")).startswith("__Host-stoa_g")
    assert over_https(COOKIE) == "__Secure-stoa_a7"


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        ("__Host-stoa_login=a; __Secure-stoa_a7=b; own=c", " stoa_login=a; stoa_a7=b; own=c"),
        ("stoa_login=a; own=c", " own=c"),
        ("stoa_login=a; __Host-stoa_login=b", " stoa_login=b"),
        ("__Secure-stoa_login=a; __host-stoa_a7=b;__Host-stoa_a7=c", " __host-stoa_a7=b"),
        ("own=stoa_login; __Host-own=d", "own=stoa_login; __Host-own=d"),
        ("stoa_login", ""),
        ("own=c", "own=c"),
        ("", ""),
    ],
)
def test_over_https_nothing_that_others_can_add_is_understood(sent: str, understood: str) -> None:
    assert from_https(sent) == understood
