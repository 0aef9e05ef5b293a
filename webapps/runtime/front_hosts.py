"""What the front's configuration says of named hosts: one server for all of them, however many there are.

A server of its own for each host would repeat every route for any host in it. Instead:

1. A request to a host that has routes is rewritten to ``//own/<number><path>``, where those routes are.
2. What none of them takes is rewritten back, to the routes for any host.

No client gets there by itself: nginx makes one slash of two (``merge_slashes``). nginx forgets the raw path when it
rewrites, so requests are passed on with ``$request_uri``. What is Stoa's own is never rewritten: a rewritten request
may enter ``internal`` locations (ngx_http_core_module).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .front_guard import block
from .front_routes import Rewritten, locations
from .spec import Route

OWN = "//own"
#: The server's first name: where a request names no host (HTTP/1.0 over TLS), nginx takes it for the host.
NOBODY = "stoa.invalid"


class Hosts:
    """The hosts that are named, each with the routes of its own."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes: dict[str, list[Route]] = {}
        for route in sorted(routes, key=lambda route: route.host.lower()):
            if route.host:
                self.routes.setdefault(route.host.lower(), []).append(route)

    def maps(self) -> Iterator[str]:
        """Write what stands outside the server: which host has which number."""
        # Behind a backslash, which stands for itself behind another, a host may be called as a parameter of map is.
        numbers = [rf"\\{host} {number};" for number, host in enumerate(self.routes, 1)]
        yield from block("map $host $stoa_host_number", ['default "";', *numbers])
        # Volatile: a page of Stoa's and the index of a directory come here again.
        stoas = '"~^/(?:/|-/|portal(?:/|$))" "";'
        yield from block("map $uri $stoa_own", ["volatile;", "default $stoa_host_number;", stoas])
        directory = '"~^/*(?<stoa_asked>/[^?]*)" $stoa_asked;'
        yield from block("map $request_uri $stoa_directory", ['default "";', directory])

    def opening(self) -> list[str]:
        """Return the server's names, and how requests come to the routes of their host."""
        names = [f"server_name {host};" for host in (NOBODY, *self.routes)]
        return [*names, f"if ($stoa_own) {{ rewrite ^ {OWN}/$stoa_own$uri last; }}"]

    def locations(self) -> Iterator[str]:
        """Write the locations of the routes that a host has, and the way back to those for any host."""
        yield from block(f"location {OWN}/", ["internal;", f'rewrite "(?s)^{OWN}/[0-9]+(/.*)$" $1 last;'])
        # nginx would redirect to a directory by the path that it was rewritten to.
        yield "location @stoa_directory { return 301 $stoa_directory/$is_args$args; }"
        for number, own in enumerate(self.routes.values(), 1):
            names = frozenset(route.name for route in own)
            for route in own:
                yield from locations(rewritten(route, f"{OWN}/{number}"), names)


def rewritten(route: Route, below: str = "") -> Rewritten:
    """Return a route as it is in the server of all hosts."""
    return Rewritten(**vars(route), below=below)
