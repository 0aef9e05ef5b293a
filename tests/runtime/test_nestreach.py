"""What a zygote behind walls reaches, asked of files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from webapps.runtime import nestreach


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment as uv makes it, of a Python that lies elsewhere."""
    base, made = tmp_path / "base", tmp_path / "home" / "namespaces" / "USER" / "envs" / "1"
    for place in (base, made):
        (place / "bin").mkdir(parents=True)
        (place / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    (base / "bin" / "python3.11").touch()
    (base / "bin" / "python3").symlink_to("python3.11")
    (made / "bin" / "python").symlink_to(base / "bin" / "python3")
    (made / "pyvenv.cfg").write_text(f"home = {base / 'bin'}\nversion = 3.11\n")
    return made


def own(environment: Path, *directories: Path) -> set[str]:
    counts = nestreach.of_applications(map(str, directories), str(environment.parent))
    return set(nestreach.own(str(environment / "bin" / "python"), lambda path: [path], counts))


def site(environment: Path) -> Path:
    return environment / "lib" / "python3.11" / "site-packages"


def test_it_is_the_environment_and_the_python_that_it_is_made_of(environment: Path, tmp_path: Path) -> None:
    found = own(environment)

    assert {str(environment), str(tmp_path / "base"), nestreach.RUNTIME} <= found
    assert str(tmp_path / "home") not in found


def test_this_python_has_its_standard_library() -> None:
    found = nestreach.own(sys.executable, lambda path: [path], lambda _path: False)
    library = os.path.realpath(os.__file__)
    assert any(library.startswith(f"{os.path.realpath(path)}/") for path in found)


def test_what_is_installed_as_editable_counts_in_the_directories_of_applications(
    environment: Path, tmp_path: Path
) -> None:
    notes, secret = tmp_path / "csp" / "notes", tmp_path / "secret"
    for path in (notes / "src", secret):
        path.mkdir(parents=True)
    (site(environment) / "notes.pth").write_text(f"{notes / 'src'}\n{secret}\n/\nimport os\n")
    (site(environment) / "__editable___x_finder.py").write_text(
        f"MAPPING: dict[str, str] = {{'lib': {str(notes / 'lib')!r}, 'other': {str(secret / 'o')!r}}}\nMAPPING = {{1\n"
    )

    found = own(environment, notes)

    assert str(notes / "src") in found
    assert str(notes) in found
    assert not {str(secret), "/", str(secret / "o")} & found


def test_a_link_that_leads_out_of_an_application_does_not_count(environment: Path, tmp_path: Path) -> None:
    notes, secret = tmp_path / "csp" / "notes", tmp_path / "secret"
    for path in (notes, secret):
        path.mkdir(parents=True)
    (notes / "out").symlink_to(secret)
    (site(environment) / "notes.pth").write_text(f"{notes / 'out'}\n")

    assert str(secret) not in own(environment, notes)


def test_files_that_are_none_name_nothing(environment: Path, tmp_path: Path) -> None:
    os.mkfifo(site(environment) / "endless.pth")
    (site(environment) / "deep.pth").symlink_to("/dev/zero")
    (site(environment) / "__editable___y.py").write_text("MAPPING = {" + "(" * 5000 + "}\n")
    assert str(environment) in own(environment)
