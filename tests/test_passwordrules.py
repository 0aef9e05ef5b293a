"""What is no password: blanks, and one's own name."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

ADA = User(username="ada.l", first_name="Ada Lovelace", email="countess@example.org")


@pytest.mark.parametrize(
    "password",
    [
        " " * 8,
        "\t" * 20,
        "\u200b" * 10,
        "\u3000" * 10,
        "abc     def",
        "ab" + "\xad" * 10,
        "ada.l   ",
        "ada.l\tada.l",
        "ADA.L.ADA.L",
        "adaladaladal",
        "Ada  Lovelace",
        "ada-lovelace-ada-lovelace",
        "countess countess",
        "countess@example.org",
        "\uff41\uff44\uff41\uff0e\uff4c ada.l",
    ],
)
def test_it_is_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password, ADA)


@pytest.mark.parametrize("password", ["correct horse", "ada and a correct horse", "παλιό κουπί", "battery  staple"])
def test_it_is_taken(password: str) -> None:
    validate_password(password, ADA)
    validate_password(password, User(username="\u00b7"))
    validate_password(password)


@pytest.mark.parametrize(
    ("password", "words"),
    [("x7#", "at least 8 characters"), (" x7#", "at least 8 characters"), ("x7#q" + " " * 8, "Blanks do not count")],
)
def test_what_is_too_short_is_said_once(password: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate_password(password, ADA)

    (message,) = caught.value.messages
    assert words in message
