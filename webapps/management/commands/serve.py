"""Set up what is missing and become the keeper: what script/serve calls."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import pwd
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapps import firststart, identity
from webapps.addresses import is_loopback
from webapps.runtime import processes, takeover
from webapps.runtime.nginx import FrontUnavailable, find_nginx
from webapps.runtime.serving import Serving
from webapps.runtime.tls import Pair

DIRECTORIES = ("csp", "namespaces", "log", "run", "run/apps", "run/zygotes", "run/files", "run/front")
# What STOA_USER owns, where it is set.
USERS = ("csp", "namespaces", "run/files", "run/front", "log/access.log")
BACKLOG = 2048
PORTAL_THREADS = 8
# A process that shows no sign of life for so long (seconds) is killed and started again: one that was stopped.
PORTAL_HANGS, GATE_HANGS = 30, 20
# The keeper that is replaced is gone after so many seconds.
KEEPER_ENDS = 5.0
# More than can wait for a password to be checked (portal.gate.passwords.MOST): the others are never kept waiting.
GATE_THREADS = 16
LOCAL = ("localhost", "127.0.0.1", "[::1]")
LOOPBACK, TWIN = "127.0.0.1", "::1"
ANY = ("0.0.0.0", "::")  # noqa: S104
Address = tuple[str, int]


class Command(BaseCommand):
    """Serve the portal and the applications until Ctrl-C."""

    help = "Serve the portal and the applications (script/serve sets up everything first)."
    requires_system_checks = []  # Run by hand below, once the home is there.

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the addresses; --home is read by manage.py, before the settings are."""
        parser.add_argument("--host", default="127.0.0.1", help="address of both ports (default: %(default)s)")
        parser.add_argument("--port", type=_port, default=8000, help="port of the applications (default: %(default)s)")
        parser.add_argument("--portal-host", help="address of the portal (default: as --host)")
        parser.add_argument("--portal-port", type=_port, default=8080, help="port of the portal (default: %(default)s)")
        parser.add_argument("--home", help="directory of all of Stoa's data (default: STOA_HOME, else var)")
        parser.add_argument(
            "--replace",
            action="store_true",
            help="take over from the Stoa that runs with this home, for an upgrade: no request is lost",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, then become the keeper. Each step that cannot be taken ends in one line and status 1."""
        home = Path(settings.STOA_HOME)
        user = self._user()
        self._make_directories(home, user)
        lock = self._lock(home, replace=options["replace"])
        apps = (options["host"], options["port"])
        portal = (options["portal_host"] or options["host"], options["portal_port"])
        wanted = {"apps": (apps, "--port"), "portal": (portal, "--portal-port")}
        twins = _twins(wanted)
        sockets = self._sockets(home / "run", wanted | twins)
        serving = self._serving(home, apps, portal, user, tuple(twins))
        self._prepare(serving)
        self._become_keeper(serving, lock, sockets)

    def _user(self) -> str:
        """Return the account that front and instances run as, "" for our own. Only root can choose."""
        user = os.environ.get("STOA_USER", "")
        if os.geteuid() != 0:
            return ""
        if not user:
            self.stderr.write(
                "Warning: Stoa was started as root without STOA_USER: hosted applications run as root. "
                "Set STOA_USER to an account that may do little."
            )
            return ""
        try:
            pwd.getpwnam(user)
        except KeyError:
            raise CommandError(
                f"STOA_USER names the account {user}, which does not exist; make it or name another"
            ) from None
        return user

    def _make_directories(self, home: Path, user: str) -> None:
        shared = os.geteuid() == 0  # Other accounts than ours pass through: STOA_USER, and those of namespaces.
        umask = os.umask(0o022 if shared else 0o027)
        try:
            for name in DIRECTORIES:
                (home / name).mkdir(parents=True, exist_ok=True)
            (home / "run").chmod(0o711 if shared else 0o700)
            if shared:  # It finds its sockets and its log by their names, and lists nobody else's.
                for name in ("log", "run/apps"):
                    (home / name).chmod(0o711)
            self._give(home, user)
            (home / ".writable").touch()
            (home / ".writable").unlink()
        except OSError as error:
            raise CommandError(
                f"the home {home} cannot be written ({error.strerror}); choose another with --home or STOA_HOME"
            ) from None
        finally:
            os.umask(umask)

    def _give(self, home: Path, user: str) -> None:
        """Let the account own what it writes."""
        if user:
            account = pwd.getpwnam(user)
            (home / "log" / "access.log").touch()
            for name in USERS:
                os.chown(home / name, account.pw_uid, account.pw_gid)

    def _lock(self, home: Path, *, replace: bool) -> int:
        fd = os.open(home / "run" / "keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not _locked(fd):
            pid = os.read(fd, 20).decode().strip()
            if not (replace and self._end_keeper(fd, int(pid))):
                raise CommandError(
                    f"Stoa is running already with the home {home} (process {pid}); stop it, take over from it with "
                    "--replace, or choose another with --home"
                )
            os.lseek(fd, 0, os.SEEK_SET)
        os.truncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
        return fd

    def _end_keeper(self, lock: int, pid: int) -> bool:
        """Kill the keeper that runs; all else serves on and is taken over. Say whether its lock is ours then."""
        # Nothing that can be wrong with us is found out when it is too late.
        self._check_settings()
        self._check_database()
        self._check_front(os.environ.get("STOA_NGINX", ""))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return processes.wait_until(lambda: _locked(lock), KEEPER_ENDS)

    def _sockets(self, run_dir: Path, wanted: Mapping[str, tuple[Address, str]]) -> dict[str, socket.socket]:
        """Listen at both addresses, with the very sockets of a Stoa whose keeper was killed where there is one.

        It serves on until the new one has taken over. Where other addresses cannot be had, maybe because of it, it is
        ended first.
        """
        left = takeover.listeners(run_dir)
        if left is not None:
            self.stdout.write("Taking over from a Stoa whose keeper was killed; its applications serve on meanwhile.")
            try:
                return {name: _left_at(left, address) or _listen(address, of) for name, (address, of) in wanted.items()}
            except CommandError:
                for sock in left:
                    sock.close()
        self._end_what_was_left(run_dir)
        return {name: _listen(address, option) for name, (address, option) in wanted.items()}

    def _end_what_was_left(self, run_dir: Path) -> None:
        """End the processes of a Stoa whose keeper was killed."""
        killed = processes.sweep(run_dir)
        if killed:
            self.stdout.write(f"Ended {len(killed)} processes that an earlier Stoa left behind.")

    def _serving(self, home: Path, apps: Address, portal: Address, user: str, twins: tuple[str, ...]) -> Serving:
        pair = self._tls()
        apps_url, portal_url = _public_urls(apps, portal, tls=bool(pair))
        return Serving(
            home=str(home),
            static_dir=str(settings.BASE_DIR / "static"),
            python=sys.executable,
            apps_address=apps,
            portal_address=portal,
            nginx=self._check_front(os.environ.get("STOA_NGINX", "")),
            apps_url=apps_url,
            portal_url=portal_url,
            trusted_proxies=tuple(settings.STOA_TRUSTED_PROXIES),
            user=user,
            names=tuple(sorted({*_names(apps[0]), *_names(portal[0]), *LOCAL})),
            tls_cert=pair.certificate,
            tls_key=pair.key,
            twins=twins,
        )

    def _tls(self) -> Pair:
        """Return certificate and key, "" for plain HTTP; what does not fit together ends the start."""
        given = (os.environ.get(name, "") for name in ("STOA_TLS_CERT", "STOA_TLS_KEY"))
        pair = Pair(*(os.path.abspath(path) if path else "" for path in given))
        if pair and (problem := pair.problem()):
            raise CommandError(problem)
        return pair

    def _check_front(self, binary: str) -> str:
        """Return where nginx is: the one that is found now stays until the next start."""
        try:
            return find_nginx(binary).path
        except FrontUnavailable as error:
            raise CommandError(str(error)) from None

    def _prepare(self, serving: Serving) -> None:
        self._check_settings()
        self._check_database()
        umask = os.umask(0o077)
        identity.make()
        call_command("migrate", interactive=False, verbosity=0)
        identity.settle(Path(serving.home), self.stdout.write)
        os.umask(umask)
        if serving.warning:
            self.stderr.write(f"Warning: {serving.warning}")
        beyond = not is_loopback(serving.apps_address[0])
        firststart.prepare(Path(serving.home), self.stdout.write, serving.user, beyond=beyond)

    def _check_database(self) -> None:
        """End the start where the database is missing or empty and was there before."""
        if words := identity.problem(settings.STOA_HOME):
            raise CommandError(words)

    def _check_settings(self) -> None:
        """Say what is wrong with the settings, in one line that ends the start where it is an error."""
        found = [message for message in checks.run_checks() if not message.is_silenced()]
        for message in found:
            if not message.is_serious():
                self.stderr.write(f"Warning: {_in_one_line(message)}")
        if serious := [_in_one_line(message) for message in found if message.is_serious()]:
            raise CommandError(" ".join(serious))

    def _become_keeper(self, serving: Serving, lock: int, sockets: dict[str, socket.socket]) -> NoReturn:
        serving.write()
        config = serving.run_dir / "keeper.json"
        children = [self._supervisor(), self._portal(serving), self._gate(serving)]
        fresh = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fresh, "w") as file:
            json.dump(
                {
                    "run_dir": str(serving.run_dir),
                    "log_dir": str(serving.log_dir),
                    "python": serving.python,
                    "user": serving.user,
                    "children": children,
                },
                file,
            )
        for fd in [lock, *(sock.fileno() for sock in sockets.values())]:
            os.set_inheritable(fd, True)
        named = [f"{name}={sock.detach()}" for name, sock in sockets.items()]
        self.stdout.flush()
        environment = {**os.environ, "PYTHONPATH": str(settings.BASE_DIR)}
        argv = [serving.python, "-m", "webapps.runtime.keeper", str(config), str(lock), *named]
        os.execve(serving.python, argv, environment)  # noqa: S606

    def _environment(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "STOA_HOME": str(settings.STOA_HOME),
            "PYTHONPATH": str(settings.BASE_DIR),
            **more,
        }

    def _python(self) -> list[str]:
        """Return the words that start what carries the mark of this home."""
        return [sys.executable, *processes.on_command_line(processes.mark_of(settings.STOA_HOME / "run"))]

    def _supervisor(self) -> dict[str, Any]:
        argv = [*self._python(), str(settings.BASE_DIR / "manage.py"), "supervisor", "--events-fd", "{fd:events}"]
        return {"name": "supervisor", "argv": argv, "environment": self._environment(), "inherit": ["events"]}

    def _portal(self, serving: Serving) -> dict[str, Any]:
        words = (
            "--worker-class",
            "gthread",
            "--threads",
            str(PORTAL_THREADS),
            "--timeout",
            str(PORTAL_HANGS),
            "--keep-alive",
            "75",
        )
        return self._gunicorn("portal", "portal.wsgi:application", words, self._public(serving))

    def _gate(self, serving: Serving) -> dict[str, Any]:
        names = "" if serving.apps_url else ",".join(serving.names)
        words = ("-k", "webapps.runtime.worker.OwnWorker", "--threads", str(GATE_THREADS), "--timeout", str(GATE_HANGS))
        return self._gunicorn("gate", "portal.gate.service:serving()", words, self._public(serving, STOA_NAMES=names))

    def _public(self, serving: Serving, **more: str) -> dict[str, str]:
        """Return the environment of what builds addresses."""
        hosts = ",".join(sorted({*_names(serving.portal_address[0]), *settings.ALLOWED_HOSTS}))
        return self._environment(
            STOA_PORTAL_HOSTS=hosts,
            STOA_URL=serving.origins[0],
            STOA_PORTAL_URL=serving.origins[1],
            **more,
        )

    def _gunicorn(
        self, name: str, application: str, words: tuple[str, ...], environment: dict[str, str]
    ) -> dict[str, Any]:
        """Run gunicorn on the socket that the keeper holds."""
        argv = [
            *(*self._python(), "-m", "webapps.runtime.ownserver", f"{{fd:unix:{name}}}", application, *words),
            *("--workers", "1", "--graceful-timeout", "10", "--log-level", "warning"),
            *("--worker-tmp-dir", "/dev/shm" if os.path.isdir("/dev/shm") else "/tmp"),  # noqa: S108
            *("--forwarded-allow-ips", "*", "--no-control-socket"),
        ]
        return {"name": name, "argv": argv, "environment": environment, "inherit": [f"unix:{name}"]}


def _locked(fd: int) -> bool:
    """Take the lock that says that a home is in use; say whether nobody else holds it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _in_one_line(message: checks.CheckMessage) -> str:
    return " ".join(f"{message.msg} {message.hint or ''}".split())


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port; ports go from 1 to 65535")
    return int(text)


def _public_urls(apps: Address, portal: Address, *, tls: bool) -> tuple[str, str]:
    """Return the public addresses, "" where they follow from what is asked for.

    Cookies know no ports (RFC 6265, section 8.5): for this machine alone the portal is ``localhost`` and the
    applications are 127.0.0.1, so that no page of theirs has the portal's cookies sent anywhere.
    """
    named = tuple(os.environ.get(name, "").rstrip("/") for name in ("STOA_URL", "STOA_PORTAL_URL"))
    if any(named) or tls or settings.STOA_TRUSTED_PROXIES or not apps[0] == portal[0] == LOOPBACK:
        return named[0], named[1]
    return f"http://{LOOPBACK}:{apps[1]}", f"http://localhost:{portal[1]}"


def _twins(wanted: Mapping[str, tuple[Address, str]]) -> dict[str, tuple[Address, str]]:
    """Name the same ports of ::1 for what is to listen at 127.0.0.1: nobody else may be ``localhost`` there."""
    if not _has_ipv6():
        return {}
    at = {name: (address[1], option) for name, (address, option) in wanted.items() if address[0] == LOOPBACK}
    return {f"{name}6": ((TWIN, port), option) for name, (port, option) in at.items()}


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind((TWIN, 0))
    except OSError:
        return False
    return True


def _names(host: str) -> set[str]:
    """Return the names that a person may type for an address; for "any", all that this machine knows of itself."""
    if host not in ANY:
        return {f"[{host}]" if ":" in host else host}
    names = {socket.gethostname(), socket.getfqdn()}
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
        names |= {str(entry[4][0]) for entry in found}
    return {f"[{name}]" if ":" in name else name for name in names}


def _left_at(left: list[socket.socket], address: Address) -> socket.socket | None:
    """Find the socket that listens at an address already."""
    try:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
    except OSError:
        return None
    same = (sock for sock in left if (sock.family, sock.getsockname()) == (found[0], found[4]))
    return next(same, None)


def _listen(address: Address, option: str) -> socket.socket:
    host, port = address
    try:
        family, _kind, _protocol, _name, resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(resolved)
        listener.listen(BACKLOG)
        # nginx takes inherited sockets as they are: a worker that lost the race for one would wait in accept().
        listener.setblocking(False)
    except OSError as error:
        words = error.strerror or str(error)
        raise CommandError(f"{host}:{port} cannot be used ({words}); free it or choose another with {option}") from None
    return listener
