"""A sample served by gunicorn in children, as Stoa serves it: below a name, on a database of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from tests.patience import within
from tests.waiting import wait_for

SAMPLES = Path(__file__).parents[2] / "samples"
APPLICATIONS = {"flask": "app:app", "django": "app.wsgi:application", "fastapi": "app:app"}


class Sample:
    """A copy of one sample in ``home``; three workers start at once, so that each seed has rivals."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.mount = f"/samples/{name}"
        self.home = home
        self.directory = home / name
        self.output = home / "output.log"
        ignore = shutil.ignore_patterns("__pycache__", ".secret_key", "*.sqlite3")
        shutil.copytree(SAMPLES / name, self.directory, ignore=ignore)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.wait_until_it_answers()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(within(20))
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.output.rename(self.home / "output.before.log")
        self.start()

    def command(self) -> Sequence[str]:
        kind = ["--worker-class", "gthread", "--threads", "4"]
        if self.name == "fastapi":
            kind = ["--worker-class", "asgi", "--root-path", self.mount]
        options = [
            "--bind",
            "127.0.0.1:0",
            "--workers",
            "3",
            "--no-control-socket",
            "--chdir",
            str(self.directory),
        ]
        return [sys.executable, "-m", "gunicorn", *options, *kind, APPLICATIONS[self.name]]

    def environment(self) -> dict[str, str]:
        told = {"DATABASE_URL": f"sqlite:///{self.home}/db.sqlite3", "PATH": "/usr/bin:/bin"}
        return told if self.name == "fastapi" else {**told, "SCRIPT_NAME": self.mount}

    def wait_until_it_answers(self) -> None:
        started = f"The {self.name}".lower()
        wait_for(lambda: self.printed().lower().count(f"{started} sample has started") == 3, 40, self.printed)
        with self.client() as client:
            wait_for(lambda: client.get("iris").status_code == 200, 20, self.printed)

    def printed(self) -> str:
        return self.output.read_text()

    def client(self) -> httpx.Client:
        found = re.search(r"Listening at: (http://[\d.:]+)", self.printed())
        assert found, self.printed()
        return httpx.Client(base_url=f"{found[1]}{self.mount}/", trust_env=False, timeout=within(20))
