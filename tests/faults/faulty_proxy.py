"""A proxy on loopback that lets a share of the requests to an S3 server fail, in all the ways a network has."""

from __future__ import annotations

import http.client
import itertools
import random
import socket
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# refused: an error instead of an answer; late: done, then an error; dropped: the connection ends before or after the
# request was done; cut: half of the answer.
FAULTS = ("refused 500", "refused 503", "late 500", "dropped before", "dropped after", "cut")


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests to `port` of loopback, but for `share` of them, which meet the `faults` in turn."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, share: float, faults: tuple[str, ...] = FAULTS) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = port
        self.share = share
        self.met: Counter[str] = Counter()
        self._draw, self._faults = random.Random(0), itertools.cycle(faults)
        self._lock = threading.Lock()

    def fate(self, command: str, path: str) -> str:
        """What happens to the next request, of this method to this path with its query."""
        with self._lock:
            if self._draw.random() >= self.share:
                return "passed"
            self.met[fault := next(self._faults)] += 1
            return fault

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are expected here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fate = self.server.fate(self.command, self.path)
        if fate.startswith("refused"):
            self._answer(int(fate[-3:]), [], b"<Error><Code>InternalError</Code></Error>")
        elif fate == "forgotten":
            self._answer(404, [], b"<Error><Code>NoSuchUpload</Code></Error>")
        elif fate == "dropped before":
            self._hang_up()
        else:
            self._pass_on(body, fate)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_request

    def _pass_on(self, body: bytes, fate: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=30)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        data, length = answer.read(), answer.getheader("Content-Length")
        connection.close()
        if fate == "late 500":
            self._answer(500, [], b"")
        elif fate == "dropped after":
            self._hang_up()
        else:
            dropped = ("transfer-encoding", "connection", "content-length")
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in dropped]
            self._answer(answer.status, headers, data, length if self.command == "HEAD" else None, cut=fate == "cut")

    def _answer(
        self, status: int, headers: list[tuple[str, str]], data: bytes, length: str | None = None, cut: bool = False
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
