"""A proxy that refuses every request the first time it comes, with 429 and `Retry-After: 1`, and passes it on then.

It stands for the throttling that clients meet at Graph. Requests are alike when method, target and body are.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.clients.certificates import Certificates

_REFUSAL = b'{"error":{"code":"TooManyRequests","message":"Later, please."}}'
_OWN = ("connection", "keep-alive", "transfer-encoding", "content-length", "server", "date")


@dataclass(frozen=True)
class Throttle:
    """A running proxy, and what came to it: method, target, body, and whether it was passed on."""

    origin: str
    seen: list[tuple[str, str, bytes, bool]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.origin}/beta"


@contextlib.contextmanager
def throttling(target: str, certificates: Certificates | None = None) -> Iterator[Throttle]:
    """A proxy in front of the http(s) origin `target`; it speaks what the target speaks."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.daemon_threads = True
        inner = None
        if certificates is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificates.chain, certificates.key)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            inner = ssl.create_default_context(cafile=str(certificates.authority))
        throttle = Throttle(f"{urlsplit(target).scheme}://127.0.0.1:{server.server_port}")
        server.RequestHandlerClass = _handler(throttle, target, inner)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield throttle
        finally:
            server.shutdown()
            thread.join()


def _handler(throttle: Throttle, target: str, context: ssl.SSLContext | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            pass

        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            request = (self.command, self.path, body)
            passed = (*request, False) in throttle.seen
            throttle.seen.append((*request, passed))
            if not passed:
                self._answer(429, {"Content-Type": "application/json", "Retry-After": "1"}, _REFUSAL)
                return
            response, content = _sent(target, context, self.command, self.path, body, dict(self.headers))
            kept = {name: text for name, text in response.getheaders() if name.lower() not in _OWN}
            self._answer(response.status, kept, content)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, text in headers.items():
                self.send_header(name, text)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _respond  # noqa: N815 - the names are the base class's

    return Handler


def _sent(
    target: str, context: ssl.SSLContext | None, method: str, path: str, body: bytes, headers: dict[str, str]
) -> tuple[http.client.HTTPResponse, bytes]:
    host = urlsplit(target).netloc
    connection = (
        http.client.HTTPConnection(host, timeout=30)
        if context is None
        else http.client.HTTPSConnection(host, timeout=30, context=context)
    )
    with contextlib.closing(connection):
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        return response, response.read()
