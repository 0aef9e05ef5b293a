"""What a package does that somebody has installed to leave its environment's zygote; says what each attempt met.

``plan.json`` beside it names what there is to reach.
"""

import json
import os
import resource
import signal
import socket
import sys
import time

MET = {}
KEPT = []
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "plan.json")) as file:
    PLAN = json.load(file)


def reached(do):
    """Return what it came to, None where it was refused."""
    try:
        return str(do())[:200]
    except Exception:
        return None


def read(path):
    with open(path, "rb") as file:
        return file.read(40)


def write(path):
    with open(path, "ab"):
        return "written"


def connect(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(path)
        return "connected"


def listen(port):
    sock = socket.socket()
    KEPT.append(sock)
    if port:
        sock.bind(("127.0.0.1", port))
    sock.listen()
    return sock.getsockname()


def on(pid):
    """Do to a process what takes a process id."""
    return {
        "environ": lambda: read(f"/proc/{pid}/environ"),
        "files": lambda: os.listdir(f"/proc/{pid}/root"),
        "signal": lambda: os.kill(pid, 0),
        "continue": lambda: os.kill(pid, signal.SIGCONT),
        "limit": lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE),
        "priority": lambda: os.getpriority(os.PRIO_PROCESS, pid),
        "handle": lambda: os.pidfd_open(pid),
    }


def ways():
    for path in PLAN["read"]:
        yield f"read {path}", lambda path=path: read(path)
    for path in PLAN["list"]:
        yield f"list {path}", lambda path=path: os.listdir(path)
    for path in PLAN["write"]:
        yield f"write {path}", lambda path=path: write(path)
    for path in PLAN["connect"]:
        yield f"connect {path}", lambda path=path: connect(path)
    for name, pid in PLAN["processes"].items():
        for what, do in on(pid).items():
            yield f"{what} of {name}", do
    for port in PLAN["ports"]:
        yield f"listen at {port}", lambda port=port: listen(port)


def act(place):
    """Try everything, once in each process that this is inherited from."""
    MET.setdefault(place, {"pid": os.getpid(), "met": {way: reached(do) for way, do in ways()}})
    if place == "flask" and PLAN["lie"]:
        lie(sys.modules["__main__"].Zygote, PLAN["lie"])


def lie(zygote, pid):
    """Have the zygote name a process of somebody else's as its worker."""

    def forked(self, caller, key, _pid):
        with open(f"/proc/{pid}/stat", "rb") if os.path.exists(f"/proc/{pid}/stat") else open(os.devnull, "rb") as stat:
            start = int((stat.read().rpartition(b")")[2].split() or [0] * 20)[19])
        self.wire.send(caller, {"forked": key, "pid": pid, "start": start})
        time.sleep(0.1)

    zygote._has_forked = forked
