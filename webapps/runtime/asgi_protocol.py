"""gunicorn's ASGI connection, leaner: an ordinary request costs one task, and nothing is wrapped around it.

1. The parser, bodies of requests, WebSockets and every request that is not ordinary are gunicorn's.
2. The client is believed, requests are counted and responses checked here, not by wrappers around the application.
3. What an application does after its response (background tasks) neither holds up the next request nor ends with the
   connection: the front closes idle connections soon, and gunicorn would cancel it a moment later.
4. A connection is closed only after the front has been told so (replacement.md, section 2).

Runs inside the application's process under any CPython from 3.10.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol, BodyReceiver

from . import asgi_headers, guard
from .asgi_exchange import Exchange
from .eager import Starter

# So many calls whose response is complete may still be at work on one connection.
MOST_LEFT = 16
# Stands for a task that has not gone as far as it can go without waiting.
BEGINNING: Any = object()


class AsgiProtocol(ASGIProtocol):  # type: ignore[misc]
    """A connection from the front. Its worker has ``gauge``, ``draining`` and ``websocket_app`` besides gunicorn's."""

    # One process serves one application.
    heads = asgi_headers.Heads()

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
        if buffered:
            self.data_received(buffered)

    def data_received(self, data: bytes) -> None:
        """Take what has come. A request that is known as a whole does not see the parser."""
        if not self._between:
            if self._behind is None:
                super().data_received(data)
            else:
                self._put_behind(data)
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
        worker = self.worker
        request: Any = asgi_headers.read(self._callback_parser, self._root_path, worker.state) if self._reads else None
        if request is not None:
            self._open(request)
        else:
            super()._on_headers_complete()
            self._serving = self._serve_unusual(self._current_request)
        return False

    def _open(self, request: asgi_headers.Request) -> BodyReceiver:
        self._body_receiver = receiver = BodyReceiver(request, self)
        self._serving = Exchange(self, request, receiver, request.scope).run()
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
            await Exchange(self, request, self._body_receiver, scope).run()
            return
        self.app = self.worker.websocket_app
        self.worker.gauge.begin()
        try:
            await self._handle_websocket(request, *self._addresses)
        except Exception:
            self.log.exception("Error in a WebSocket")
        finally:
            self.worker.gauge.end()
            self._close_transport()

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
        self._current_request = self._body_receiver = None
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
