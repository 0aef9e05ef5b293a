"""Does what it is asked to in its process, and says what it saw there."""

import ctypes
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import parse_qs


def who():
    seen = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    return {"pid": os.getpid(), "parent": os.getppid(), "group": os.getpgrp(), "seen": seen}


def kill(pid, number="0"):
    try:
        os.kill(int(pid), int(number))
    except OSError as error:
        return type(error).__name__
    return ""


def keyring(number):
    """Return the serial number of the session's keyring (keyctl(2)), 0 where there is none."""
    return max(0, ctypes.CDLL(None).syscall(ctypes.c_long(int(number)), ctypes.c_long(0), ctypes.c_long(-3), 0))


def trace(pid):
    try:
        open(f"/proc/{pid}/mem", "r+b").close()
    except OSError as error:
        return type(error).__name__
    return ""


def ordinary():
    return {
        "subprocess": subprocess.run(["sh", "-c", "echo $PPID"], capture_output=True, check=True).stdout.decode().strip()
        == str(os.getpid()),
        "spawned": subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, check=True).stdout
        == b"42\n",
        "pool": multiprocessing.get_context("fork").Pool(2).map(abs, [-1, -2]) == [1, 2],
        "fork": _ended(lambda: os._exit(7)) == 7,
        "parent": _ended(lambda parent=os.getpid(): os._exit(os.getppid() == parent)) == 1,
        "term": _ended(lambda: os.kill(os.getpid(), signal.SIGTERM)) == -signal.SIGTERM,
        "abort": _ended(os.abort) == -signal.SIGABRT,
    }


def _ended(do):
    pid = os.fork()
    if pid == 0:
        do()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def orphan():
    """Leave a grandchild behind that ends; return what is left of it in the end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            os.write(writing, str(os.getpid()).encode())
            time.sleep(0.1)
        os._exit(0)
    os.waitpid(child, 0)
    orphan = int(os.read(reading, 32))
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{orphan}") and time.monotonic() < deadline:
        time.sleep(0.01)
    return os.path.exists(f"/proc/{orphan}")


def leave():
    """Start something that leaves our session, and stays."""
    return subprocess.Popen(["sleep", "600"], start_new_session=True).pid


def end(how):
    """End a moment after the answer."""
    ends = {"term": lambda: os.kill(os.getpid(), signal.SIGTERM), "abort": os.abort, "exit": lambda: os._exit(3)}
    threading.Timer(0.2, ends[how]).start()


def spread():
    """Start as many processes as there may be; return how many that were."""
    children = []
    try:
        while len(children) < 100:
            pid = os.fork()
            if pid == 0:
                signal.pause()
            children.append(pid)
    except BlockingIOError:
        pass
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(children)


DO = {do.__name__: do for do in (who, kill, keyring, trace, ordinary, orphan, leave, end, spread)}


def app(environ, start_response):
    asked = parse_qs(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(DO[asked["do"][0]](*asked.get("with", []))).encode()]
