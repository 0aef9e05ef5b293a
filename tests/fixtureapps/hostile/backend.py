"""A build backend that needs no index. While it builds it does what ``plan.json`` beside it says, and notes in ``met.json``
what each attempt met: "" where it succeeded."""

import glob
import json
import os
import resource
import socket
import subprocess
import sys
import time
import zipfile

import escape

ABOUT = "hostile-1.dist-info"
FILES = {
    "hostile.py": "",
    f"{ABOUT}/METADATA": "Metadata-Version: 2.1\nName: hostile\nVersion: 1\n",
    f"{ABOUT}/WHEEL": "Wheel-Version: 1.0\nGenerator: hostile\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{ABOUT}/RECORD": "",
}


def limit(pid, who):
    """Take an interpreter's or a server's processor time away (prlimit(2))."""
    resource.prlimit(int(pid), resource.RLIMIT_CORE, resource.prlimit(int(pid), resource.RLIMIT_CORE))


def stand_back(pid, who):
    os.setpriority(os.PRIO_PROCESS, int(pid), os.getpriority(os.PRIO_PROCESS, int(pid)))


def memory_of(pid, who):
    open(f"/proc/{pid}/mem", "rb").close()


def survive(path):
    """Leave a process behind that has nothing to do with us: its own session and group, no environment, no parent."""
    source = "import sys, time\nwhile True:\n    open(sys.argv[1], 'a').write('x')\n    time.sleep(0.05)"
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (0, 1, 2):
                os.dup2(os.open("/dev/null", os.O_RDWR), number)
            os.execve(sys.executable, [sys.executable, "-c", source, path], {})
        os._exit(0)
    while not os.path.exists(path):
        time.sleep(0.01)


def listen(way):
    """Listen at a port of the kernel's choice, where browsers would send Stoa's cookies."""
    with socket.socket() as server:
        if way == "bound":
            server.bind(("127.0.0.1", 0))
        server.listen()


def say_without_end():
    while True:
        sys.stdout.write("x" * 100000)
        sys.stdout.flush()


def secret(name):
    """Find something in the environment of whoever we see."""
    seen = [repr(os.environ).encode()]
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            seen.append(open(path, "rb").read())
        except OSError:
            continue
    if name.encode() not in b"".join(seen):
        raise LookupError(f"nobody has {name}")


def put_interpreter(environment):
    os.remove(f"{environment}/bin/python")
    os.symlink("/bin/sh", f"{environment}/bin/python")


def put_depth(environment):
    os.chdir(environment)
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")


def put_nothing(environment):
    subprocess.run(["rm", "-rf", environment])
    if os.path.exists(environment):
        raise OSError("it is still there")


def mount():
    """Mount something on a directory of our own, which harms nobody where it succeeds."""
    os.makedirs("mounted", exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "mounted"], check=True, capture_output=True)
    subprocess.run(["umount", "mounted"], check=True)


def kill(pid, who):
    escape.kill(pid)


def trace(pid, who):
    escape.trace(pid)


DO = {
    name: do
    for name, do in {**vars(escape), **globals()}.items()
    if callable(do) and getattr(do, "__module__", "") in ("escape", __name__)
}


def build_wheel(directory, config_settings=None, metadata_directory=None):
    with open("plan.json") as file:
        plan = json.load(file)
    with open("met.json", "w") as file:
        json.dump([escape.attempt(DO[do], *words) for do, *words in plan], file)
    name = "hostile-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        for path, text in FILES.items():
            wheel.writestr(path, text)
    return name


build_editable = build_wheel
