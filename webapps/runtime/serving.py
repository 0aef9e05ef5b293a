"""What ``manage.py serve`` was told: addresses, places, who runs what. Written once, read by keeper and supervisor."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

FILE = "serving.json"


@dataclass(frozen=True)
class Serving:
    """One start of Stoa. Directories are absolute; addresses are (host, port).

    ``names`` are the host names and addresses that this machine is known by. ``twins`` names the listeners at ::1 that
    stand beside those at 127.0.0.1: browsers ask either for ``localhost``.
    """

    home: str
    static_dir: str
    python: str
    apps_address: tuple[str, int]
    portal_address: tuple[str, int]
    nginx: str = ""
    apps_url: str = ""
    portal_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    user: str = ""
    names: tuple[str, ...] = ()
    tls_cert: str = ""
    tls_key: str = ""
    twins: tuple[str, ...] = ()

    @property
    def run_dir(self) -> Path:
        """Where sockets and the front's files are."""
        return Path(self.home) / "run"

    @property
    def log_dir(self) -> Path:
        """Where the logs are."""
        return Path(self.home) / "log"

    @property
    def scheme(self) -> str:
        """What the front speaks."""
        return "https" if self.tls_cert else "http"

    def write(self) -> Path:
        """Write it below the run directory; return where."""
        path = self.run_dir / FILE
        path.write_text(json.dumps(asdict(self)))
        return path

    @classmethod
    def read(cls, run_dir: Path) -> Serving:
        """Read what was written."""
        values = json.loads((run_dir / FILE).read_text())
        for name in ("apps_address", "portal_address", "trusted_proxies", "names", "twins"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)

    @property
    def origins(self) -> tuple[str, str]:
        """Where applications and portal are found, by a person on this machine where nobody has named the places."""
        return self.apps_url or self.url(self.apps_address), self.portal_url or self.url(self.portal_address)

    @property
    def warning(self) -> str:
        """Say that one host name carries both origins in clear, "" where it does not."""
        apps, portal = map(urlsplit, self.origins)
        if apps.hostname != portal.hostname or "https" in (apps.scheme, portal.scheme):
            return ""
        return (
            f"Portal and applications have one host name, {portal.hostname}, and cookies know no ports: whatever "
            "listens at another port of it can be sent the portal’s. Give one of them a name of its own "
            "(STOA_PORTAL_URL or STOA_URL), or use HTTPS."
        )

    def url(self, address: tuple[str, int]) -> str:
        """Return the address as a person on this machine types it."""
        host, port = address
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        return f"{self.scheme}://{shown}:{port}"
