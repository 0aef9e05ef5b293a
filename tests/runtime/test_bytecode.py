from __future__ import annotations

import importlib.util
import os
import sys
import time
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path

import pytest

from webapps.runtime import bytecode

FIRST, SECOND = "value = 1\n", "value = 2\n"


@pytest.fixture(autouse=True)
def writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def write(path: Path, text: str, mtime: float) -> None:
    path.write_text(text)
    os.utime(path, (mtime, mtime))


def value(directory: Path, name: str = "module") -> int:
    """Import a module as a new process does; return its value."""
    spec = bytecode.hook(str(directory)).find_spec(name)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: int = module.value
    return found


def compiled(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "__pycache__").iterdir())


@pytest.mark.parametrize("later", [0.0, 0.001, 0.9])
def test_two_edits_of_one_second_and_one_size_are_told_apart(tmp_path: Path, later: float) -> None:
    second = float(int(time.time()))
    write(tmp_path / "module.py", FIRST, second)
    assert value(tmp_path) == 1
    write(tmp_path / "module.py", SECOND, second + later)

    assert value(tmp_path) == 2
    assert len(compiled(tmp_path)) == 1


def test_pythons_own_finder_would_not(tmp_path: Path) -> None:
    second = float(int(time.time()))
    for text in (FIRST, SECOND):
        write(tmp_path / "module.py", text, second)
        module = importlib.util.module_from_spec(
            spec := importlib.util.spec_from_file_location("module", tmp_path / "module.py")  # type: ignore[arg-type]
        )
        assert spec and spec.loader
        spec.loader.exec_module(module)

    assert module.value == 1


def test_a_file_from_the_future_is_always_read(tmp_path: Path) -> None:
    for text, wanted in ((FIRST, 1), (SECOND, 2)):
        write(tmp_path / "module.py", text, float(int(time.time() + 3600)))
        assert value(tmp_path) == wanted


def test_bytecode_that_is_clearly_younger_is_taken(tmp_path: Path) -> None:
    past = time.time() - 60
    write(tmp_path / "module.py", FIRST, past)
    assert value(tmp_path) == 1
    write(tmp_path / "module.py", SECOND, past)  # As nobody edits: it shows that the file is not read.

    assert value(tmp_path) == 1


def test_bytecode_is_doubted_at_one_start_only(tmp_path: Path) -> None:
    write(tmp_path / "module.py", FIRST, time.time() - 60)
    value(tmp_path)
    (made,) = (tmp_path / "__pycache__").iterdir()
    os.utime(made, (time.time() - 59, time.time() - 59))

    value(tmp_path)

    assert made.stat().st_mtime > time.time() - 30


def test_a_directory_that_cannot_be_written_to_is_imported_from(tmp_path: Path) -> None:
    write(tmp_path / "module.py", FIRST, time.time())
    (tmp_path / "__pycache__").touch()

    assert value(tmp_path) == 1


def test_packages_and_files_without_their_source_are_found(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("value = 3\n")
    assert value(tmp_path, "package") == 3
    (made,) = (tmp_path / "package" / "__pycache__").iterdir()
    made.rename(tmp_path / "bare.pyc")

    assert value(tmp_path, "bare") == 3


def test_what_is_installed_is_pythons_matter(tmp_path: Path) -> None:
    for name in ("site-packages", "dist-packages/inner"):
        (tmp_path / name).mkdir(parents=True)
        with pytest.raises(ImportError):
            bytecode.hook(str(tmp_path / name))
    with pytest.raises(ImportError):
        bytecode.hook(os.path.dirname(os.__file__) + "/json")
    with pytest.raises(ImportError):
        bytecode.hook(str(tmp_path / "none.zip"))
    assert isinstance(bytecode.hook(str(tmp_path)), FileFinder)
    assert issubclass(bytecode.Loader, SourceFileLoader)
