"""What the front's configuration says of who may enter: the gate, Stoa's cookies, other origins.

The gate is asked by nginx's ``auth_request`` (ngx_http_auth_request_module). Each guarded location tells it the
application by its id; it never parses a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .front_bodies import OWN
from .spec import ORIGIN, Route

#: How the name of a cookie of Stoa's begins; prefixes of RFC 6265bis included.
PREFIX = r"\s*(?:__(?:host|secure)-)?stoa_"
#: Only ``;`` stands between cookies (RFC 6265, section 4.2.1): ``stoa_`` elsewhere is in a name or value of others.
BEGINS = f"(?:^|;){PREFIX}"
#: A cookie of Stoa's in a Cookie header, with those of Stoa's that follow it.
STOAS = f"(?:{PREFIX}[^;]*(?:;|$))+"
#: So often a run of them is taken out; where one is left after that, no cookie is passed on.
RUNS = 8
#: What every page of Stoa's carries on the applications' origin.
PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
#: What guarded locations set and others read.
DECLARED = ("stoa_id", "stoa_gate", "stoa_user", "stoa_groups", "stoa_why", "stoa_pass", "stoa_asked")
#: An application does not answer: a worker of nginx that a reload has replaced may not know yet that it is gone.
LOST = "error_page 502 = @stoa_lost;"
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
PREFLIGHT_LASTS = 600
CORS_HEADERS = ("Origin", "Credentials", "Methods", "Headers", "Max-Age")


def block(opening: str, lines: list[str]) -> Iterator[str]:
    """Write a block of the configuration."""
    yield f"{opening} {{"
    yield from (f"    {line}" for line in lines)
    yield "}"


def cookies() -> Iterator[str]:
    """Map the Cookie header to one without Stoa's cookies, however many there are.

    A map's regular expression takes out one run at a time, so they stand in a row, and each is looked at only when
    the one before it has left something; most requests have none of Stoa's at all. None is volatile: each would be
    made twice by the next one.
    """
    yield f'map $http_cookie $stoa_cookie_clean {{ default $http_cookie; "~*{BEGINS}" $stoa_cookie_clean_1; }}'
    before = "$http_cookie"
    for number in range(1, RUNS + 1):
        after, clean = f"$stoa_cookie_{number}", f"$stoa_cookie_clean_{number}"
        pattern = f"(?s)^(?<stoa_c{number}a>(?:.*?;)?){STOAS}(?<stoa_c{number}b>.*)$"
        yield f'map {before} {after} {{ default {before}; "~*{pattern}" $stoa_c{number}a$stoa_c{number}b; }}'
        rest = f"$stoa_cookie_clean_{number + 1}" if number < RUNS else '""'
        yield f'map {after} {clean} {{ default {after}; "~*{BEGINS}" {rest}; }}'
        before = after
    yield "map $stoa_app $stoa_cookie { default $stoa_cookie_clean; portal $http_cookie; }"


def credentials() -> Iterator[str]:
    """Pass Authorization on, but no Basic password where it is the gate that asks for one."""
    yield 'map $http_authorization $stoa_other_authorization { default $http_authorization; "~*^\\s*basic" ""; }'
    yield 'map $stoa_gate $stoa_authorization { default $stoa_other_authorization; "" $http_authorization; }'
    yield 'map $stoa_user $stoa_logged_user { default $stoa_user; "" -; }'


def own_locations() -> Iterator[str]:
    """Write what a server of the applications' origin answers by the gate."""
    asked = [
        "internal;",
        "access_log off;",
        *_to_gate("Stoa-App $stoa_gate", "Authorization $http_authorization", "Stoa-Client $remote_addr"),
    ]
    yield from block("location = /-/gate", [*asked, "proxy_pass http://gate/ask;"])
    files = [*asked, "proxy_set_header Stoa-Files 1;", "proxy_pass http://gate/ask;"]
    yield from block("location = /-/gate/files", files)
    denied = [
        *_to_gate(
            "Stoa-App $stoa_gate",
            "Stoa-Why $stoa_why",
            "Stoa-Method $request_method",
            "Stoa-Uri $request_uri",
            "Stoa-Host $stoa_host",
            "Stoa-Proxied $stoa_trusted",
            "Accept $http_accept",
            "Sec-Fetch-Mode $http_sec_fetch_mode",
        ),
        "rewrite ^ /denied break;",
        "proxy_pass http://gate;",
        *_closed(),
        # What comes with it is not kept: after 413 the answer is the same, without it.
        OWN,
        "error_page 413 = @stoa_denied;",
    ]
    yield from block("location @stoa_denied", denied)
    lost = [
        *_to_gate("Stoa-App $stoa_id", "Stoa-Why lost", "Accept $http_accept"),
        "rewrite ^ /denied break;",
        "proxy_pass http://gate;",
        "error_page 500 502 503 504 =502 /-/pages/502$stoa_kind;",
    ]
    yield from block("location @stoa_lost", lost)
    # nginx says 500 where the gate did not answer, and where a file is none that can be opened: a socket, say.
    unserved = [
        "error_page 503 /-/pages/gate$stoa_kind;",
        *repeated(404),
        "if ($stoa_asked = 200) { return 404; }",
        "return 503;",
    ]
    yield from block("location @stoa_unserved", unserved)
    for path in ("/-/enter", "/-/leave"):
        own = [
            *_to_gate("Accept $http_accept", method="$request_method"),
            f"proxy_pass http://gate{path};",
            *_closed(),
            OWN,
        ]
        yield from block(f"location = {path}", own)


def _to_gate(*headers: str, method: str = "GET") -> list[str]:
    """Pass on nothing but what the gate wants to know."""
    always = ("Host gate", 'Connection ""', 'Content-Length ""', "Cookie $http_cookie")
    return [
        "proxy_read_timeout 15s;",  # Longer than a password is checked (portal.gate.passwords.PATIENCE).
        f"proxy_method {method};",
        "proxy_pass_request_body off;",
        "proxy_pass_request_headers off;",
        *(f"proxy_set_header {header};" for header in (*always, "Stoa-Scheme $stoa_scheme", *headers)),
    ]


def _closed() -> list[str]:
    """Say 503 where the gate does not answer, whatever nginx would say."""
    return ["error_page 500 502 503 504 =503 /-/pages/gate$stoa_kind;"]


def guard(route: Route) -> list[str]:
    """Have the gate asked before anything of the application's; what it says of the person goes with the request."""
    if route.open:
        return []
    return [
        "auth_request /-/gate;",
        "auth_request_set $stoa_user $upstream_http_stoa_user;",
        "auth_request_set $stoa_groups $upstream_http_stoa_groups;",
        "auth_request_set $stoa_renewed $upstream_http_set_cookie;",
        "auth_request_set $stoa_why $upstream_http_stoa_why;",
        "add_header Set-Cookie $stoa_renewed always;",
        "error_page 401 403 = @stoa_denied;",
        "auth_request_set $stoa_asked $upstream_status;",
        "error_page 500 =503 /-/pages/$stoa_failed$stoa_kind;",
        *repeated(400, 404, 405, 413, 414, 429, 503, 504),
        LOST,
    ]


def guard_websocket(route: Route) -> list[str]:
    """Have the gate asked as for a page, and tell the worker by which pass it stays open."""
    lines = guard(route)
    return [*lines, "auth_request_set $stoa_pass $upstream_http_stoa_pass;"] if lines else []


def guard_files(route: Route) -> list[str]:
    """Have the gate asked for files that are served with the application's security: 404 where it refuses."""
    if route.open:
        return []
    return [
        "auth_request /-/gate/files;",
        "auth_request_set $stoa_asked $upstream_status;",
        "error_page 401 =404 /-/pages/404$stoa_kind;",
        "error_page 500 = @stoa_unserved;",
    ]


def told(route: Route) -> list[str]:
    """Name the application, and to the gate where it is asked."""
    return [f"set $stoa_id {int(route.id)};", *([] if route.open else [f"set $stoa_gate {int(route.id)};"])]


def repeated(*statuses: int) -> list[str]:
    """Name Stoa's pages once more: an error_page replaces all that stand further out."""
    return [f"error_page {status} /-/pages/{status}$stoa_kind;" for status in statuses]


# Cross-Origin Settings


def cors_maps(route: Route) -> Iterator[str]:
    """Map a request's Origin to what the answer allows; nothing where the list does not have it."""
    if not route.cors.origins:
        return
    name = f"$stoa_cors_{route.id}"
    if "*" in route.cors.origins:
        yield f'map $http_origin {name} {{ default "*"; "" ""; }}'
    else:
        lines = ['default "";', *(f'"{origin}" $http_origin;' for origin in route.cors.origins)]
        yield from block(f"map $http_origin {name}", lines)
    asked = f'"$request_method {name} $http_access_control_request_method"'
    yield f'map {asked} $stoa_preflight_{route.id} {{ default ""; "~^OPTIONS \\S+ \\S" 1; }}'
    if route.cors.credentials:
        yield f'map {name} $stoa_cors_with_{route.id} {{ default true; "" ""; }}'


def cors(route: Route) -> list[str]:
    """Say to other origins what they may; a preflight (Fetch standard, CORS-preflight) is answered here."""
    if not route.cors.origins:
        return []
    allowed = [f"add_header Access-Control-Allow-Origin $stoa_cors_{route.id} always;"]
    if "*" not in route.cors.origins:
        allowed.append("add_header Vary Origin always;")
    if route.cors.credentials:
        allowed.append(f"add_header Access-Control-Allow-Credentials $stoa_cors_with_{route.id} always;")
    preflight = [*allowed, f'add_header Access-Control-Allow-Methods "{METHODS}";']
    if route.cors.headers:
        preflight.append(f'add_header Access-Control-Allow-Headers "{", ".join(route.cors.headers)}";')
    preflight.append(f"add_header Access-Control-Max-Age {PREFLIGHT_LASTS};")
    hidden = [f"proxy_hide_header Access-Control-{_full(name)};" for name in CORS_HEADERS]
    return [f"if ($stoa_preflight_{route.id}) {{ {' '.join(preflight)} return 204; }}", *allowed, *hidden]


def _full(name: str) -> str:
    return name if name == "Max-Age" else f"Allow-{name}"


def check_cors(route: Route) -> str:
    """Say what is wrong with a route's Cross-Origin Settings, "" where nothing is."""
    for origin in route.cors.origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            return f"{origin!r} is not an origin"
    for name in route.cors.headers:
        if not HEADER_NAME.fullmatch(name) or "$" in name:
            return f"{name!r} is not the name of a header"
    if "*" in route.cors.origins and route.cors.credentials:
        return "every origin together with credentials is not allowed"
    return ""
