"""Requirements files: read as hosted files are, and made independent of the directory that they lie in.

Paths in them are relative to the directory of the application that wants them, as with ``pip install -r`` there.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from .sandboxes import CommandFailed, Sandbox

MOST = 1 << 20
# Run in the sandbox: so nothing is read that its own code could not read, whatever is linked where.
READ = """
import os, stat, sys
path = sys.argv[1]
try:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
except OSError as error:
    sys.exit(f"{path} cannot be read: {error.strerror}")
found = os.fstat(fd)
if not stat.S_ISREG(found.st_mode):
    sys.exit(f"{path} is not a regular file")
if found.st_size > int(sys.argv[2]):
    sys.exit(f"{path} is too large")
with open(fd, "rb") as file:
    sys.stdout.buffer.write(file.read(int(sys.argv[2])))
"""
OPTION = re.compile(r"(\s*(?:-r|-c|-e|-f|--requirements?|--constraints?|--editable|--find-links)(?:\s+|\s*=\s*))(\S.*)")
NAMED = re.compile(r"(\s*[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?\s*@\s*)(\.{1,2}/.*)")
BARE = re.compile(
    r"(\s*)(\.{1,2}(?:[/\[\s].*)?|[\w.-]+/[^@:]*|[\w.+-]+\.(?:whl|zip|tar\.gz|tar\.bz2|tgz)(?:[\s\[;].*)?)"
)
ELSEWHERE = re.compile(r"/|~|\$|\w[\w+.-]*:")


def read(path: Path, sandbox: Sandbox) -> str:
    """Return a requirements file with its paths made absolute. Raises CommandFailed where it is none."""
    lines = list[str]()
    argv = [sys.executable, "-I", "-S", "-c", READ, str(path), str(MOST)]
    try:
        sandbox.run(argv, lines.append)
    except CommandFailed:
        raise CommandFailed(lines[-1] if lines else f"{path} cannot be read") from None
    return absolute("\n".join(lines) + "\n", path.parent)


def absolute(text: str, directory: Path) -> str:
    """Return a requirements file that means the same wherever it lies."""
    text = text.replace("${PROJECT_ROOT}", str(directory))
    return "".join(_absolute(line, str(directory)) for line in text.splitlines(keepends=True))


def _absolute(line: str, directory: str) -> str:
    for pattern in (OPTION, NAMED, BARE):
        found = pattern.match(line)
        if found:
            before, path = found.groups()
            end = line[found.end() :]
            return line if ELSEWHERE.match(path) else before + os.path.join(directory, path) + end
    return line
