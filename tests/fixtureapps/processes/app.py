"""Tries to change other processes, by each system call that takes a process id, and says what each attempt met."""

import ctypes
import json
import os
import resource
import signal
import struct
from urllib.parse import parse_qs

LIBC = ctypes.CDLL(None, use_errno=True)
# The calls that neither Python nor the C library has words for, on x86-64 and on AArch64.
NUMBERS = {
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "get_robust_list": (274, 100),
    "rt_sigqueueinfo": (129, 138),
    "sched_setattr": (314, 274),
    "perf_event_open": (298, 241),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
}
WHO_PROCESS, WHO_GROUP, WHO_USER = 1, 2, 3
IDLE = 3 << 13
PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SEIZE = 16, 17, 0x4206


def call(name, *arguments):
    number = NUMBERS[name][os.uname().machine != "x86_64"]
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result = LIBC.syscall(ctypes.c_long(number), *words, *[ctypes.c_long(0)] * (6 - len(words)))
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def limit(kind, most):
    return lambda pid: resource.prlimit(pid, kind, (most, most))


def by_pidfd(name, *arguments):
    def try_it(pid):
        fd = call("pidfd_open", pid)
        try:
            call(name, fd, *arguments)
        finally:
            os.close(fd)

    return try_it


def read_memory(pid):
    here = ctypes.create_string_buffer(8)
    vector = struct.pack("2Q", ctypes.addressof(here), 8)
    call("process_vm_readv", pid, vector, 1, struct.pack("2Q", 0x400000, 8), 1)


def move_pages(pid):
    call("move_pages", pid, 0, 0, 0, 0, 2)


def migrate_pages(pid):
    mask = struct.pack("Q", 1)
    call("migrate_pages", pid, 64, mask, mask)


def compare(pid):
    call("kcmp", os.getpid(), pid, 1, 0, 0)


def attributes(pid):
    """SCHED_IDLE."""
    call("sched_setattr", pid, struct.pack("2IQiIQQQ", 48, 5, 0, 0, 0, 0, 0, 0), 0)


def locks_of(pid):
    head, size = ctypes.c_void_p(), ctypes.c_size_t()
    call("get_robust_list", pid, ctypes.byref(head), ctypes.byref(size))


def counters(pid):
    attr = struct.pack("2IQ", 1, 64, 9) + bytes(48)  # PERF_COUNT_SW_DUMMY
    os.close(call("perf_event_open", attr, pid, -1, -1, 0))


def queue_signal(pid):
    call("rt_sigqueueinfo", pid, signal.SIGTERM, struct.pack("3i", signal.SIGTERM, 0, -1) + bytes(116))


def write_to(name, text):
    def try_it(pid):
        with open(f"/proc/{pid}/{name}", "r+") as file:
            file.write(text)

    return try_it


WAYS = {
    "limit of processor time": limit(resource.RLIMIT_CPU, 0),
    "limit of open files": limit(resource.RLIMIT_NOFILE, 5),
    "limit of memory": limit(resource.RLIMIT_AS, 1 << 20),
    "limit of file size": limit(resource.RLIMIT_FSIZE, 0),
    "look at a limit": lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE),
    "priority": lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
    "priority of a group": lambda pid: os.setpriority(os.PRIO_PGRP, pid, 19),
    "affinity": lambda pid: os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))}),
    "scheduler": lambda pid: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)),
    "scheduler's attributes": attributes,
    "priority of input and output": lambda pid: call("ioprio_set", WHO_PROCESS, pid, IDLE),
    "priority of a group's input and output": lambda pid: call("ioprio_set", WHO_GROUP, pid, IDLE),
    "signal": lambda pid: os.kill(pid, signal.SIGKILL),
    "stop": lambda pid: os.kill(pid, signal.SIGSTOP),
    "signal to a group": lambda pid: os.killpg(pid, signal.SIGKILL),
    "signal in a queue": queue_signal,
    "signal by a descriptor": by_pidfd("pidfd_send_signal", int(signal.SIGKILL)),
    "another's descriptor": by_pidfd("pidfd_getfd", 0),
    "advice on memory": by_pidfd("process_madvise", struct.pack("2Q", 0x400000, 4096), 1, 21),
    "release memory": by_pidfd("process_mrelease"),
    "enter a namespace": lambda pid: by_pidfd_setns(pid),
    "trace": lambda pid: call("ptrace", PTRACE_SEIZE, pid, 0, 0),
    "attach": lambda pid: call("ptrace", PTRACE_ATTACH, pid, 0, 0),
    "read memory": read_memory,
    "compare": compare,
    "move pages": move_pages,
    "migrate pages": migrate_pages,
    "list of locks": locks_of,
    "counters": counters,
    "group": lambda pid: os.setpgid(pid, pid),
    "session": lambda pid: os.getsid(pid),
    "oom_score_adj": write_to("oom_score_adj", "1000"),
    "comm": write_to("comm", "x"),
    "memory": write_to("mem", "x"),
    "timerslack": write_to("timerslack_ns", "1000000000"),
    "autogroup": write_to("autogroup", "19"),
    "coredump_filter": write_to("coredump_filter", "0"),
    "clear_refs": write_to("clear_refs", "1"),
    "environment": lambda pid: open(f"/proc/{pid}/environ").close(),
    "command line": lambda pid: open(f"/proc/{pid}/cmdline").close(),
    "root": lambda pid: os.listdir(f"/proc/{pid}/root/"),
    "descriptors": lambda pid: os.listdir(f"/proc/{pid}/fd"),
}


def by_pidfd_setns(pid):
    fd = call("pidfd_open", pid)
    try:
        if LIBC.setns(fd, 0x20000000):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(fd)


def met_by(way, *arguments):
    """Return what an attempt met, "" where it succeeded."""
    try:
        way(*arguments)
    except OSError as error:
        return type(error).__name__ + " " + str(error)
    return ""


def every_way(pid):
    return {name: met_by(way, int(pid)) for name, way in WAYS.items()}


def all_of_the_account():
    """Reach for everybody at once, by the account instead of a number."""
    os.setpriority(os.PRIO_USER, os.getuid(), 19)
    call("ioprio_set", WHO_USER, os.getuid(), IDLE)
    child = os.fork()
    if child == 0:  # Whoever asks is spared.
        LIBC.kill(-1, signal.SIGCONT)
        os._exit(0)
    os.waitpid(child, 0)
    return ""


def reached(most):
    """Return every process id that answers to something."""
    return sorted(pid for pid in range(1, int(most)) if not met_by(os.getpriority, os.PRIO_PROCESS, pid))


def who():
    tasks = {int(task) for name in os.listdir("/proc") if name.isdigit() for task in os.listdir(f"/proc/{name}/task")}
    return {"pid": os.getpid(), "parent": os.getppid(), "tasks": sorted(tasks)}


def lent():
    """Try to have what the first process of this namespace has."""
    fd = call("pidfd_open", 1)
    held = []

    def take(number):
        held.append(os.readlink(f"/proc/self/fd/{call('pidfd_getfd', fd, number)}"))

    met = [error for error in (met_by(take, number) for number in range(8)) if error]
    os.close(fd)
    places = [name for name in ("cwd", "root") if not met_by(is_elsewhere, f"/proc/1/{name}/")]
    return {"held": held, "met": met, "places": places}


def is_elsewhere(place):
    if os.path.samefile(place, "/"):
        raise OSError("the same")


DO = {f.__name__: f for f in (every_way, all_of_the_account, reached, who, lent)}


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    asked = parse_qs(environ["QUERY_STRING"])
    if "do" not in asked:
        return [b'"well"']
    return [json.dumps(DO[asked["do"][0]](*asked.get("with", []))).encode()]
