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

# Plain segments; the first is not one of Stoa's own.
NAME = re.compile(r"/|(?!/(?i:portal|-)(?:/|\Z))(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+")
HOST = re.compile(r"(?=.{1,253}\Z)(?:(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!\Z)|\Z))+")
ORIGIN = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+")
NAMESPACE = re.compile(r"%?[A-Z][A-Z0-9_-]{0,63}")

# Files that no route serves: hidden ones, Python's, databases (fields.md, section Files).
# Kept free of anything that backtracks: a path may be 32 kB long.
NEVER = r"(?:/\.|\.py|\.wsgi(?:/|$)|\.sqlite3)"

# Stands above the lines of a route, so that nginx's complaint about one can be laid at its door; 0: of no route.
MARK = "# route "

# How long (seconds) a WebSocket may be silent.
SILENCE = 3600

TYPES = """\
    types {
        text/html html htm; text/css css; text/plain txt log md; text/csv csv; text/xml xml;
        text/javascript js mjs; application/json json map; application/manifest+json webmanifest;
        application/wasm wasm; application/pdf pdf; application/zip zip; application/gzip gz;
        application/rss+xml rss; application/atom+xml atom; text/calendar ics; text/vtt vtt;
        image/png png; image/jpeg jpg jpeg; image/gif gif; image/webp webp; image/avif avif;
        image/svg+xml svg; image/x-icon ico; image/tiff tif tiff; image/bmp bmp;
        font/woff woff; font/woff2 woff2; font/ttf ttf; font/otf otf;
        audio/mpeg mp3; audio/ogg ogg oga; audio/wav wav; audio/mp4 m4a;
        video/mp4 mp4 m4v; video/webm webm; video/ogg ogv; video/quicktime mov;
    }
    default_type application/octet-stream;
"""

# What has a charset and what is compressed, where a location asks for it; text/html always is, by nginx's own rule.
TEXTS = (
    "text/css text/plain text/csv text/xml text/javascript application/json application/manifest+json "
    "text/calendar text/vtt image/svg+xml"
)
ZIPPED = f"{TEXTS} application/wasm application/rss+xml application/atom+xml image/bmp"

# What a client may not tell an application: the front says it, or nobody does. "Proxy" is httpoxy (CVE-2016-5385);
# names with an underscore never come as far as here (underscores_in_headers).
UNBELIEVED = (
    "Forwarded Proxy Remote-User Remote-Groups Remote-Name Remote-Email X-Remote-User X-Scheme X-Url-Scheme "
    "Front-End-Https Script-Name X-Script-Name X-Original-Url X-Original-Uri X-Original-Host X-Original-Method "
    "X-Rewrite-Url X-Accel-Redirect X-Accel-Mapping X-Accel-Buffering X-Sendfile-Type X-Client-Ip X-Cluster-Client-Ip "
    "X-Http-Host-Override X-Host X-Forwarded X-Forwarded-By X-Forwarded-Client-Cert X-Forwarded-Email "
    "X-Forwarded-Groups X-Forwarded-Method X-Forwarded-Path X-Forwarded-Prefix X-Forwarded-Preferred-Username "
    "X-Forwarded-Protocol X-Forwarded-Scheme X-Forwarded-Server X-Forwarded-Ssl X-Forwarded-Uri X-Forwarded-Url "
    "X-Forwarded-User X-Forwarded-Access-Token"
).split()

# What a hosted response may not say (design.md, rule 8), because it would hold for the whole origin.
UNSAID = (
    "X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Charset X-Accel-Buffering "
    "Service-Worker-Allowed Clear-Site-Data Strict-Transport-Security Public-Key-Pins Alt-Svc NEL Report-To"
).split()


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
    user: str = ""


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
        server_names_hash_bucket_size 512;
        server_names_hash_max_size 16384;
        variables_hash_max_size 2048;
        sendfile on;
        tcp_nopush on;
        reset_timedout_connection on;
        client_max_body_size 0;
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
        proxy_redirect off;
        proxy_set_header Host $stoa_host;
        proxy_set_header Connection $stoa_connection;
        proxy_set_header Upgrade $stoa_upgrade;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-Proto $stoa_scheme;
        proxy_set_header X-Forwarded-Host $stoa_host;
        proxy_set_header X-Forwarded-Port $stoa_port;
        proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Charset;
        map $stoa_app $stoa_logged { default $stoa_app; "" "-"; }
        map $request_uri $stoa_log { default 1; "~^/(?:-|portal)/static/" 0; }
        map $http_upgrade $stoa_upgrade { default ""; "~*^websocket$" websocket; }
        map $stoa_upgrade $stoa_connection { default ""; websocket upgrade; }
        log_format stoa escape=default '$time_iso8601 $stoa_logged $remote_addr '
            '"$request_method $request_uri $server_protocol" $status $body_bytes_sent $request_time';
        gzip_vary on;
        gzip_proxied any;
        gzip_min_length 512;
        """
    )
    yield f"    charset_types {TEXTS};"
    yield f"    gzip_types {ZIPPED};"
    yield f"    access_log {_quoted(settings.access_log)} stoa if=$stoa_log;"
    yield from (f'    proxy_set_header {name} "";' for name in UNBELIEVED)
    yield from (f"    proxy_hide_header {name};" for name in UNSAID)
    yield from _asked()
    yield from _trust(settings.trusted_proxies)
    if settings.binary.gentle:
        yield "    keepalive_min_timeout 10s;"


def _asked() -> Iterator[str]:
    """Say what was asked for: one host, its port, and the path as it was sent.

    A request line may name a host too (RFC 9112, 3.2.2). nginx goes by that one, so the application must be told the
    same: ``$stoa_asked`` is the path, or nothing where the two differ, and then no name matches it.
    """
    yield '    map "$host|$http_host" $stoa_asked {'
    yield '        default "";'
    yield r'        "~*^(?<stoa_named>.*)\|\k<stoa_named>\.?(?::[0-9]*)?$" $request_uri;'
    yield r'        "~\|$" $request_uri;'
    yield "    }"
    yield '    map "$host|$http_host" $stoa_host {'
    yield "        default $http_host;"
    yield '        "_|" $server_addr:$server_port;'
    yield r'        "~^(?<stoa_only>.*)\|$" $stoa_only;'
    yield "    }"
    yield '    map "$stoa_scheme $stoa_host" $stoa_port {'
    yield "        default 80;"
    yield '        "~:(?<stoa_given>[0-9]+)$" $stoa_given;'
    yield '        "~^https " 443;'
    yield "    }"


def _trust(proxies: tuple[str, ...]) -> Iterator[str]:
    """Believe forwarded addresses and schemes from the trusted proxies alone."""
    trusted = [proxy for proxy in proxies if re.fullmatch(r"[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?", proxy)]
    yield "    geo $realip_remote_addr $stoa_trusted {"
    yield "        default 0;"
    yield from (f"        {proxy} 1;" for proxy in trusted)
    yield "    }"
    forwarded = '"$stoa_trusted:$http_x_forwarded_proto"'
    yield f"    map {forwarded} $stoa_scheme {{ default $scheme; 1:https https; 1:http http; }}"
    for proxy in trusted:
        yield f"    set_real_ip_from {proxy};"
    if trusted:
        yield "    real_ip_header X-Forwarded-For;"
        yield "    real_ip_recursive on;"


def _upstreams(routes: Sequence[Route]) -> Iterator[str]:
    for route in routes:
        if route.socket and not route.failed:
            yield f"    {MARK}{route.id}"
            yield (
                f"    upstream a{route.id} {{ server unix:{route.socket} max_fails=0; "
                "keepalive 32; keepalive_timeout 1s; keepalive_requests 1000000; }"
            )
    yield f"    {MARK}0"
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
    yield f"        {_pages()}"
    yield f"        location ^~ /-/static/ {{ alias {_quoted(settings.static_dir / 'front', '/')}; charset utf-8; }}"
    for page in ("502", "503", "504"):
        yield f"        location = /-/static/{page}.html {{"
        yield f"            alias {_quoted(settings.static_dir / 'front' / f'{page}.html')}; charset utf-8;"
        yield "            add_header Retry-After 5 always;"
        yield '            add_header Cache-Control "no-store" always;'
        yield "        }"
    yield "        location ^~ /-/ { return 404; }"
    yield f"        location ^~ /portal/ {{ return 302 {_portal_origin(settings)}/portal/; }}"
    yield "        location = /portal { return 302 /portal/; }"
    for namespace, name in sorted(defaults.items()):
        if NAMESPACE.fullmatch(namespace) and NAME.fullmatch(name):
            yield f'        location = "/-/ns/{namespace}/" {{ return 302 {_below(name)}$is_args$args; }}'
    if not any(route.name == "/" for route in routes):
        front = _quoted(settings.static_dir / "front")
        yield f"        location = / {{ try_files /index.html =404; root {front}; charset utf-8; }}"
        yield "        location / { return 404; }"
    for route in routes:
        yield from _locations(route)
    yield f"        {MARK}0"
    yield "    }"


PAGES = (400, 403, 404, 405, 413, 414, 500, 502, 503, 504)


def _pages(*others: int) -> str:
    """Answer what nginx itself refuses with Stoa's pages; a location with an error_page of its own repeats them."""
    pages = [f"error_page {status} /-/static/{status}.html;" for status in PAGES if status not in others]
    return " ".join([*pages, "error_page 494 =431 /-/static/431.html;"])


def _locations(route: Route) -> Iterator[str]:
    yield f"        {MARK}{route.id}"
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
        return 'if ($stoa_asked = "") { return 400; }'
    return f'if ($stoa_asked !~ "^{re.escape(route.name)}(?:[/?]|$)") {{ return 400; }}'


def _application(route: Route, below: str) -> Iterator[str]:
    passing = _passing(route)
    yield f"        location @a{route.id} {{ {passing} }}"
    if route.protocol is Protocol.ASGI:
        # A WebSocket may be silent for longer than a request may take.
        yield f"        location @w{route.id} {{ {_passing(route, SILENCE)} }}"
        passing += f" {_pages()} error_page 418 = @w{route.id}; if ($stoa_upgrade) {{ return 418; }}"
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
    if _has_files(route):
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


def _has_files(route: Route) -> bool:
    # Whoever asks may see an open application, so its secured files too.
    return bool(route.files.path) and route.files.serve is not ServeFiles.NO


def _static(route: Route, prefix: str, otherwise: str) -> Iterator[str]:
    """Serve files below a prefix; what is not there, hidden, a directory or not a GET is the application's."""
    yield f"        location ^~ {prefix} {{"
    yield f'            set $stoa_app "{route.label}"; {_same_path(route)} {_never(prefix)}'
    yield f"            {_pages(403, 404, 405)} error_page 403 404 405 = {otherwise};"
    yield from _file_words(route)
    yield f"            try_files $uri {otherwise};"
    yield f"            client_max_body_size {route.max_body};"
    yield "        }"


def _files_only(route: Route, below: str) -> Iterator[str]:
    start = f'set $stoa_app "{route.label}"; {_same_path(route)}'
    if route.name != "/":
        yield f"        location = {route.name} {{ {start} return 307 {below}$is_args$args; }}"
    yield f"        location {'' if below == '/' else '^~ '}{below} {{"
    if _has_files(route):
        yield f"            {start} {_never(below)}"
        yield f"            {_pages(403)} error_page 403 =404 /-/static/404.html;"
        yield "            index index.html;"
        yield from _file_words(route)
    else:
        yield f"            {start} return 404;"
    yield "        }"


def _never(prefix: str) -> str:
    """Answer 404 for what no route serves; the name itself may have a dot or ".py" in it."""
    return f'if ($uri ~* "^{re.escape(prefix[:-1])}(?s:.*){NEVER}") {{ return 404; }}'


CACHING = {ServeFiles.CACHED: "public, ", ServeFiles.SECURED: "private, "}


def _file_words(route: Route) -> Iterator[str]:
    yield f"            alias files/{route.id}/;"
    yield "            disable_symlinks on from=$document_root;"
    yield "            log_not_found off;"
    yield f'            add_header Cache-Control "{CACHING.get(route.files.serve, "")}max-age={route.files.timeout}";'
    yield '            add_header X-Content-Type-Options "nosniff";'
    yield "            charset utf-8; gzip on;"
    if route.files.serve is ServeFiles.CACHED:
        yield "            open_file_cache max=2000 inactive=60s; open_file_cache_valid 5s; open_file_cache_errors off;"


def _portal(settings: FrontSettings) -> Iterator[str]:
    yield "    server {"
    yield f"        listen {_address(settings.portal_listen)} default_server;"
    yield "        server_name _;"
    yield '        set $stoa_app "portal";'
    yield "        error_page 502 503 504 =503 /-/static/portal.html;"
    yield "        error_page 413 /-/static/413.html;"
    yield f"        location ^~ /-/static/ {{ alias {_quoted(settings.static_dir / 'front', '/')}; charset utf-8; }}"
    yield "        location = / { return 302 /portal/; }"
    yield "        location = /portal { return 302 /portal/; }"
    yield "        location ^~ /portal/ {"
    yield "            proxy_pass http://portal; client_max_body_size 20m; proxy_read_timeout 120s;"
    yield "        }"
    yield "        location ^~ /portal/static/ {"
    yield f"            alias {_quoted(settings.static_dir / 'portal', '/')};"
    yield '            add_header Cache-Control "max-age=300"; add_header X-Content-Type-Options nosniff;'
    yield "            charset utf-8; gzip on;"
    yield "        }"
    yield f"        location / {{ return 307 {_apps_origin(settings)}$request_uri; }}"
    yield "    }"


def _apps_origin(settings: FrontSettings) -> str:
    return _checked_origin(settings.apps_url) or _origin(settings.apps_listen)


def _portal_origin(settings: FrontSettings) -> str:
    return _checked_origin(settings.portal_url) or _origin(settings.portal_listen)


def _checked_origin(url: str) -> str:
    origin = url.rstrip("/")
    if origin and not ORIGIN.fullmatch(origin):
        raise RouteRefused(f"{url!r} is not an origin such as https://apps.example.com")
    return origin


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
