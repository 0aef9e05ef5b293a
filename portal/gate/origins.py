"""Where people find applications and portal: by names that this machine is known by, never by any Host header."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

#: A path of this origin: what a browser, or an application that decodes it once more, would take for another host is
#: none, and no path has a control character.
WAY_BACK = re.compile(r"/(?![/\\]|%2f|%5c)(?:(?!%[01]|%7f)[\x21-\x3e\x40-\x7e])*(?:\?[\x21-\x7e]*)?", re.IGNORECASE)
LONGEST_WAY = 2000


@dataclass(frozen=True)
class Origins:
    """The public origins, and ``names``: the hosts by which this machine may be asked besides."""

    apps: str
    portal: str
    names: frozenset[str] = frozenset()

    def of_application(self, host: str, asked: str, others: Collection[str] = ()) -> str:
        """Return the origin of an application that answers to ``host`` ("": any), asked for by ``asked``."""
        name = host_of(asked)
        if not host and (name in self.names or name in others):
            host = name
        return with_host(self.apps, host)

    def of_portal(self, asked: str) -> str:
        """Return the portal's origin, by the name that the person uses where this machine is known by it."""
        name = host_of(asked)
        return with_host(self.portal, name if name in self.names else "")


def host_of(authority: str) -> str:
    """Return the host of ``host:port`` in lower case, brackets of an IPv6 address included."""
    found = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^:\[\]]*)(?::\d*)?", authority.strip().lower().rstrip("."))
    return found[1].rstrip(".") if found else ""


def with_host(origin: str, host: str) -> str:
    """Return an origin with another host, "" for its own."""
    if not host:
        return origin
    parts = urlsplit(origin)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}"


def same_authority(origin: str, asked: str) -> bool:
    """Say whether a Host header names this origin; the scheme's own port may be left out."""
    parts = urlsplit(origin)
    default = {"http": ":80", "https": ":443"}[parts.scheme]
    return parts.netloc.lower().removesuffix(default) == asked.strip().lower().removesuffix(default)


def way_back(request_uri: str, mount: str) -> str:
    """Return the path to come back to: the one that was asked for, or the application's own."""
    if len(request_uri) <= LONGEST_WAY and WAY_BACK.fullmatch(request_uri):
        return request_uri
    return f"{mount}/"
