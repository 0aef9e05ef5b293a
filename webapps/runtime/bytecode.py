"""Import Python files whose cached bytecode may be of an earlier edit from the file itself.

Python takes a ``.pyc`` for that of a file with the same size and the same second of its last change (PEP 552), so of
two quick edits it may run the first. Runs inside the application's process under any CPython from 3.10.
"""

from __future__ import annotations

import os
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import PathEntryFinder

# So long (seconds) after the last change a .pyc may have been written from what the file was before it: the second that
# Python compares, and the time that compiling takes.
DOUBT = 2.0
LIBRARY = os.path.dirname(os.__file__)
INSTALLED = ("site-packages", "dist-packages")


class Loader(SourceFileLoader):
    """Python's own, but for a ``.pyc`` that is hardly younger than its file: that is not there.

    A new one is written instead, which is trusted from the next start on.
    """

    def get_data(self, path: str) -> bytes:
        """Return the content of a file. Raises OSError."""
        if path.endswith(tuple(BYTECODE_SUFFIXES)) and os.stat(path).st_mtime < os.stat(self.path).st_mtime + DOUBT:
            raise FileNotFoundError(path)
        return super().get_data(path)


_finder = FileFinder.path_hook(
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (Loader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)


def hook(path: str) -> PathEntryFinder:
    """Find modules in a directory, for ``sys.path_hooks``; what is installed is left to Python.

    Raises ImportError where Python's own finder is to be taken.
    """
    if f"{path}/".startswith(f"{LIBRARY}/") or any(name in path.split("/") for name in INSTALLED):
        raise ImportError("what is installed is not edited", path=path)
    return _finder(path)
