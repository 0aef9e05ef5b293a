"""WSGI.log and messages.log as the log writer fills them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from . import logs
from .rotation import LogFile

FLUSH = 1 << 18


class Pages:
    """The two logs: gathers the lines of a turn and writes each file once."""

    def __init__(self, log_dir: Path) -> None:
        self.when = ""
        of_everybody = logs.webapp_prefix(logs.EVERYBODY, 0, "stoa")
        self._files = {
            "WSGI": LogFile(log_dir / "WSGI.log", self._notice(of_everybody)),
            "messages": LogFile(log_dir / "messages.log", self._notice(logs.message_prefix("log", "error"))),
        }
        self._waiting: dict[str, list[bytes]] = {name: [] for name in self._files}
        self._size = 0

    def add(self, file: str, prefix: str, texts: Iterable[str]) -> None:
        """Take lines for one of the logs."""
        data = logs.format_lines(self.when, prefix, texts)
        self._waiting[file].append(data)
        self._size += len(data)
        if self._size > FLUSH:
            self.flush()

    def say(self, level: str, text: str) -> None:
        """Take a line of the log writer's own."""
        self.add("messages", logs.message_prefix("log", level), logs.escape(text).split("\n"))

    def add_event(self, line: bytes) -> None:
        """Take what Stoa says of itself or of an application: a line of JSON."""
        try:
            event = json.loads(line)
            texts = logs.texts_of(event["text"].encode("utf-8", "backslashreplace").rstrip(b"\n") + b"\n")
            if event["file"] == "messages":
                prefix = logs.message_prefix(event["source"], event["level"])
            else:
                prefix = logs.webapp_prefix(event["label"], event["generation"], event.get("stream"))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            shown = logs.texts_of(line[:200] + b"\n")[0]
            self.say("warning", f"malformed event ({type(error).__name__}): {shown}")
            return
        self.add("messages" if event["file"] == "messages" else "WSGI", prefix, texts)

    def flush(self) -> None:
        """Write what was taken."""
        self._size = 0
        for name, waiting in self._waiting.items():
            if waiting:
                data = b"".join(waiting)
                waiting.clear()
                self._files[name].append(data)

    def retry(self) -> None:
        """Try to say what was lost."""
        for file in self._files.values():
            if file.lost:
                file.append()

    @property
    def losing(self) -> bool:
        """Whether lines were lost that nobody was told of."""
        return any(file.lost for file in self._files.values())

    def _notice(self, prefix: str) -> Callable[[int, str], bytes]:
        def notice(lost: int, reason: str) -> bytes:
            return logs.format_lines(self.when, prefix, [f"{lost} lines were lost: {reason}"])

        return notice
