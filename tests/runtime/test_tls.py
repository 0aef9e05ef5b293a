"""Certificate and key: taken over when they change and fit together."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from webapps.runtime.tls import Pair, TlsFiles

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(
    OPENSSL is None, reason="openssl, which makes the certificates of this test, is missing"
)


def make(folder: Path, name: str) -> Pair:
    certificate, key = folder / f"{name}.crt", folder / f"{name}.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(
        [str(OPENSSL), *words, "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return Pair(str(certificate), str(key))


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return make(tmp_path, "first")


def test_a_pair_that_fits_has_no_problem(pair: Pair) -> None:
    assert pair.problem() == ""
    assert not Pair()


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        ("", "x", "STOA_TLS_CERT is not set"),
        ("x", "", "which cannot be read"),
        ("/nowhere.crt", "/nowhere.pem", "/nowhere.crt, which cannot be read"),
    ],
)
def test_it_says_what_is_missing(certificate: str, key: str, words: str) -> None:
    assert words in Pair(certificate, key).problem()


def test_a_pair_that_does_not_fit_is_named(tmp_path: Path, pair: Pair) -> None:
    other = make(tmp_path, "other")
    assert "do not fit together" in Pair(pair.certificate, other.key).problem()
    (tmp_path / "text").write_text("no certificate")
    assert "do not fit together" in Pair(str(tmp_path / "text"), pair.key).problem()


def test_a_changed_pair_is_taken_over_once_it_fits(tmp_path: Path, pair: Pair) -> None:
    given: list[Path] = []
    files = TlsFiles(pair, tmp_path / "run", given.append)
    assert files.look()
    first = files.stamp
    assert not files.look()
    other = make(tmp_path, "other")

    shutil.copy(other.certificate, pair.certificate)
    assert not files.look()
    assert (files.stamp, "do not fit" in files.problem) == (first, True)

    shutil.copy(other.key, pair.key)
    assert files.look()
    assert files.problem == ""
    assert files.stamp != first
    files.forget_others()
    kept = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "run").iterdir()}
    assert kept == {f"{files.stamp}.crt": 0o600, f"{files.stamp}.key": 0o600}


def test_without_a_pair_nothing_is_looked_for(tmp_path: Path) -> None:
    files = TlsFiles(Pair(), tmp_path / "run", lambda path: None)
    assert (files.look(), files.stamp) == (False, "")
    files.forget_others()
