"""The servers that Stoa is measured against: one process of 4 threads on a Unix socket, behind the same nginx."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import wrk
from tests.serving import free_port
from tests.waiting import wait_for

HERE = Path(__file__).parent
VENV = HERE / ".venv"
BIN = VENV / "bin"
# By protocol and name: the command line, SOCKET being the Unix socket.
PEERS = {
    "wsgi": {
        "granian": "granian --interface wsgi --uds SOCKET --workers 1 --blocking-threads 4 --backpressure 1024 "
        "--no-access-log app:application",
        "uwsgi": "pyuwsgi --http11-socket SOCKET --master --processes 1 --threads 4 --enable-threads --listen 100 "
        "--disable-logging --wsgi-file app.py --callable application",
        "gunicorn": "gunicorn -b unix:SOCKET -k gthread --threads 4 --keep-alive 75 app:application",
    },
    "asgi": {
        "granian": "granian --interface asgi --uds SOCKET --workers 1 --loop uvloop --backpressure 1024 "
        "--no-access-log app:application",
        "uvicorn": "uvicorn --uds SOCKET --loop uvloop --http httptools --timeout-keep-alive 75 --no-access-log "
        "--log-level warning app:application",
        "gunicorn": "gunicorn -b unix:SOCKET -k asgi --keep-alive 75 app:application",
    },
}
NGINX = """\
daemon off;
pid nginx.pid;
{user}error_log stderr crit;
worker_processes {workers};
events {{ worker_connections 1024; }}
http {{
    default_type application/octet-stream;
    client_body_temp_path tmp;
    proxy_temp_path tmp-proxy;
    {temp}
    access_log access.log combined buffer=32k flush=1s;
    server_tokens off;
    keepalive_timeout 75s;
    keepalive_requests 10000;
    proxy_http_version 1.1;
    proxy_buffer_size 16k;
    proxy_buffers 8 16k;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    upstream app {{ server unix:app.sock max_fails=0; keepalive 32; keepalive_timeout 60s; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ proxy_pass http://app; }}
    }}
}}
"""


@dataclass(frozen=True)
class Place:
    """Where something answers, and the processes that it costs: those of the front, those of the application."""

    url: str
    front: tuple[int, ...]
    application: tuple[int, ...]


def install() -> None:
    """Make the virtual environment of the peers, unless it is there."""
    stamp = VENV / ".stamp"
    wanted = (HERE / "requirements.txt").read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("installing the peers into bench/.venv", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    pip = [str(BIN / "python"), "-m", "pip", "install", "--quiet", "-r", str(HERE / "requirements.txt")]
    subprocess.run(pip, check=True)
    stamp.write_text(wanted)


@contextmanager
def alone(command: str, text: str) -> Iterator[tuple[Path, int]]:
    """Run a peer; yield its socket and its process."""
    with tempfile.TemporaryDirectory(prefix="stoa-peer-") as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "app.py").write_text(text)
        sock = root / "app.sock"
        with _running(f"{BIN}/{command.replace('SOCKET', str(sock))}".split(), root) as peer:
            wait_for(sock.exists, 20, (root / "said").read_text)
            yield sock, peer.pid


@contextmanager
def serving(command: str, text: str, nginx: str, without: frozenset[str]) -> Iterator[Place]:
    """Run a peer behind an nginx of its own."""
    with alone(command, text) as (sock, pid):
        root, port = sock.parent, free_port()
        temp = " ".join(f"{m}_temp_path tmp-{m};" for m in ("fastcgi", "uwsgi", "scgi") if f"http_{m}" not in without)
        user = "user root;\n" if os.geteuid() == 0 else ""
        configuration = NGINX.format(user=user, workers=os.cpu_count() or 1, temp=temp, port=port)
        (root / "nginx.conf").write_text(configuration)
        with _running([nginx, "-p", f"{root}/", "-c", "nginx.conf", "-e", "stderr"], root) as front:
            url = f"http://127.0.0.1:{port}/"
            wait_for(lambda: _answers(url), 20, (root / "said").read_text)
            yield Place(url, tuple(wrk.children(front.pid)), tuple(wrk.children(pid)))


@contextmanager
def _running(words: list[str], root: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (root / "said").open("ab") as said:
        process = subprocess.Popen(words, cwd=root, stdout=said, stderr=said, start_new_session=True)
        try:
            yield process
        finally:
            below = wrk.children(process.pid)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                for pid in below:
                    os.kill(pid, 9)
                process.wait(10)


def _answers(url: str) -> bool:
    done = subprocess.run([sys.executable, "-c", ASK, url], capture_output=True, check=False)
    return done.returncode == 0


ASK = "import sys, urllib.request; sys.exit(urllib.request.urlopen(sys.argv[1], timeout=5).status != 200)"
