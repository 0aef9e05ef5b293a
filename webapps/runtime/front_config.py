"""The front's configuration: one value, written whole, built from routes by a pure function.

Every path in it is relative to the run directory, where ``front/static`` and ``front/log`` are links to
Stoa's own directories.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import front_bodies
from .front_guard import DECLARED, LOST, PAGE_HEADERS, block, cookies, credentials, own_locations, repeated
from .front_hosts import Hosts, rewritten
from .front_http import APPS, CLEARED, HTTP, TYPES
from .front_loopback import addresses, leads, maps
from .front_routes import RouteRefused, check, locations, upstream
from .nginx import Binary
from .spec import ORIGIN, Route

__all__ = ["FrontSettings", "Rendered", "RouteRefused", "render"]

# A file of its own: `nginx -t` binds and removes what it is told to listen on, as the front may be starting.
TRIAL = "front/trial-{}.sock"
NAMESPACE = re.compile(r"%?[A-Z][A-Z0-9_-]{0,63}")
MOUNT = re.compile(r"/[A-Za-z0-9._~/-]*")
STAMP = re.compile(r"[0-9a-f]{16}")
NAME = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]")
BODY_OF_THE_PORTAL = "20m"
# How long (seconds) whoever asks the portal waits where it has stopped; longer than for its database (settings).
PORTAL_ANSWERS = 30
PAGES = (400, 404, 405, 413, 414, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class FrontSettings:
    """What does not change while Stoa runs. Addresses are (IP address, port); directories are absolute.

    ``apps_url`` and ``portal_url`` are the public origins, "" where they follow from host and port; then ``names`` are
    the hosts that may be asked for, the first where none of them is. ``tls`` is the stamp of the certificate, "" for
    plain HTTP.
    ``as_root`` says that root's workers remain root's; ``user`` is the account that nginx is started as, where we
    are root and it is not. ``open_files`` is the hard limit of open files,
    0 where it is not known; ``disk`` is the size in bytes of the one that nginx keeps bodies on, 0 likewise, and
    ``epoch`` how often what is under way has been counted anew. ``twins`` names what listens at ::1 too
    (``Serving.twins``).
    """

    run_dir: Path
    static_dir: Path | str
    access_log: Path
    binary: Binary
    apps_listen: tuple[str, int]
    portal_listen: tuple[str, int]
    apps_url: str = ""
    portal_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    tls: str = ""
    workers: int = 2
    as_root: bool = False
    user: str = ""
    open_files: int = 0
    disk: int = 0
    epoch: int = 0
    twins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rendered:
    """A configuration, and why routes were left out of it, by their id."""

    text: str
    refused: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Listening:
    """What servers listen on: the real addresses, or sockets that only a trial uses."""

    apps: tuple[str, ...]
    portal: tuple[str, ...]
    state: str


def render(
    settings: FrontSettings,
    routes: Sequence[Route],
    defaults: Mapping[str, str] | None = None,
    generation: int = 0,
    *,
    trial: bool = False,
) -> Rendered:
    """Return the whole configuration, and what was left out of it.

    ``defaults`` maps each namespace to the name of its default application. A ``trial`` differs in nothing
    but what it listens on, so that `nginx -t` needs no right to a port, and disturbs nobody. Raises
    ValueError where a setting is not what it may be.
    """
    good, refused = _sorted_out(routes)
    listening = _listening(settings, trial=trial)
    lines = [
        # Front reads the first line back.
        f"# generation {generation}",
        "# Written by Stoa; the next change overwrites it.",
        *_main(settings),
        "http {",
        *_indented(_http(settings, defaults or {})),
        *_indented(front_bodies.limited(settings.epoch, front_bodies.most(settings.disk, good))),
        *_indented(_upstreams(good)),
        *_indented(_state(generation, listening)),
        *_indented(_apps(settings, good, listening)),
        *_indented(_portal(settings, listening)),
        "}",
        "",
    ]
    return Rendered("\n".join(lines), refused)


def _sorted_out(routes: Sequence[Route]) -> tuple[list[Route], dict[int, str]]:
    """Tell the routes that nginx may see from the others; of two with one name the first is taken."""
    good: dict[tuple[str, str], Route] = {}
    refused: dict[int, str] = {}
    for route in routes:
        try:
            check(route)
        except RouteRefused as error:
            refused[route.id] = str(error)
            continue
        first = good.setdefault((route.host.lower(), route.name), route)
        if first is not route:
            refused[route.id] = f"{route.label} is the name of application {first.id} already"
    return list(good.values()), refused


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


def _listening(settings: FrontSettings, *, trial: bool) -> _Listening:
    if trial:
        trials = [f"unix:{TRIAL.format(name)}" for name in ("apps", "portal", "state")]
        return _Listening(tuple(trials[:1]), tuple(trials[1:2]), trials[2])
    ssl = " ssl" if settings.tls else ""
    apps = tuple(f"{at}{ssl}" for at in addresses(settings.apps_listen, twin="apps6" in settings.twins))
    portal = tuple(f"{at}{ssl}" for at in addresses(settings.portal_listen, twin="portal6" in settings.twins))
    return _Listening(apps, portal, "unix:front/state.sock")


def _main(settings: FrontSettings) -> Iterator[str]:
    if settings.as_root:
        # Left out, nginx would run root's workers as nobody, who may not reach the applications' sockets.
        yield "user root;"
    yield "daemon off;"
    yield "pid front/nginx.pid;"
    yield "error_log stderr error;"
    yield f"worker_processes {int(settings.workers)};"
    yield "pcre_jit on;"  # A request meets half a dozen patterns: 2.4 of 22 µs.
    # WebSockets and long downloads live on in the worker that a reload has replaced, but not for ever.
    yield "worker_shutdown_timeout 3600s;"
    files = min(settings.open_files, 32768)
    if files:
        yield f"worker_rlimit_nofile {files};"
    # Each request needs two connections, and some a file.
    connections = max(256, min(files // 3, 8192)) if files else 1024
    yield f"events {{ worker_connections {connections}; }}"


def _http(settings: FrontSettings, defaults: Mapping[str, str]) -> Iterator[str]:
    yield from block("types", [line.strip() for line in TYPES.strip().splitlines()])
    yield from (HTTP % {"log": _file_name(settings.access_log), "depth": _depth(settings.run_dir)}).strip().splitlines()
    yield from (f'proxy_set_header {name} "";' for name in CLEARED.split())
    yield from cookies()
    yield from credentials()
    yield from front_bodies.counted(settings.epoch)
    yield from front_bodies.full()
    yield from front_bodies.answers(settings.disk)
    # Unused, but made at the start, by default where only root may.
    for module in ("fastcgi", "uwsgi", "scgi"):
        if f"http_{module}" not in settings.binary.without:
            yield f"{module}_temp_path front/tmp/{module};"
    if settings.binary.gentle:
        yield "keepalive_min_timeout 10s;"
    if settings.tls:
        yield from _tls(settings.tls)
    yield from _trust(settings.trusted_proxies)
    yield from _known_names(settings.names)
    yield from maps(settings.apps_url, settings.portal_url)
    yield from _namespace_defaults(defaults)


def _depth(run_dir: Path) -> int:
    """Return how many more parts than one the path of a link has that leads to files: ``<run_dir>/files/1``."""
    return len([part for part in str(run_dir).split("/") if part]) + 1


def _tls(stamp: str) -> Iterator[str]:
    """Name the certificate; relative to the configuration's own directory."""
    if not STAMP.fullmatch(stamp):
        raise ValueError(f"{stamp!r} is no stamp of a certificate")
    yield f"ssl_certificate tls/{stamp}.crt;"
    yield f"ssl_certificate_key tls/{stamp}.key;"
    yield "ssl_protocols TLSv1.2 TLSv1.3;"
    yield "ssl_session_cache shared:stoa:4m;"
    yield "ssl_session_timeout 1h;"


def _known_names(names: tuple[str, ...]) -> Iterator[str]:
    """Map the host that was asked for to one that this machine is known by: no address is built from any other."""
    good = [name for name in names if NAME.fullmatch(name)]
    lines = [f'"{name}" {name};' for name in dict.fromkeys(name.lower() for name in good)]
    yield from block("map $host $stoa_name", [f"default {good[0] if good else '127.0.0.1'};", *lines])


def _file_name(path: Path) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", path.name):
        raise ValueError(f"{path.name!r} is no name for an access log")
    return path.name


def _trust(proxies: tuple[str, ...]) -> Iterator[str]:
    """Believe forwarded addresses and schemes from the trusted proxies alone."""
    trusted = [str(ipaddress.ip_network(proxy, strict=False)) for proxy in proxies]
    yield from block("geo $realip_remote_addr $stoa_trusted", ["default 0;", *(f"{proxy} 1;" for proxy in trusted)])
    scheme = '"$stoa_trusted $http_x_forwarded_proto"'
    yield f'map {scheme} $stoa_scheme {{ default $scheme; "1 https" https; "1 http" http; }}'
    yield from (f"set_real_ip_from {proxy};" for proxy in trusted)
    if trusted:
        yield "real_ip_header X-Forwarded-For;"
        yield "real_ip_recursive on;"


def _namespace_defaults(defaults: Mapping[str, str]) -> Iterator[str]:
    """Map /-/ns/<NAMESPACE>/ to the name of its default application."""
    lines = ['default "";']
    for namespace, name in sorted(defaults.items()):
        if NAMESPACE.fullmatch(namespace) and MOUNT.fullmatch(name) and "//" not in name:
            lines.append(f'"/-/ns/{namespace}/" {name.rstrip("/")}/;')
    yield from block("map $uri $stoa_namespace_default", lines)


def _upstreams(routes: Sequence[Route]) -> Iterator[str]:
    for route in routes:
        yield from upstream(route)
    yield "upstream gate { server unix:gate.sock max_fails=0; keepalive 64; keepalive_timeout 60s; }"
    yield "upstream portal { server unix:portal.sock max_fails=0; keepalive 8; keepalive_timeout 1s; }"


def _state(generation: int, listening: _Listening) -> Iterator[str]:
    """Answer with the number of this configuration, so that a reload can be confirmed."""
    declared = " ".join(f'set ${name} "";' for name in DECLARED)
    lines = [
        f"listen {listening.state};",
        "access_log off;",
        f"location = /generation {{ return 200 {generation}; }}",
        # Declares what guarded locations alone set: nginx refuses a variable that nobody defines.
        f"location = /variables {{ {declared} }}",
    ]
    yield from block("server", lines)


def _apps(settings: FrontSettings, routes: Sequence[Route], listening: _Listening) -> Iterator[str]:
    """One server for any host, one more for all hosts that are named.

    Inside a host its own routes win; routes for any host are there too, unless one of the host's own is
    above them.
    """
    anywhere = [route for route in routes if not route.host]
    first = [f"listen {address} default_server bind backlog=4096;" for address in listening.apps]
    opening = [*first, "server_name _;", *leads("apps", settings.apps_url, settings.portal_url)]
    yield from _server(settings, opening, anywhere)
    hosts = Hosts(routes)
    if hosts.routes:
        yield from hosts.maps()
        opening = [*(f"listen {address};" for address in listening.apps), *hosts.opening()]
        yield from _server(settings, opening, [rewritten(route) for route in anywhere], hosts.locations())


def _server(
    settings: FrontSettings, opening: list[str], routes: Sequence[Route], more: Iterable[str] = ()
) -> Iterator[str]:
    names = frozenset(route.name for route in routes)
    yield "server {"
    yield from _indented(opening)
    yield from _indented(APPS.strip().splitlines())
    yield from _indented(_pages(LOST))
    yield from _indented(_own(settings))
    if "/" not in names:
        yield "    location / { return 404; }"
        yield "    location = / { error_page 404 /-/pages/index$stoa_kind; return 404; }"
    for route in routes:
        yield from _indented(locations(route, names))
    yield from _indented(more)
    yield "}"


def _pages(*instead: str) -> Iterator[str]:
    """Stoa's own pages, each with the status that it stands for, but for what is said ``instead``."""
    yield from (line for line in repeated(*PAGES) if line.split()[1] not in {other.split()[1] for other in instead})
    yield from instead
    # 494 is nginx's own number for headers that are too long.
    yield "error_page 494 =431 /-/pages/431$stoa_kind;"
    headers = [f'add_header {name} "{value}" always;' for name, value in PAGE_HEADERS.items()]
    headers.append("add_header Retry-After $stoa_retry_after always;")
    yield from block(
        "location ^~ /-/pages/",
        ["internal;", "alias front/static/front/;", "charset utf-8;", "recursive_error_pages off;", *headers],
    )
    style = [
        "alias front/static/front/front.css;",
        "charset utf-8;",
        'add_header Cache-Control "max-age=300";',
        "access_log off;",
    ]
    yield from block("location = /-/static/front.css", style)


def _own(settings: FrontSettings) -> Iterator[str]:
    """What else Stoa answers on the applications' origin."""
    portal = _origin(settings.portal_url, settings.portal_listen)
    yield "location /-/ { return 404; }"
    yield from own_locations()
    going = [
        'if ($stoa_namespace_default = "") { return 404; }',
        "return 302 $stoa_namespace_default$is_args$args;",
    ]
    yield from block("location /-/ns/", going)
    yield f"location = /-/portal {{ return 302 {portal}/portal/; }}"
    yield f"location = /portal {{ return 302 {portal}/portal/; }}"
    yield f'location /portal/ {{ if ($request_uri !~ "^/") {{ return 400; }} return 302 {portal}$request_uri; }}'
    yield from _plain_http(settings, portal=False)


def _plain_http(settings: FrontSettings, *, portal: bool) -> Iterator[str]:
    """Lead whoever speaks plain HTTP to the port for HTTPS (nginx's own status 497)."""
    if settings.tls:
        public, address = (
            (settings.portal_url, settings.portal_listen) if portal else (settings.apps_url, settings.apps_listen)
        )
        origin = _origin(public, address).replace("$stoa_scheme", "https")
        yield f"error_page 497 =301 {origin}$request_uri;"


def _origin(public: str, address: tuple[str, int]) -> str:
    """Return an origin; where nobody named it, the host is the one that the browser uses, if it is known here."""
    if not public:
        return f"$stoa_scheme://$stoa_name:{int(address[1])}"
    if not ORIGIN.fullmatch(public):
        raise ValueError(f"{public!r} is not an origin such as https://apps.example.org")
    return public


def _portal(settings: FrontSettings, listening: _Listening) -> Iterator[str]:
    """The portal's origin: its pages, its files; everything else is the applications'."""
    apps = _origin(settings.apps_url, settings.apps_listen)
    yield "server {"
    yield from (f"    listen {address} default_server bind backlog=4096;" for address in listening.portal)
    yield "    server_name _;"
    yield from _indented(leads("portal", settings.apps_url, settings.portal_url))
    yield from _indented(_pages())
    passed_on = [
        "set $stoa_app portal;",
        'if ($request_uri !~ "^/portal/") { return 400; }',
        "proxy_pass http://portal;",
        f"client_max_body_size {BODY_OF_THE_PORTAL};",
        f"proxy_read_timeout {PORTAL_ANSWERS}s;",
        "error_page 502 503 504 /-/pages/portal$stoa_kind;",
        "error_page 400 /-/pages/400$stoa_kind;",
        "error_page 413 /-/pages/413$stoa_kind;",
        "error_page 429 /-/pages/429$stoa_kind;",
        front_bodies.ROOM,
    ]
    files = [
        "set $stoa_app portal;",
        "set $stoa_prefix /portal/static;",
        'if ($stoa_file = "") { return 404; }',
        "alias front/static/portal/;",
        "charset utf-8;",
        "gzip on;",
        'add_header Cache-Control "max-age=300";',
        'add_header X-Content-Type-Options "nosniff";',
        "error_page 403 404 =404 /-/pages/404$stoa_kind;",
        "error_page 405 /-/pages/405$stoa_kind;",
    ]
    yield from _indented(block("location /portal/", passed_on))
    yield from _indented(block("location /portal/static/", files))
    yield "    location = / { set $stoa_app portal; return 302 /portal/; }"
    yield "    location = /portal { set $stoa_app portal; return 302 /portal/$is_args$args; }"
    yield f'    location / {{ if ($request_uri !~ "^/") {{ return 400; }} return 302 {apps}$request_uri; }}'
    yield from _plain_http(settings, portal=True)
    yield "}"
