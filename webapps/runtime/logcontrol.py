"""What the keeper says to the log writer, and what it is answered."""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from . import wire
from .held import Held
from .legacy import Legacy
from .logpages import Pages
from .logpipes import Pipe

PACKETS = 64


class Control:
    """The socket to the keeper. ``attach`` takes a pipe to read, ``pipes`` returns those that are read."""

    def __init__(
        self,
        sock: socket.socket,
        epoll: select.epoll,
        pages: Pages,
        attach: Callable[[Pipe], None],
        pipes: Callable[[], Iterable[Pipe]],
    ) -> None:
        self.sock: socket.socket | None = sock
        self.behind = False  # Whether the keeper may have said more than was read.
        self._epoll = epoll
        self._pages = pages
        self._attach = attach
        self._pipes = pipes
        self._answers: deque[wire.Message] = deque()
        self._legacy = Legacy(epoll, self._left_pipes)
        sock.setblocking(False)
        epoll.register(sock, select.EPOLLIN)

    def serve(self, fd: int, mask: int) -> None:
        """Do what can be done: hear the keeper, or the next start."""
        if self.sock is None or fd != self.sock.fileno():
            self._legacy.serve(fd)
            return
        if mask & select.EPOLLOUT:
            self._send_answers()
        self.read()

    def read(self) -> None:
        """Do what the keeper says, so much at once."""
        self.behind = False
        for _packet in range(PACKETS if self.sock else 0):
            try:
                received = wire.receive(self.sock) if self.sock else None
            except BlockingIOError:
                return
            except ValueError as error:
                self._pages.say("warning", f"the keeper sent what is not JSON: {error}")
                continue
            except OSError:
                received = None
            if received is None:
                self._lose_keeper()
                return
            self._obey(*received)
        self.behind = True

    def _obey(self, message: Any, fds: list[int]) -> None:
        words = message if isinstance(message, dict) else {}
        if isinstance(words.get("attach"), str) and fds:
            wire.close_all(fds[1:])
            self._attach(Pipe(fds[0], words))
        elif isinstance(words.get("hold"), str):
            self._legacy.hold(words["hold"], Held(fds, words.get("meta", {})))
        else:
            wire.close_all(fds)
            self._obey_bare(words, message)

    def _obey_bare(self, words: wire.Message, message: Any) -> None:
        """Do what comes without descriptors."""
        if isinstance(words.get("drop"), str):
            self._legacy.drop(words["drop"])
        elif isinstance(words.get("answer"), str):
            self._answer_at(Path(words["answer"]))
        else:
            self._pages.say("warning", f"the keeper sent what is not understood: {message!r:.200}")

    def _answer_at(self, path: Path) -> None:
        try:
            self._legacy.answer_at(path)
        except OSError as error:
            words = f"after a kill of the keeper nothing can be taken over: {path} cannot be bound ({error.strerror})"
            self._pages.say("error", words)

    def _left_pipes(self) -> Iterator[tuple[str, Held]]:
        """Return the pipes that are read, once all that the keeper has said is heard."""
        self.behind = True
        while self.sock and self.behind:
            self.read()
        for pipe in self._pipes():
            yield pipe.key, Held([pipe.fd], pipe.meta)

    def _lose_keeper(self) -> None:
        if self.sock:
            self._epoll.unregister(self.sock)
            self.sock.close()
        self.sock = None
        self._answers.clear()
        self._pages.say("warning", "the keeper has gone; reading goes on until every application has ended")

    def tell(self, answer: wire.Message) -> None:
        """Tell the keeper, as soon as he is ready to hear it."""
        if self.sock:
            self._answers.append(answer)
            self._send_answers()

    def _send_answers(self) -> None:
        """Send what the keeper is ready to take; he may be waiting for us just now."""
        mask = select.EPOLLIN
        while self.sock and self._answers:
            try:
                wire.send(self.sock, self._answers[0])
            except BlockingIOError:
                mask |= select.EPOLLOUT
                break
            except OSError:
                break  # reading will show that he has gone
            self._answers.popleft()
        if self.sock:
            self._epoll.modify(self.sock, mask)
