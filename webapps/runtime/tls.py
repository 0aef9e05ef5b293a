"""The certificate and key that the front serves HTTPS with, taken over when they change and fit together."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """Where certificate (chain) and key are, as PEM files; both "" for plain HTTP."""

    certificate: str = ""
    key: str = ""

    def __bool__(self) -> bool:
        return bool(self.certificate or self.key)

    def problem(self) -> str:
        """Say why they cannot be served with, "" where they can."""
        for name, path in (("STOA_TLS_CERT", self.certificate), ("STOA_TLS_KEY", self.key)):
            if not path:
                return f"{name} is not set; certificate and key belong together"
            if not os.access(path, os.R_OK):
                return f"{name} names {path}, which cannot be read"
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.key, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            words = getattr(error, "reason", None) or error
            return f"STOA_TLS_CERT {self.certificate} and STOA_TLS_KEY {self.key} do not fit together ({words})"
        return ""

    def stamp(self) -> str:
        """Return what tells these contents from others. Raises OSError."""
        digest = hashlib.sha256(Path(self.certificate).read_bytes() + b"\0" + Path(self.key).read_bytes())
        return digest.hexdigest()[:16]


class TlsFiles:
    """The copies that nginx reads, one pair for each content; ``stamp`` names the pair in use, "" for none.

    ``give`` lets the account that nginx runs as own a file.
    """

    def __init__(self, pair: Pair, folder: Path, give: Callable[[Path], None]) -> None:
        self.pair, self.folder, self.give = pair, folder, give
        self.stamp = self.problem = ""
        self._seen: object = None

    def look(self) -> bool:
        """Take over what has changed, where it fits together; say whether another pair is in use now."""
        seen = [_state(path) for path in (self.pair.certificate, self.pair.key)] if self.pair else []
        if not self.pair or seen == self._seen:
            return False
        self._seen = seen
        self.problem = self.pair.problem()
        stamp = self.stamp if self.problem else self.pair.stamp()
        if stamp == self.stamp:
            return False
        self._copy(stamp)
        self.stamp = stamp
        return True

    def _copy(self, stamp: str) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.give(self.folder)
        for source, ending in ((self.pair.certificate, "crt"), (self.pair.key, "key")):
            target = self.folder / f"{stamp}.{ending}"
            fresh = target.with_name(f".{target.name}")
            fresh.unlink(missing_ok=True)
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(Path(source).read_bytes())
            self.give(fresh)
            fresh.replace(target)

    def forget_others(self) -> None:
        """Remove the copies that are not in use."""
        for path in self.folder.glob("*.*") if self.folder.is_dir() else ():
            if path.stem != self.stamp:
                path.unlink(missing_ok=True)


def _state(path: str) -> object:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
