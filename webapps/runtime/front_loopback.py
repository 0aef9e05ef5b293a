"""Lead browsers to the names that portal and applications have on this machine, which share no cookie.

Cookies know no ports (RFC 6265, section 8.5): portal and applications at one name would share them, and so would
whatever listens at a third port of it. Scripts are answered by either name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from .front_guard import block

APPS, PORTAL = "127.0.0.1", "localhost"
#: What others call it: those are led to the right name, with the port that they know it by.
OTHERS = {"portal": (PORTAL, r"(?:127\.0\.0\.1|\[::1\])"), "apps": (APPS, "localhost")}
#: Somebody opens a page (Fetch Metadata); browsers that do not say so ask for HTTPS where there is some (CSP).
OPENS = (
    'map "$http_sec_fetch_mode $http_upgrade_insecure_requests" $stoa_opens { default ""; "~^navigate " 1; " 1" 1; }'
)


def addresses(address: tuple[str, int], *, twin: bool) -> Iterator[str]:
    """Return what nginx listens at for an address, and with its ``twin`` for the same port of ::1."""
    host, port = address
    yield f"[{host}]:{int(port)}" if ipaddress.ip_address(host).version == 6 else f"{host}:{int(port)}"
    if twin:
        yield f"[::1]:{int(port)}"


def has_two_names(apps_url: str, portal_url: str) -> bool:
    """Say whether the public addresses are the two names of loopback."""
    return (urlsplit(apps_url).hostname, urlsplit(portal_url).hostname) == (APPS, PORTAL)


def maps(apps_url: str, portal_url: str) -> Iterator[str]:
    """Map a request for a page to the authority that it belongs to, "" where it is there already."""
    if not has_two_names(apps_url, portal_url):
        return
    yield OPENS
    for whose, (name, others) in OTHERS.items():
        pattern = f"~*^GET 1 {others}(?<stoa_{whose}_port>:[0-9]+)? /"
        lines = ['default "";', f'"{pattern}" {name}$stoa_{whose}_port;']
        yield from block(f'map "$request_method $stoa_opens $stoa_host $request_uri" $stoa_{whose}_name', lines)


def leads(whose: str, apps_url: str, portal_url: str) -> list[str]:
    """Lead there, in the server of the applications (``apps``) or of the portal."""
    if not has_two_names(apps_url, portal_url):
        return []
    name = f"$stoa_{whose}_name"
    return [f"if ({name}) {{ return 302 $stoa_scheme://{name}$request_uri; }}"]
