"""Tries each way out of its walls, and says what each attempt met: "" where it succeeded."""

import ctypes
import ctypes.util
import datetime
import errno
import fcntl
import json
import mmap
import multiprocessing
import multiprocessing.shared_memory
import os
import pwd
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import syslog
import tempfile
import threading
import zoneinfo
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
    # A directory of its own: where nothing keeps it, root would do so for the whole machine.
    libc = ctypes.CDLL(None, use_errno=True)
    with tempfile.TemporaryDirectory() as directory:
        if libc.mount(b"x", directory.encode(), b"tmpfs", 0, None) < 0:
            raise OSError(ctypes.get_errno(), "mount")
        libc.umount2(directory.encode(), 2)


# What an ordinary application does: a table of needs, each met or not.


def database():
    with sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:///")) as connection:
        connection.execute("create table if not exists t (n)")
        connection.execute("insert into t values (1)")
    connection.close()


def own_files():
    os.makedirs("uploads", exist_ok=True)
    write("uploads/a")
    os.rename("uploads/a", "b")
    os.symlink("b", "symbolic")
    os.link("b", "hard")
    os.mkfifo("pipe")
    with open("b", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        fcntl.flock(file, fcntl.LOCK_EX)
        mapped[0] = 65
    for name in ("symbolic", "hard", "pipe", "b"):
        os.remove(name)


def shell():
    out = subprocess.run(["sh", "-c", "ls /proc/self/fd >/dev/null; echo hello | cat"], capture_output=True, check=True)
    assert out.stdout == b"hello\n", out


def python_child():
    source = "import ctypes, decimal, ssl, sqlite3, zlib; print(6 * 7)"
    assert subprocess.run([sys.executable, "-c", source], capture_output=True, check=True).stdout == b"42\n"


def pool():
    with multiprocessing.get_context("fork").Pool(2) as workers:
        assert workers.map(abs, [-1, -2]) == [1, 2]


def spawned():
    child = multiprocessing.get_context("spawn").Process(target=os.getpid)
    child.start()
    child.join(20)
    assert child.exitcode == 0, child.exitcode


def ended_child():
    child = multiprocessing.get_context("fork").Process(target=signal.pause)
    child.start()
    child.terminate()
    child.join(10)
    assert child.exitcode == -signal.SIGTERM, child.exitcode


def threads():
    lines = []
    several = [threading.Thread(target=lines.append, args=(1,)) for _ in range(20)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    assert len(lines) == 20


def temporary():
    with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryDirectory() as directory:
        file.write(b"x" * (1 << 20))
        write(os.path.join(directory, "x"))
    write("/var/tmp/x")
    os.remove("/var/tmp/x")


def shared_memory():
    memory = multiprocessing.shared_memory.SharedMemory(create=True, size=4096)
    memory.buf[0] = 1
    memory.close()
    memory.unlink()


def home():
    os.makedirs(os.path.expanduser("~/.cache/own"), exist_ok=True)
    write(os.path.expanduser("~/.cache/own/x"))


def names():
    assert socket.gethostbyname("localhost") == "127.0.0.1"
    open("/etc/resolv.conf").close()
    open("/etc/hosts").close()


def network():
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", 1)) == errno.ECONNREFUSED
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        client.sendto(b"x", server.getsockname())
        assert server.recv(1) == b"x"


def unix_sockets():
    for directory in (".", tempfile.gettempdir()):
        path = os.path.join(directory, f"own-{os.getpid()}.sock")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()
            connect(path)
        os.remove(path)


def time_zone():
    if os.path.isdir("/usr/share/zoneinfo"):
        assert zoneinfo.ZoneInfo("Europe/Berlin").utcoffset(datetime.datetime(2026, 7, 1)).seconds == 7200


def certificates():
    files = ssl.get_default_verify_paths()
    if os.path.exists("/etc/ssl/certs/ca-certificates.crt") and (files.cafile or files.capath):
        assert ssl.create_default_context().cert_store_stats()["x509_ca"] or files.capath


def accounts():
    if pwd.getpwuid(os.getuid()).pw_uid != os.getuid():
        raise LookupError("not itself")


def terminal():
    first, second = os.openpty()
    os.write(second, b"x")
    os.read(first, 1)
    os.close(first)
    os.close(second)


def devices():
    for name in ("null", "zero", "urandom", "stdin", "fd"):
        os.stat(f"/dev/{name}")
    write("/dev/null")
    os.urandom(8)


def system_log():
    syslog.syslog("hello")


def library():
    assert ctypes.CDLL(ctypes.util.find_library("c")).getpid() == os.getpid()


def itself():
    os.kill(os.getpid(), 0)
    open("/proc/self/status").close()
    write_to = "/proc/self/comm"
    if not os.access(write_to, os.W_OK):
        raise PermissionError(write_to)
    os.sched_getaffinity(0)
    open("/sys/devices/system/cpu/online").close()


NEEDS = (
    database, own_files, shell, python_child, pool, spawned, ended_child, threads, temporary, shared_memory, home, names, network,
    unix_sockets, time_zone, certificates, accounts, terminal, devices, system_log, library, itself,
)


def unmet():
    """Return which needs are not met, and by what."""
    tried = {need.__name__: attempt(need) for need in NEEDS}
    return {name: error for name, error in tried.items() if error}


DO = {f.__name__: f for f in (read, write, connect, kill, trace, fill, fork, open_files, memory, mount)}


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    asked = parse_qs(environ["QUERY_STRING"])
    way = asked.get("do", [""])[0]
    answer = attempt(DO[way], *asked.get("with", [])) if way else unmet()
    return [json.dumps(answer).encode()]
