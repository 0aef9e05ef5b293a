"""gunicorn's ASGI connection, leaner: an ordinary request costs one task, and nothing is wrapped around it.

1. The parser, bodies of requests, WebSockets and every request that is not ordinary are gunicorn's; what ends a
   request is looked at once more (asgi_framing).
2. The client is believed, requests are counted and responses checked here, not by wrappers around the application.
3. What an application does after its response (background tasks) neither holds up the next request nor ends with the
   connection: the front closes idle connections soon, and gunicorn would cancel it a moment later.
4. A connection is closed only after the front has been told so (replacement.md, section 2).

Runs inside the application's process under any CPython from 3.10.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from gunicorn.asgi.parser import ParseError
from gunicorn.asgi.protocol import ASGIProtocol, BodyReceiver

from . import asgi_framing, asgi_headers, guard
from .asgi_closing import Lingering
from .asgi_exchange import Exchange
from .eager import Starter

# So many calls whose response is complete may still be at work on one connection.
MOST_LEFT = 16
# The parsers keep no more than this of what comes behind a head (bytes).
PIECE = 1 << 16
# Stands for a task that has not gone as far as it can go without waiting.
BEGINNING: Any = object()


class AsgiProtocol(ASGIProtocol):  # type: ignore[misc]
    """A connection from the front. Its worker has ``gauge``, ``draining`` and ``websocket_app`` besides gunicorn's."""

    # One process serves one application.
    heads = asgi_headers.Heads()
    transport: Any

    # One request after another

    def _start_http1(self, buffered: bytes = b"") -> None:
        """Wait for requests, without a task."""
        self._setup_callback_parser()
        # Without it the parser is gunicorn's in Python, or an old one, which leaves more to be checked.
        self._reads = hasattr(self._callback_parser, "asgi_headers")
        self._addresses = [self.transport.get_extra_info(name) for name in ("sockname", "peername")]
        self._starter = Starter(self.worker.loop)
        #: Whether nothing of the next request has come; what has come behind one that the parser has not seen.
        self._between = True
        self._behind: bytes | None = None
        self._serving: Coroutine[Any, Any, None] | None = None
        self._exchange: Exchange | None = None
        self._chunks: asgi_framing.Chunks | None = None
        if buffered:
            self.data_received(buffered)

    def data_received(self, data: bytes) -> None:
        """Take what has come. A request that is known as a whole does not see the parser."""
        if self._closed or (type(self.transport) is Lingering and self.transport.closing):
            return  # It is read so that the other end can read what was said last.
        if not self._between:
            if self._behind is not None:
                self._put_behind(data)
            elif self._chunks is not None:
                self._take_chunks(data)
            else:
                super().data_received(data)
        else:
            self._between = False
            request = self.heads.find(data, self.worker.state)
            if request is not None:
                self._behind = b""
                self._open(request)._complete = True
            else:
                super().data_received(data)
                receiver = self._body_receiver
                if receiver and receiver._complete and type(receiver.request) is asgi_headers.Request:
                    self.heads.learn(data, receiver.request)
        self._begin(self._starter.start)

    def _put_behind(self, data: bytes) -> None:
        self._behind = (self._behind or b"") + data
        if len(self._behind) > self._max_buffer_size:
            self._pause_reading()

    def _on_headers_complete(self) -> bool:
        """Begin to serve; True says that the parser is to leave the body alone."""
        parser = self._callback_parser
        request: Any = asgi_headers.read(parser, self._root_path, self.worker.state) if self._reads else None
        if request is not None:
            self._open(request)
            return False
        asgi_framing.check(dict(self._headers_of(parser)), parser.http_version, parser.path)
        super()._on_headers_complete()
        if parser.is_chunked:
            self._chunks = asgi_framing.Chunks()
        self._serving = self._serve_unusual(self._current_request)
        return bool(parser.is_chunked)

    def _headers_of(self, parser: Any) -> list[tuple[bytes, bytes]]:
        return list(parser.asgi_headers if self._reads else parser.headers)

    def _on_message_complete(self) -> None:
        if self._chunks is None:
            super()._on_message_complete()

    def _feed_callback_parser(self, data: bytes) -> bool:
        """Have the parser read; what stands behind the head of a chunked request is read here."""
        if not super()._feed_callback_parser(data[:PIECE]):
            return False
        if self._chunks is not None:
            self._take_chunks(self._callback_parser.remaining() + data[PIECE:])
            return not self._closed
        return len(data) <= PIECE or self._feed_callback_parser(data[PIECE:])

    def _take_chunks(self, data: bytes) -> None:
        chunks, receiver = self._chunks, self._body_receiver
        assert chunks is not None and receiver is not None
        try:
            for part in chunks.feed(data):
                receiver.feed(part)
        except ParseError as error:
            self._refuse_body(str(error))
            return
        if receiver.buffered > self._max_buffer_size:
            self._pause_reading()
        if chunks.ended:
            self._chunks, self._behind = None, chunks.rest
            receiver.set_complete()

    def _refuse_body(self, why: str) -> None:
        """Answer 400, unless some of the application's answer is on its way, and read no more."""
        exchange = self._exchange
        if exchange is None or exchange.head or not exchange.started:
            self._send_error_response(400, why)
        self._chunks = None
        self._close_transport()
        self._body_receiver.signal_disconnect()

    def _open(self, request: asgi_headers.Request) -> BodyReceiver:
        self._body_receiver = receiver = BodyReceiver(request, self)
        self._exchange = Exchange(self, request, receiver, request.scope)
        self._serving = self._exchange.run()
        return receiver

    def _begin(self, start: Callable[[Coroutine[Any, Any, None]], Any]) -> None:
        """Begin to serve what has been read, unless what came behind its head has ended the connection."""
        serving, self._serving = self._serving, None
        if serving is None:
            return
        if self._closed:
            serving.close()
            return
        self._task = BEGINNING
        task = start(serving)
        if self._task is BEGINNING:  # The response is not complete.
            self._task = task

    async def _serve_unusual(self, request: Any) -> None:
        if not (request.may_upgrade() and self._is_websocket_upgrade(request)):
            scope = self._build_http_scope(request, *self._addresses)
            self._exchange = Exchange(self, request, self._body_receiver, scope)
            await self._exchange.run()
            return
        self.transport = Lingering(self.transport, self.worker.loop)
        self.app = self.worker.websocket_app
        self.worker.gauge.begin()
        try:
            await self._handle_websocket(request, *self._addresses)
        except Exception:
            self.log.exception("Error in a WebSocket")
        finally:
            self.worker.gauge.end()
            self._close_transport()

    def _is_websocket_upgrade(self, request: Any) -> bool:
        """Say whether a request is the opening of a WebSocket (RFC 6455, section 4.2.1; RFC 9110, section 7.8)."""
        said: dict[bytes, list[bytes]] = {}
        for name, value in request.headers_bytes:
            said.setdefault(name, []).append(value.lower())
        options = b",".join(said.get(b"connection", ())).split(b",")
        return (
            request.method == "GET"
            and request.version >= (1, 1)
            and not (request.content_length or request.chunked)
            and said.get(b"upgrade") == [b"websocket"]
            and len(said.get(b"sec-websocket-key", ())) < 2
            and b"upgrade" in (option.strip(b" \t") for option in options)
        )

    def _close_transport(self) -> None:
        """Close, but not before the other end has read what was said, where it is still writing."""
        receiver = self._body_receiver
        if self.transport and not self._closed and receiver and not receiver._complete:
            self.transport = Lingering(self.transport, self.worker.loop)
            self._resume_reading()
        super()._close_transport()

    def will_close(self, request: Any) -> bool:
        """Say, as the head of a response is written, whether the connection ends with it. What is said is done."""
        worker = self.worker
        return bool(worker.draining or not worker.alive or request.should_close())

    def answered(self, exchange: Exchange) -> None:
        """Look for the next request, although the application may have more to do, unless that would be unsafe."""
        self._task = None  # It is not cancelled when the front closes the connection.
        if exchange.keep and not exchange.receiver.buffered and len(self._finishing_calls) < MOST_LEFT:
            self._finishing_calls[exchange] = exchange.receiver
            exchange.left = self._next(exchange)

    def ended(self, exchange: Exchange) -> None:
        """Look for the next request now, or close, where that was not done with the response."""
        self._finishing_calls.pop(exchange, None)
        if not exchange.left and not (exchange.keep and self._next(exchange)):
            self._close_transport()

    def _next(self, exchange: Exchange) -> bool:
        """Make room for the next request; False where the connection has to end.

        What is left of a body that did not come whole would be taken for the next request.
        """
        parser = self._callback_parser
        if self._closed or not (self.worker.alive and exchange.receiver._complete) or parser.remaining_truncated:
            return False
        self.worker.nr += 1
        if self._reading_paused:
            self._resume_reading()
        pipelined = parser.remaining() if self._behind is None else self._behind
        self._behind = None
        parser.reset()
        self._current_request = self._body_receiver = self._exchange = None
        self._between = not pipelined
        if pipelined:
            self._feed_callback_parser(pipelined)
            self._begin(self.worker.loop.create_task)  # Not at once: another task is at work here.
        return not self._closed

    # What an application is told where gunicorn reads the request

    def _build_http_scope(self, request: Any, sockname: Any, peername: Any) -> dict[str, Any]:
        scope: dict[str, Any] = super()._build_http_scope(request, sockname, peername)
        guard.believe_in_scope(scope)
        return scope

    def _build_websocket_scope(self, request: Any, sockname: Any, peername: Any) -> dict[str, Any]:
        scope: dict[str, Any] = super()._build_websocket_scope(request, sockname, peername)
        guard.believe_in_scope(scope)
        return scope


# gunicorn notes the C parser on the class that asks first, and looks at its own: a subclass would never get it.
ASGIProtocol._check_h1c_protocol_available()
