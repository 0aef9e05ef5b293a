"""HTTPS by certificate and key files, through the whole of Stoa."""

from __future__ import annotations

import http.client
import shutil
import socket
import ssl
from pathlib import Path

import pytest

from tests import signing
from tests.patience import within
from tests.runtime.test_tls import OPENSSL, make
from tests.serving import Stoa
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(
    OPENSSL is None, reason="openssl, which makes the certificates of this test, is missing"
)
SEES_SCHEME = {
    "app.py": "def application(environ, start_response):\n"
    "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
    "    return [environ['wsgi.url_scheme'].encode()]\n"
}


def trusting(*certificates: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    for certificate in certificates:
        context.load_verify_locations(certificate)
    return context


def get(
    port: int, path: str, context: ssl.SSLContext | None, accept: str = "*/*", cookies: str = ""
) -> tuple[int, str, str, str]:
    connection: http.client.HTTPConnection = http.client.HTTPConnection("127.0.0.1", port, timeout=within(10))
    if context:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=within(10), context=context)
    try:
        connection.request("GET", path, headers={"Accept": accept, "Cookie": cookies})
        answer = connection.getresponse()
        cookie = answer.headers.get("Set-Cookie", "")
        return answer.status, answer.headers.get("Location", ""), cookie, answer.read().decode(errors="replace")
    finally:
        connection.close()


def served_with(port: int) -> bytes:
    """Return the certificate that the front shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=within(10)) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        return wrapped.getpeercert(binary_form=True) or b""


def test_https_is_served_and_a_changed_certificate_taken_over(tmp_path: Path) -> None:
    pair, other = make(tmp_path, "first"), make(tmp_path, "other")
    trusted = trusting(pair.certificate)
    with Stoa(STOA_TLS_CERT=pair.certificate, STOA_TLS_KEY=pair.key) as stoa:
        assert f"https://127.0.0.1:{stoa.port}" in "\n".join(stoa.output)
        stoa.create("/tls/open", stoa.write("tls", SEES_SCHEME))
        stoa.create("/tls/closed", stoa.write("tls", SEES_SCHEME), AutheEnabled=32)
        wait_for(lambda: get(stoa.port, "/tls/open/", trusted)[0] == 200, 20, lambda: stoa.log("messages"))
        wait_for(lambda: get(stoa.port, "/tls/closed/", trusted)[0] == 401, 20, lambda: stoa.log("messages"))

        assert get(stoa.port, "/tls/open/", trusted)[3] == "https"
        status, location, cookie, _body = get(stoa.port, "/tls/closed/", trusted, "text/html")
        assert status == 302
        assert location.startswith(f"https://127.0.0.1:{stoa.portal_port}/portal/enter?")
        assert cookie.endswith("; Secure")
        sign_in = get(stoa.portal_port, location.partition(str(stoa.portal_port))[2], trusted)
        assert (sign_in[0], "Secure" in sign_in[2]) == (200, True)
        # What another host name, or whoever answers in clear, can set is not what is asked for.
        assert cookie.startswith("__Secure-stoa_enter_")
        assert sign_in[2].startswith("__Host-stoa_session=")
        session = signing.session(stoa, "/tls/closed")
        assert get(stoa.port, "/tls/closed/", trusted, cookies=session)[0] == 401
        assert get(stoa.port, "/tls/closed/", trusted, cookies=f"__Secure-{session}; {session}")[0] == 200
        for port, path in ((stoa.port, "/tls/open/?a=b"), (stoa.portal_port, "/portal/")):
            assert get(port, path, None)[:2] == (301, f"https://127.0.0.1:{port}{path}")

        before = served_with(stoa.port)
        shutil.copy(other.certificate, pair.certificate)
        wait_for(lambda: "do not fit together" in stoa.logged("messages"), 20, lambda: stoa.log("messages"))
        assert served_with(stoa.port) == before
        shutil.copy(other.key, pair.key)
        wait_for(lambda: served_with(stoa.port) != before, 20, lambda: stoa.log("messages"))


@pytest.mark.parametrize("wrong", ["missing", "mismatch"])
def test_a_certificate_that_cannot_be_served_with_ends_the_start(tmp_path: Path, wrong: str) -> None:
    pair, other = make(tmp_path, "first"), make(tmp_path, "other")
    stoa = Stoa(STOA_TLS_CERT=pair.certificate, STOA_TLS_KEY="" if wrong == "missing" else other.key)
    try:
        done = stoa.command("serve", "--port", str(stoa.port), "--portal-port", str(stoa.portal_port), check=False)
        assert done.returncode == 1
        assert "STOA_TLS" in done.stderr.splitlines()[-1]
    finally:
        stoa.__exit__()
