"""What the front's configuration says of large bodies: how many it keeps on its disk at once, in all and of one client.

Of an answer it keeps as much as its client has not read yet, up to a bound; the rest waits in the application.

nginx writes a body to its disk before it passes it on, so that who sends slowly keeps no thread of an application; its
size is limited for each (``client_max_body_size``), and that of one in chunks is known at its end only. So they are
counted (ngx_http_limit_conn_module): those in chunks, and those of a megabyte and more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .spec import Protocol, Route

#: At least and at most so many at once; between them as many of the largest that is taken as fill half of the disk.
FEWEST, MOST = 16, 128
#: Of one answer at least and at most so much; between them so much that so many unread ones fill a quarter of the disk.
LEAST, LARGEST, UNREAD = 4 << 20, 64 << 20, 1000
#: What a page of Stoa's on the applications' origin takes in.
OWN = "client_max_body_size 64k;"
#: nginx's own 500 where it cannot keep a body.
ROOM = "error_page 500 =503 /-/pages/room$stoa_kind;"


def most(disk: int, routes: Iterable[Route]) -> int:
    """Return how many large bodies may be under way at once; ``disk`` is its size in bytes, 0 if not known."""
    largest = max((route.max_body for route in routes if route.protocol is Protocol.WSGI), default=0)
    return max(FEWEST, min(MOST, disk // 2 // max(1, largest))) if disk else MOST


def answers(disk: int) -> Iterator[str]:
    """Write how much of one answer is kept: nginx's own bound is a gigabyte, for each that a client does not read.

    When it is reached nginx reads on as its client does, so the client still gets all of it: a worker that is fast is
    held up as long as its client is slow, and no longer.
    """
    size = max(LEAST, min(LARGEST, disk // 4 // UNREAD)) if disk else LARGEST
    yield f"proxy_max_temp_file_size {size >> 20}m;"


def counted(epoch: int) -> Iterator[str]:
    """Write who counts: the client as the trusted proxies name it, and all together.

    ``epoch`` names the counts: a worker of nginx that was killed has never counted down what it had.
    """
    yield 'map "$http_transfer_encoding:$http_content_length" $stoa_large { default ""; "~^[^:]" 1; "~:[0-9]{7}" 1; }'
    yield 'map $stoa_large $stoa_sender { default ""; 1 $binary_remote_addr; }'
    yield 'map $stoa_large $stoa_senders { default ""; 1 all; }'
    yield f"limit_conn_zone $stoa_sender zone=sender_{epoch}:1m;"
    yield f"limit_conn_zone $stoa_senders zone=senders_{epoch}:32k;"
    yield 'map $stoa_large $stoa_nobody { default ""; }'
    yield "limit_conn_zone $stoa_nobody zone=nobody:32k;"
    yield "limit_conn_status 429;"
    yield "limit_conn_log_level notice;"


def limited(epoch: int, number: int) -> list[str]:
    """Write how many may be under way: one client may have half of them."""
    return [f"limit_conn sender_{epoch} {number // 2};", f"limit_conn senders_{epoch} {number};"]


def unlimited() -> list[str]:
    """Write, for a location, that bodies are passed on as they come: nothing is kept, so nobody counts."""
    return ["limit_conn nobody 1;"]


def full() -> Iterator[str]:
    """Tell a gate that does not answer from a body that cannot be kept: nginx says 500 of both.

    ``$stoa_asked`` is what the gate has answered, "" where it was not asked.
    """
    yield 'map $stoa_asked $stoa_failed { default gate; "" room; "~^2" room; }'
