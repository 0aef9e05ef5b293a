"""A build backend that needs no index. While it builds it does what ``plan.json`` beside it says, and notes in ``met.json``
what each attempt met: "" where it succeeded."""

import glob
import json
import os
import resource
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


def limit(pid):
    """Take an interpreter's or a server's processor time away (prlimit(2))."""
    resource.prlimit(int(pid), resource.RLIMIT_CORE, resource.prlimit(int(pid), resource.RLIMIT_CORE))


def stand_back(pid):
    os.setpriority(os.PRIO_PROCESS, int(pid), os.getpriority(os.PRIO_PROCESS, int(pid)))


def memory(pid):
    open(f"/proc/{pid}/mem", "rb").close()


def survive(path):
    """Leave a process behind that has nothing to do with us: its own session and group, no environment, no parent."""
    source = "import sys, time\nwhile True:\n    open(sys.argv[1], 'a').write('x')\n    time.sleep(0.05)"
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve(sys.executable, [sys.executable, "-c", source, path], {})
        os._exit(0)
    while not os.path.exists(path):
        time.sleep(0.01)


def say_without_end():
    while True:
        print("x" * 1000, flush=True)


def say_no_line():
    while True:
        sys.stdout.write("x" * 1000)
        sys.stdout.flush()


def secret(name):
    """Find the value of a variable in the environment of whoever we see."""
    seen = [open(path, "rb").read() for path in glob.glob("/proc/[0-9]*/environ") if os.access(path, os.R_OK)]
    if name.encode() not in b"\0".join([*seen, *(f"{key}={value}".encode() for key, value in os.environ.items())]):
        raise LookupError(f"nobody has {name}")


def put_interpreter(environment):
    os.remove(f"{environment}/bin/python")
    os.symlink("/bin/sh", f"{environment}/bin/python")


def put_settings(environment):
    with open(f"{environment}/pyvenv.cfg", "a") as file:
        file.write("home = /tmp\n")


def put_link(environment, target):
    os.symlink(target, f"{environment}/elsewhere")


def put_second_name(environment, source):
    os.link(source, f"{environment}/second")


def put_pipe(environment):
    os.mkfifo(f"{environment}/pipe")


def put_depth(environment):
    os.chdir(environment)
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")


def put_nothing(environment):
    subprocess.run(["rm", "-rf", environment])
    if os.path.exists(environment):
        raise OSError("it is still there")


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
