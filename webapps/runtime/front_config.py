"""The front's configuration: one value, written whole, built from routes by a pure function.

What people choose reaches nginx in two ways only: names and hosts, which are checked here once more against
what a plain segment may be; and directories, which never do: ``files/<id>`` is a link that the supervisor makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .nginx import Binary
from .spec import Protocol, Route, ServeFiles

NAME = re.compile(r"/|(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+")
HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*")
NAMESPACE = re.compile(r"%?[A-Z][A-Z0-9_-]{0,63}")

# Files that no route serves: hidden ones, Python's, databases (fields.md, section Files).
NEVER = r"~*(?:/\.|\.py[^/]*(?:/|$)|\.wsgi(?:/|$)|\.sqlite3[^/]*$)"

# How long (seconds) a WebSocket may be silent.
SILENCE = 3600

TYPES = """\
    types {
        text/html html htm; text/css css; text/plain txt log md; text/csv csv; text/xml xml;
        text/javascript js mjs; application/json json map; application/manifest+json webmanifest;
        application/wasm wasm; application/pdf pdf; application/zip zip; application/gzip gz;
        application/rss+xml rss; application/atom+xml atom; text/calendar ics; text/vtt vtt;
        image/png png; image/jpeg jpg jpeg; image/gif gif; image/webp webp; image/avif avif;
        image/svg+xml svg svgz; image/x-icon ico; image/tiff tif tiff; image/bmp bmp;
        font/woff woff; font/woff2 woff2; font/ttf ttf; font/otf otf;
        audio/mpeg mp3; audio/ogg ogg oga; audio/wav wav; audio/mp4 m4a;
        video/mp4 mp4 m4v; video/webm webm; video/ogg ogv; video/quicktime mov;
    }
    default_type application/octet-stream;
    charset utf-8;
    charset_types text/css text/plain text/csv text/xml text/javascript application/json text/calendar text/vtt image/svg+xml;
"""

ZIPPED = (
    "text/css text/plain text/csv text/xml text/javascript application/json application/manifest+json "
    "application/wasm image/svg+xml text/calendar text/vtt"
)


class RouteRefused(Exception):
    """A route that must not reach nginx."""


@dataclass(frozen=True)
class FrontSettings:
    """What does not change while Stoa runs. Addresses are (host, port); directories are absolute.

    ``apps_url`` and ``portal_url`` are the public origins, "" where they follow from the addresses.
    """

    run_dir: Path
    static_dir: Path
    access_log: Path
    binary: Binary
    apps_listen: tuple[str, int]
    portal_listen: tuple[str, int]
    apps_url: str = ""
    portal_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    workers: int = 2
    as_root: bool = False


def check(route: Route) -> None:
    """Raise RouteRefused where a name or host is not what the form lets through."""
    if not NAME.fullmatch(route.name):
        raise RouteRefused(f"the name {route.name!r} is not made of plain segments")
    if route.host and not HOST.fullmatch(route.host):
        raise RouteRefused(f"{route.host!r} is not a host name")


def render(settings: FrontSettings, routes: Sequence[Route], defaults: Mapping[str, str], generation: int) -> str:
    """Return the whole configuration. Raises RouteRefused."""
    for route in routes:
        check(route)
    return "\n".join(
        [
            *_main(settings),
            "http {",
            *_http(settings),
            *_upstreams(routes),
            *_state(generation),
            *_apps(settings, routes, defaults),
            *_portal(settings),
            "}",
            "",
        ]
    )


def _main(settings: FrontSettings) -> Iterator[str]:
    yield "daemon off;"
    if settings.as_root:
        yield "user root;"  # Stoa warns of it; nobody could not reach the applications' sockets.
    yield "pid front/nginx.pid;"
    yield f"worker_processes {settings.workers};"
    yield "worker_rlimit_nofile 16384;"
    # WebSockets live on in the worker that a reload has replaced, but not for ever.
    yield "worker_shutdown_timeout 3600s;"
    yield "error_log stderr warn;"
    yield "events { worker_connections 4096; }"


def _http(settings: FrontSettings) -> Iterator[str]:
    yield TYPES
    yield from _lines(
        """
        uninitialized_variable_warn off;
        recursive_error_pages on;
        server_tokens off;
        absolute_redirect off;
        server_names_hash_bucket_size 256;
        server_names_hash_max_size 4096;
        variables_hash_max_size 2048;
        sendfile on;
        tcp_nopush on;
        reset_timedout_connection on;
        large_client_header_buffers 8 32k;
        client_body_temp_path front/body;
        proxy_temp_path front/proxy;
        fastcgi_temp_path front/fastcgi;
        uwsgi_temp_path front/uwsgi;
        scgi_temp_path front/scgi;
        keepalive_timeout 75s;
        keepalive_requests 100000;
        proxy_http_version 1.1;
        proxy_buffer_size 32k;
        proxy_buffers 8 32k;
        proxy_socket_keepalive off;
        proxy_set_header Host $http_host;
        proxy_set_header Connection $stoa_connection;
        proxy_set_header Upgrade $stoa_upgrade;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-Proto $stoa_scheme;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Port $stoa_port;
        proxy_set_header X-Forwarded-Prefix "";
        proxy_set_header X-Forwarded-Server "";
        proxy_set_header X-Forwarded-Ssl "";
        proxy_set_header X-Forwarded-Protocol "";
        proxy_set_header X-Forwarded-Scheme "";
        proxy_set_header X-Forwarded-User "";
        proxy_set_header X-Scheme "";
        proxy_set_header Forwarded "";
        proxy_set_header Proxy "";
        proxy_set_header Remote-User "";
        proxy_set_header Remote-Groups "";
        proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Charset Expires Cache-Control Set-Cookie Vary;
        proxy_hide_header X-Accel-Redirect;
        proxy_hide_header X-Accel-Expires;
        proxy_hide_header X-Accel-Limit-Rate;
        proxy_hide_header X-Accel-Charset;
        proxy_hide_header X-Accel-Buffering;
        proxy_hide_header Service-Worker-Allowed;
        proxy_hide_header Clear-Site-Data;
        proxy_hide_header Strict-Transport-Security;
        log_format stoa escape=default '$time_iso8601 $stoa_logged $remote_addr "$request_method $request_uri $server_protocol" $status $body_bytes_sent $request_time';
        access_log %(log)s stoa;
        map $stoa_app $stoa_logged { default $stoa_app; "" "-"; }
        map $http_upgrade $stoa_upgrade { default ""; "~*^websocket$" websocket; }
        map $stoa_upgrade $stoa_connection { default ""; websocket upgrade; }
        map $uri $stoa_never { default 0; "%(never)s" 1; }
        map $http_host $stoa_port { default $server_port; "~:(?<stoa_given>[0-9]+)$" $stoa_given; }
        """
        % {"log": _quoted(settings.access_log), "never": NEVER}
    )
    yield from _trust(settings.trusted_proxies)
    if settings.binary.gentle:
        yield "    keepalive_min_timeout 10s;"


def _trust(proxies: tuple[str, ...]) -> Iterator[str]:
    """Believe forwarded addresses and schemes from the trusted proxies alone."""
    trusted = [proxy for proxy in proxies if re.fullmatch(r"[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?", proxy)]
    yield "    geo $realip_remote_addr $stoa_trusted {"
    yield "        default 0;"
    yield from (f"        {proxy} 1;" for proxy in trusted)
    yield "    }"
    yield '    map "$stoa_trusted:$http_x_forwarded_proto" $stoa_scheme { default $scheme; 1:https https; 1:http http; }'
    for proxy in trusted:
        yield f"    set_real_ip_from {proxy};"
    if trusted:
        yield "    real_ip_header X-Forwarded-For;"
        yield "    real_ip_recursive on;"


def _upstreams(routes: Sequence[Route]) -> Iterator[str]:
    for route in routes:
        if route.socket and not route.failed:
            yield (
                f"    upstream a{route.id} {{ server unix:{route.socket} max_fails=0; "
                "keepalive 32; keepalive_timeout 1s; keepalive_requests 1000000; }"
            )
    yield "    upstream portal { server unix:portal.sock max_fails=0; keepalive 8; keepalive_timeout 1s; }"


def _state(generation: int) -> Iterator[str]:
    """Answer with the number of this configuration, so that a reload can be confirmed."""
    yield "    server {"
    yield "        listen unix:front/state.sock;"
    yield "        access_log off;"
    yield f'        location = /generation {{ default_type text/plain; return 200 "{generation}"; }}'
    yield "    }"


def _apps(settings: FrontSettings, routes: Sequence[Route], defaults: Mapping[str, str]) -> Iterator[str]:
    """One server for any host, one more for each host that is named."""
    anywhere = [route for route in routes if not route.host]
    yield from _server(settings, "", anywhere, defaults)
    for host in sorted({route.host for route in routes if route.host}):
        own = [route for route in routes if route.host == host]
        others = [route for route in anywhere if not any(_covers(mine.name, route.name) for mine in own)]
        yield from _server(settings, host, [*own, *others], defaults)


def _covers(name: str, other: str) -> bool:
    return name == "/" or other == name or other.startswith(name + "/")


def _server(settings: FrontSettings, host: str, routes: Sequence[Route], defaults: Mapping[str, str]) -> Iterator[str]:
    address = _address(settings.apps_listen)
    yield "    server {"
    yield f"        listen {address}{'' if host else ' default_server'};"
    yield f"        server_name {host or '_'};"
    yield from _pages()
    yield f"        location ^~ /-/static/ {{ alias {_quoted(settings.static_dir / 'front', '/')}; access_log off; }}"
    for page in ("502", "503", "504"):
        yield f"        location = /-/static/{page}.html {{"
        yield f"            alias {_quoted(settings.static_dir / 'front' / f'{page}.html')}; add_header Retry-After 5 always;"
        yield '            add_header Cache-Control "no-store" always;'
        yield "        }"
    yield "        location ^~ /-/ { return 404; }"
    for namespace, name in sorted(defaults.items()):
        if NAMESPACE.fullmatch(namespace) and NAME.fullmatch(name):
            yield f'        location = "/-/ns/{namespace}/" {{ return 302 {_below(name)}$is_args$args; }}'
    if not any(route.name == "/" for route in routes):
        yield "        location = / { try_files /index.html =404; root %s; }" % _quoted(settings.static_dir / "front")
        yield "        location / { return 404; }"
    for route in routes:
        yield from _locations(route)
    yield "    }"


PAGES = {400: "400", 403: "403", 404: "404", 413: "413", 502: "502", 503: "503", 504: "504"}


def _pages() -> Iterator[str]:
    """Answer what nginx itself refuses with Stoa's pages; a location with an error_page of its own repeats them."""
    for status, page in PAGES.items():
        yield f"        error_page {status} /-/static/{page}.html;"
    yield "        error_page 494 =431 /-/static/431.html;"


def _locations(route: Route) -> Iterator[str]:
    yield f"        # route {route.id}"
    below = _below(route.name)
    if not route.open:
        yield from _answers(route, below, 403)
    elif route.protocol is Protocol.FILES:
        yield from _files_only(route, below)
    elif route.failed:
        yield from _answers(route, below, 503)
    else:
        yield from _application(route, below)


def _below(name: str) -> str:
    return "/" if name == "/" else name + "/"


def _answers(route: Route, below: str, status: int) -> Iterator[str]:
    """Answer everything at and below a name with one of Stoa's pages."""
    line = f'set $stoa_app "{route.label}"; {_same_path(route)} return {status};'
    yield f"        location {'' if below == '/' else '^~ '}{below} {{ {line} }}"
    if below != "/":
        yield f"        location = {route.name} {{ {line} }}"


def _same_path(route: Route) -> str:
    """Answer 400 where the path as it was sent does not begin with the name that nginx matched (design.md, rule 7)."""
    if route.name == "/":
        return ""
    return f'if ($request_uri !~ "^{re.escape(route.name)}(?:[/?]|$)") {{ return 400; }}'


def _application(route: Route, below: str) -> Iterator[str]:
    passing = _passing(route)
    yield f"        location @a{route.id} {{ {passing} }}"
    if route.protocol is Protocol.ASGI:
        # A WebSocket may be silent for longer than a request may take.
        yield f"        location @w{route.id} {{ {_passing(route, SILENCE)} }}"
        passing += " ".join(_pages()) + f" error_page 418 = @w{route.id}; if ($stoa_upgrade) {{ return 418; }}"
    if route.name != "/":
        yield f"        location = {route.name} {{"
        yield f'            set $stoa_app "{route.label}"; {_same_path(route)}'
        yield f"            if ($request_method ~ ^(GET|HEAD)$) {{ return 307 {below}$is_args$args; }}"
        yield f"            {passing}"
        yield "        }"
    yield f"        location {'' if below == '/' else '^~ '}{below} {{"
    yield f'            set $stoa_app "{route.label}"; {_same_path(route)}'
    yield f"            {passing}"
    yield "        }"
    if route.files.path and route.files.serve in (ServeFiles.ALWAYS, ServeFiles.CACHED):
        yield from _static(route, f"{below}static/", f"@a{route.id}")


def _passing(route: Route, least: int = 0) -> str:
    seconds = max(route.request_timeout, least)
    words = [
        f"proxy_pass http://a{route.id};",
        f"client_max_body_size {route.max_body};",
        f"proxy_read_timeout {seconds}s;",
        f"proxy_send_timeout {seconds}s;",
    ]
    if route.protocol is Protocol.ASGI:
        words.append("proxy_request_buffering off;")
    return " ".join(words)


def _static(route: Route, prefix: str, otherwise: str) -> Iterator[str]:
    """Serve files below a prefix; what is not there, hidden or not a GET is the application's."""
    yield f"        location ^~ {prefix} {{"
    yield f'            set $stoa_app "{route.label}"; {_same_path(route)}'
    yield "            if ($stoa_never) { return 404; }"
    yield from _pages()
    yield f"            error_page 403 404 405 = {otherwise};"
    yield "            log_not_found off;"
    yield from _file_words(route)
    yield "        }"


def _files_only(route: Route, below: str) -> Iterator[str]:
    if route.name != "/":
        yield f"        location = {route.name} {{ set $stoa_app \"{route.label}\"; {_same_path(route)} return 307 {below}$is_args$args; }}"
    yield f"        location {'' if below == '/' else '^~ '}{below} {{"
    yield f'            set $stoa_app "{route.label}"; {_same_path(route)}'
    if route.files.serve in (ServeFiles.ALWAYS, ServeFiles.CACHED):
        yield "            if ($stoa_never) { return 404; }"
        yield "            index index.html;"
        yield "            error_page 403 404 =404 /-/static/404.html;"
        yield "            log_not_found off;"
        yield from _file_words(route)
    else:
        yield "            return 404;"
    yield "        }"


def _file_words(route: Route) -> Iterator[str]:
    cached = route.files.serve is ServeFiles.CACHED
    yield f"            alias files/{route.id}/;"
    yield "            disable_symlinks on from=$document_root;"
    yield f'            add_header Cache-Control "{"public, " if cached else ""}max-age={route.files.timeout}";'
    yield '            add_header X-Content-Type-Options "nosniff";'
    yield f"            gzip on; gzip_vary on; gzip_min_length 512; gzip_types {ZIPPED};"
    if cached:
        yield "            open_file_cache max=2000 inactive=60s; open_file_cache_valid 5s; open_file_cache_errors off;"


def _portal(settings: FrontSettings) -> Iterator[str]:
    apps = settings.apps_url or _origin(settings.apps_listen)
    yield "    server {"
    yield f"        listen {_address(settings.portal_listen)} default_server;"
    yield "        server_name _;"
    yield '        set $stoa_app "portal";'
    yield "        error_page 502 503 504 /-/static/portal.html;"
    yield "        error_page 413 /-/static/413.html;"
    yield f"        location ^~ /-/static/ {{ alias {_quoted(settings.static_dir / 'front', '/')}; access_log off; }}"
    yield "        location = / { return 302 /portal/; }"
    yield "        location = /portal { return 302 /portal/; }"
    yield "        location ^~ /portal/ {"
    yield "            proxy_pass http://portal; client_max_body_size 20m; proxy_read_timeout 120s;"
    yield "        }"
    yield "        location ^~ /portal/static/ {"
    yield f"            alias {_quoted(settings.static_dir / 'portal', '/')};"
    yield '            access_log off; add_header Cache-Control "max-age=300"; add_header X-Content-Type-Options nosniff;'
    yield f"            gzip on; gzip_vary on; gzip_types {ZIPPED};"
    yield "        }"
    yield f"        location / {{ return 302 {apps}$request_uri; }}"
    yield "    }"


def _origin(address: tuple[str, int]) -> str:
    host, port = address
    if host in ("0.0.0.0", "::"):  # noqa: S104
        return f"http://$host:{port}"
    return f"http://{'[' + host + ']' if ':' in host else host}:{port}"


def _address(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _quoted(path: Path, ending: str = "") -> str:
    """Quote a path of Stoa's own; what nginx would take for a variable cannot be said, so it is refused."""
    text = f"{path}{ending}"
    if re.search(r'["\\$\x00-\x1f]', text):
        raise RouteRefused(f"{text!r} cannot be named in nginx's configuration; put Stoa into another directory")
    return f'"{text}"'


def _lines(text: str) -> Iterable[str]:
    return (f"    {line.strip()}" for line in text.strip().splitlines())
