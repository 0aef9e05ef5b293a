"""What the front's configuration says of one route: check it, and write its upstream and locations.

Names and hosts are checked here once more against what they may be, so that none of them can add a directive.
Where files begin never stands in the configuration: ``files/<id>`` is a link that the supervisor makes. What lies
behind it and hosted code could change does, since nginx follows no link there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .front_bodies import ROOM, unlimited
from .front_guard import LOST, block, check_cors, cors, cors_maps, guard, guard_files, guard_websocket, repeated, told
from .spec import Protocol, Route, ServeFiles

SEGMENTS = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+")
LONGEST_NAME = 64
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST = re.compile(rf"{LABEL}(?:\.{LABEL})*")
LONGEST_HOST = 253
RESERVED = ("portal", "-")
SOCKET = re.compile(r"apps/[0-9A-Za-z_-]{1,40}\.sock")

# How the name of a directory is written, so that it is one word on one line.
QUOTED = {
    "\\": "\\\\", '"': '\\"', "$": "${stoa_dollar}", "\n": "\\n", "\r": "\\r", "\t": "\\t",
}  # fmt: skip

# How long (seconds) a WebSocket may be silent.
SILENCE = 3600


@dataclass(frozen=True)
class Rewritten(Route):
    """A route whose requests come by a rewrite (front_hosts.py): to its name, or to that ``below`` another path."""

    below: str = ""


class RouteRefused(Exception):
    """A route that must not reach nginx."""


def check(route: Route) -> None:
    """Raise RouteRefused where a route is not what the form lets through."""
    name, host = route.name, route.host
    if name != "/" and (not SEGMENTS.fullmatch(name) or len(name) > LONGEST_NAME):
        raise RouteRefused(f"the name {name!r} is not made of plain segments")
    if name.split("/")[1].lower() in RESERVED:
        raise RouteRefused(f"the name {name!r} is Stoa's own")
    if host and (not HOST.fullmatch(host) or len(host) > LONGEST_HOST):
        raise RouteRefused(f"{host!r} is not a host name")
    if route.protocol is not Protocol.FILES and not SOCKET.fullmatch(route.socket):
        raise RouteRefused(f"{route.socket!r} is not a socket below the run directory")
    if words := check_cors(route):
        raise RouteRefused(words)


def mount(route: Route) -> str:
    """Return the name as the beginning of a path: "" for "/"."""
    return route.name.rstrip("/")


def _place(route: Route) -> str:
    """Return where nginx finds the route: the beginning of the path as it may have been rewritten."""
    return f"{route.below}{mount(route)}" if isinstance(route, Rewritten) else mount(route)


def has_process(route: Route) -> bool:
    """Say whether requests are passed on to a process."""
    return route.protocol is not Protocol.FILES and not route.failed


def upstream(route: Route) -> Iterator[str]:
    """Write what stands outside the servers: which origins a route allows, where its requests go.

    One server, no count of failures, nginx always the one that closes: replacement.md, sections 2 and 3.
    """
    yield f"# route {route.id}"
    yield from cors_maps(route)
    if not has_process(route):
        yield "# end"
        return
    yield f"upstream app_{route.id} {{"
    yield f"    server unix:{route.socket} max_fails=0;"
    yield "    keepalive 32;"
    # A connection that is kept is to the generation that accepted it: whoever looks after a save shall see the new one.
    # Under load it is never idle for so long; a new one over a Unix socket costs some 30 µs.
    yield "    keepalive_timeout 100ms;"
    yield "}"
    yield "# end"


def locations(route: Route, taken: frozenset[str]) -> Iterator[str]:
    """Write what a server answers at and below a route's name; ``taken`` are its other routes' names."""
    yield f"# route {route.id}"
    if route.protocol is Protocol.FILES:
        yield from _files_only(route)
    else:
        yield from _application(route)
        # An application of that very name is the longer match for all of it.
        if route.files.path and route.files.serve is not ServeFiles.NO and f"{mount(route)}/static" not in taken:
            yield from _static(route)
    yield "# end"


def _matched(route: Route) -> list[str]:
    """Refuse a path that is the name only once decoded (design.md, rule 7); name the application."""
    lines = [f"set $stoa_app {route.label};", *told(route)]
    if mount(route):
        lines.append(f'if ($request_uri !~ "^{re.escape(route.name)}(?:[/?]|$)") {{ return 400; }}')
    return lines


def _everywhere(route: Route, lines: list[str]) -> Iterator[str]:
    """Do the same at the name and below it."""
    if mount(route):
        yield from block(f"location = {_place(route)}", [*_matched(route), *lines])
    yield from block(f"location {_place(route)}/", [*_matched(route), *lines])


def _application(route: Route) -> Iterator[str]:
    """Pass everything on, but a look at the name without a slash is sent to the name with one."""
    if not has_process(route):
        yield from _everywhere(route, ["return 503;"])
        return
    handled = [*guard(route), *cors(route), *_handled(route)]
    if mount(route):
        redirected = f"if ($stoa_reading) {{ return 308 {route.name}/$is_args$args; }}"
        yield from block(f"location = {_place(route)}", [*_matched(route), redirected, *handled])
    yield from block(f"location {_place(route)}/", [*_matched(route), *handled])
    if _speaks_websocket(route):
        silent = _passed_on(route, max(SILENCE, route.request_timeout))
        yield from block(f"location @ws_{route.id}", [*guard_websocket(route), *silent])


def _speaks_websocket(route: Route) -> bool:
    return has_process(route) and route.protocol is Protocol.ASGI


def _handled(route: Route) -> list[str]:
    """Pass on; a WebSocket, which may be silent longer than a request may take, by a location of its own."""
    lines = _passed_on(route, route.request_timeout)
    if _speaks_websocket(route):
        # error_page stands inside the if: at the location's level it would replace all of Stoa's pages.
        lines.insert(0, f"if ($stoa_upgrade) {{ error_page 418 = @ws_{route.id}; return 418; }}")
    return lines


def _passed_on(route: Route, seconds: int, *, as_sent: bool = False) -> list[str]:
    """Pass on as sent: proxy_pass has no path, so nginx takes the request's own, raw, unless it was rewritten."""
    if not has_process(route):
        return ["return 503;"]
    lines = [
        f"proxy_pass http://app_{route.id}{'$request_uri' if as_sent or isinstance(route, Rewritten) else ''};",
        f"client_max_body_size {max(0, route.max_body)};",
        f"proxy_read_timeout {max(1, seconds)}s;",
        f"proxy_send_timeout {max(1, seconds)}s;",
    ]
    if route.protocol is Protocol.ASGI:
        lines += ["proxy_request_buffering off;", *unlimited()]
    if route.open:
        lines += [*repeated(400, 404, 405, 413, 414, 429, 503, 504), LOST, ROOM]
    return lines


def _static(route: Route) -> Iterator[str]:
    """Serve files; what is not there, no file, hidden or not asked for by GET is the application's matter."""
    otherwise = f"@app_{route.id}"
    secured = guard_files(route) if route.files.serve is ServeFiles.SECURED else []
    lines = [
        *_matched(route),
        *secured,
        *_served(route),
        f"try_files $stoa_file {otherwise};",
        f"error_page 403 404 405 = {otherwise};",
        *repeated(400, 413),
        f"client_max_body_size {max(0, route.max_body)};",
    ]
    yield from block(f"location {_prefix(route)}/", lines)
    passed_on = _passed_on(route, route.request_timeout, as_sent=bool(route.links))
    yield from block(f"location {otherwise}", [*guard(route), *cors(route), *passed_on])


def _files_only(route: Route) -> Iterator[str]:
    if route.files.serve is ServeFiles.NO or not route.files.path:
        yield from _everywhere(route, ["return 404;"])
        return
    if mount(route):
        redirected = f"return 308 {route.name}/$is_args$args;"
        yield from block(f"location = {_place(route)}", [*_matched(route), redirected])
    secured = route.files.serve is ServeFiles.SECURED and not route.open
    lines = [
        *_served(route),
        'if ($stoa_file = "") { return 404; }',
        "index index.html;",
        # 500 is for what cannot be opened, a socket, say.
        f"error_page 403 404{'' if secured else ' 500'} =404 /-/pages/404$stoa_kind;",
        *repeated(400, 405),
        *(["error_page 301 = @stoa_directory;"] if _place(route) != mount(route) else []),
    ]
    if secured:
        # Its name is the one page where somebody can say who he is: the way to every file.
        yield from block(f"location = {_place(route)}/", [*_matched(route), *guard(route), *_index(route)])
    lines = [*_matched(route), *(guard_files(route) if secured else []), *lines]
    yield from block(f"location {_place(route)}/", lines)


def _index(route: Route) -> list[str]:
    """Lead to the index of a directory whose files are guarded one by one."""
    return [*_served(route), "index index.html;"]


def _served(route: Route) -> list[str]:
    """Serve from ``files/<id>``, with the headers that Serve Files asks for."""
    lines = [
        *(_by_another_name(route, *link) for link in route.links),
        f"set $stoa_prefix {_prefix(route)};",
        f"alias {_directory(route)};",
        "charset utf-8;",
        "gzip on;",
        f'add_header Cache-Control "{_cache_control(route)}";',
        *cors(route),
    ]
    if route.files.serve is ServeFiles.CACHED:
        lines += [
            "open_file_cache max=1000 inactive=60s;",
            "open_file_cache_valid 5s;",
            # Another directory makes another configuration, hence workers with an empty cache.
            f"# directory {_digest(route.root or route.files.path)}",
        ]
    return lines


def link_of(route: Route) -> str:
    """Return the name of the link in ``files`` to a route's root: another root has another name where more follows."""
    return f"{route.id}-{_digest(route.root)}" if route.inside else str(route.id)


def _directory(route: Route) -> str:
    """Write the directory that files are served from."""
    return _quoted(f"files/{link_of(route)}/{route.inside}/") if route.inside else f"files/{route.id}/"


def _by_another_name(route: Route, link: str, target: str) -> str:
    """Look for what a link leads to instead of the link, which nginx does not follow."""
    begin = _prefix(route).strip('"')
    pattern = _quoted(f"(?s)^{re.escape(f'{begin}/{link}')}(/.*)?$").replace("${stoa_dollar}", "$")
    return f'rewrite {pattern} {_quoted(f"{begin}/{target}")[:-1]}$1" last;'


def _quoted(text: str) -> str:
    return '"' + "".join(QUOTED.get(letter, letter) for letter in text) + '"'


def _digest(path: str) -> str:
    return hashlib.sha256(path.encode(errors="surrogatepass")).hexdigest()[:16]


def _prefix(route: Route) -> str:
    """Return what stands before a file's name; "" is written so that nginx can read it."""
    return f"{_place(route)}/static" if route.protocol is not Protocol.FILES else _place(route) or '""'


def _cache_control(route: Route) -> str:
    if route.files.timeout <= 0:
        return "no-cache"
    shared = {ServeFiles.CACHED: "public, ", ServeFiles.SECURED: "private, "}.get(route.files.serve, "")
    return f"{shared}max-age={route.files.timeout}"
