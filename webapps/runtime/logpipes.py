"""The pipes that the log writer reads, and how fast each application may print."""

from __future__ import annotations

import array
import fcntl
import termios

from . import logs, wire

# What an application may print: bytes at once, and bytes a second after that. A line costs something
# besides its length, because of the time and the label that are written before it.
BURST = 1 << 20
SUSTAINED = 256 << 10
LINE_COST = 16
# All that are being slowed share so much, bytes a second.
TOTAL = 2 << 20
# Who has used up his allowance is read again when so much has come together.
QUANTUM = 64 << 10
SLOWED = "prints faster than 256 KiB a second: its output is read more slowly, a print may have to wait"
SLOWED_EVERY = 60.0


class Allowance:
    """What one application may print: a token bucket for all its pipes together."""

    def __init__(self, now: float) -> None:
        self.pipes: set[Pipe] = set()
        self.limited = False
        self.told = -SLOWED_EVERY
        self._tokens = float(BURST)
        self._at = now

    def spend(self, data: bytes) -> bool:
        """Take off what was read; say whether there is something left."""
        self._tokens -= len(data) + LINE_COST * data.count(b"\n")
        return self._tokens > 0

    def refill(self, now: float, rate: float) -> None:
        """Add what has come in since the last time."""
        self._tokens = min(float(BURST), self._tokens + (now - self._at) * rate)
        self._at = now

    def wait(self, rate: float) -> float:
        """Return in how many seconds it is worth while to read again."""
        return max(0.0, (min(QUANTUM, BURST) - self._tokens) / rate)

    @property
    def full(self) -> bool:
        """Whether forgetting it would change nothing."""
        return self._tokens >= BURST


class Pipe:
    """The reading end of one stream of output, and where its lines go."""

    def __init__(self, fd: int, message: wire.Message) -> None:
        self.fd = fd
        self.key = message["attach"]
        self.meta = {name: value for name, value in message.items() if name != "attach"}
        self.file = "messages" if message.get("file") == "messages" else "WSGI"
        self.assembler = logs.Assembler()
        if self.file == "messages":
            self.prefix = logs.message_prefix(message.get("source"), message.get("level", "info"))
            self.owner = self.prefix
        else:
            label, generation = message.get("label"), message.get("generation")
            self.prefix = logs.webapp_prefix(label, generation, message.get("stream"))
            self.slowed = logs.webapp_prefix(label, generation, "stoa")
            self.owner = self.prefix.partition(" ")[0]


def available(fd: int) -> int:
    """Ask how many bytes can be read without waiting (FIONREAD)."""
    size = array.array("i", [0])
    try:
        fcntl.ioctl(fd, termios.FIONREAD, size)
    except OSError:
        return 0
    return size[0]
