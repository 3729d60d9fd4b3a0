"""Redis as Heroku gives it: behind TLS, with a certificate that no authority has signed."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from billing import queues
from billing.config import Config
from tests.commands import own_redis
from tests.conftest import make_app


class Terminator(ThreadingTCPServer):
    """Takes TLS off and passes on what comes: the embedded Redis speaks none itself."""

    daemon_threads = True

    def __init__(self, certificate: Path, target: int) -> None:
        self.target, self.context = target, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        super().__init__(("127.0.0.1", 0), Pass)


class Pass(BaseRequestHandler):
    server: Terminator

    def handle(self) -> None:
        with suppress(ssl.SSLError, OSError):  # a client that does not trust us hangs up
            inside = socket.create_connection(("127.0.0.1", self.server.target))
            with inside, self.server.context.wrap_socket(self.request, server_side=True) as outside:
                back = threading.Thread(target=pump, args=(inside, outside), daemon=True)
                back.start()
                pump(outside, inside)
                back.join(5)


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not here")
    folder = tmp_path_factory.mktemp("tls")
    key, found, both = folder / "key", folder / "cert", folder / "both.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=nobody"]
    subprocess.run([*words, "-keyout", str(key), "-out", str(found)], check=True, capture_output=True)
    both.write_text(key.read_text() + found.read_text())
    return both


@pytest.fixture
def plain_and_tls(certificate: Path, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """One Redis by two addresses: ``redis://`` to look, ``rediss://`` as the platform gives it."""
    with own_redis(tmp_path) as redis:
        server = Terminator(certificate, urlsplit(redis.url).port or 0)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield (
                redis.url,
                redis.url.replace("redis:", "rediss:").replace(
                    str(urlsplit(redis.url).port), str(server.server_address[1])
                ),
            )
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.mark.parametrize("accepted", [True, False])
def test_a_certificate_that_nobody_signed_is_taken_only_where_the_operator_says_so(
    config: Config, plain_and_tls: tuple[str, str], monkeypatch: pytest.MonkeyPatch, accepted: bool
) -> None:
    plain, tls = plain_and_tls
    monkeypatch.setenv("HEROKU_REDIS", "1" if accepted else "")
    with make_app(replace(config, redis_url=tls)).app_context():
        assert queues.ring() is accepted
    with Redis.from_url(plain) as inside:
        waiting = Queue(queues.QUEUE, connection=inside, serializer=JSONSerializer).count
    assert waiting == (1 if accepted else 0)
