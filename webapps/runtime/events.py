"""Tell the log writer what Stoa does; each event is one write, small enough not to be torn (pipe(7), PIPE_BUF)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

ROOM = 3500
PIPE_BUF = 4096


def in_one_line(text: str) -> str:
    """Return a text without line breaks: an exception's words are hosted code's, and no line of them is Stoa's."""
    return " ⏎ ".join(line for line in text.splitlines() if line.strip())


class Events:
    """The writing end of the log writer's pipe of events, and a way to the person at the terminal."""

    def __init__(self, fd: int, source: str, terminal: Callable[[str], None] = lambda _text: None) -> None:
        self.fd = fd
        self.source = source
        self.terminal = terminal
        os.set_blocking(fd, False)

    def of_application(self, label: str, generation: int, text: str) -> None:
        """Write a line to WSGI.log, and what it says to messages.log as well."""
        self.in_its_log(label, generation, text)
        self.say(f"{label} generation {generation}: {text}")

    def in_its_log(self, label: str, generation: int, text: str) -> None:
        """Write a line to WSGI.log alone."""
        event = {"file": "WSGI", "label": label, "generation": generation, "stream": "stoa"}
        self._write({**event, "text": in_one_line(text)[:ROOM]})

    def say(self, text: str, level: str = "info") -> None:
        """Write a line to messages.log."""
        self._write({"file": "messages", "source": self.source, "level": level, "text": in_one_line(text)[:ROOM]})

    def tell(self, text: str, level: str = "info") -> None:
        """Write a line to messages.log, and tell the person at the terminal."""
        self.say(text, level)
        self.terminal(text if level == "info" else f"{level.capitalize()}: {text}")

    def _write(self, event: dict[str, object]) -> None:
        data = json.dumps(event, ensure_ascii=False).encode(errors="backslashreplace")
        while len(data) >= PIPE_BUF:
            event["text"] = str(event["text"])[: len(str(event["text"])) // 2] + "…"
            data = json.dumps(event, ensure_ascii=False).encode(errors="backslashreplace")
        try:
            os.write(self.fd, data + b"\n")
        except (BlockingIOError, BrokenPipeError):
            pass  # The log writer is being restarted and the pipe is full: going on matters more.
