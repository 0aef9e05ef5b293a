"""Tries each way out of its walls, and says what each attempt met: "" where it succeeded."""

import ctypes
import json
import multiprocessing
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
from urllib.parse import parse_qs


def attempt(do, *arguments):
    try:
        do(*arguments)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return ""


def read(path):
    os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)


def write(path):
    with open(path, "w") as file:
        file.write("x")


def connect(path, kind="stream"):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if kind == "stream" else socket.SOCK_SEQPACKET)
    sock.settimeout(3)
    sock.connect(path)
    if kind != "stream":
        sock.send(b'{"do": "status"}')
        if not sock.recv(10):
            raise ConnectionError("closed without an answer")


def kill(pid):
    os.kill(int(pid), 0)


def trace(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, int(pid), None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(int(pid), 0)
    libc.ptrace(17, int(pid), None, None)


def fill():
    with tempfile.TemporaryFile() as file:
        for _ in range(100):
            file.write(b"x" * (1 << 20))
        file.flush()


def fork():
    children = []
    try:
        for _ in range(200):
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            children.append(pid)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def open_files():
    files = []
    while len(files) < 20000:
        files.append(open("/dev/null"))


def memory():
    held = []
    while len(held) < 60:
        held.append(b"x" * (16 << 20))


def mount():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(b"/tmp", 2) < 0 and libc.mount(b"x", b"/proc", b"tmpfs", 0, None) < 0:
        raise OSError(ctypes.get_errno(), "mount")


def forked_and_ended():
    """Have a child that waits and is told to end."""
    child = multiprocessing.get_context("fork").Process(target=signal.pause)
    child.start()
    child.terminate()
    child.join(10)
    if child.exitcode != -signal.SIGTERM:
        raise RuntimeError(f"it ended with {child.exitcode}")


def ordinary():
    """Do what an application may do."""
    done = []
    with sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:///")) as database:
        database.execute("create table if not exists t (n)")
        database.execute("insert into t values (1)")
    os.makedirs("uploads", exist_ok=True)
    write("uploads/a")
    os.rename("uploads/a", "b")
    os.symlink("b", "link")
    os.remove("link")
    done.append(subprocess.run(["sh", "-c", "ls /proc/self/fd | wc -l >/dev/null; echo hello | cat"], capture_output=True, check=True).stdout.decode())
    done.append(subprocess.run([__import__("sys").executable, "-c", "import ssl, sqlite3; print(6 * 7)"], capture_output=True, check=True).stdout.decode())
    with multiprocessing.get_context("fork").Pool(2) as pool:
        done.append(pool.map(abs, [-1, -2]))
    done.append(forked_and_ended())
    lines = []
    thread = threading.Thread(target=lambda: lines.append(1))
    thread.start()
    thread.join()
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")
    write(os.path.expanduser("~/cache"))
    done.append(socket.gethostbyname("localhost"))
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
    os.kill(os.getpid(), 0)
    child = subprocess.Popen(["sleep", "60"])
    child.terminate()
    child.wait()
    return done


DO = {f.__name__: f for f in (read, write, connect, kill, trace, fill, fork, open_files, memory, mount)}


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    asked = parse_qs(environ["QUERY_STRING"])
    way = asked.get("do", [""])[0]
    answer = attempt(DO[way], *asked.get("with", [])) if way else attempt(ordinary)
    return [json.dumps(answer).encode()]
