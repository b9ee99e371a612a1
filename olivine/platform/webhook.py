"""A webhook that shortens the wait for the schedule: when a drive is complete, its retraining is started.

    olivine receive schedules.yaml nightly --host http://localhost:8888 --image registry/olivine@sha256:...

Stores post an event for every new object (SeaweedFS's filer webhook; Argo Events likewise). Events can be lost or come
twice, so nothing hangs on them: the schedule comes anyway, the step `plan` looks at the store itself, and its claim
keeps two runs from one set of drives. A burst of events is one run, after it has been quiet for a while.
"""

from __future__ import annotations

import hmac
import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from olivine.errors import ConfigError, OlivineError

TOKEN_VARIABLE = "OLIVINE_WEBHOOK_TOKEN"
"""Environment variable with the bearer token that senders must show."""

_READY = re.compile(r"(?:^|/)registry/drives/[^/]+/_READY\.json$")
_LARGEST_BYTES = 1 << 20
_READ_TIMEOUT_S = 10.0


class Debounce:
    """Makes one of many: due once it was quiet for `quiet_s` [s] after the last event, or `longest_s` after the first.

    `clock` gives seconds. Safe for several threads.
    """

    def __init__(self, quiet_s: float, longest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet_s, self._longest_s, self._clock = quiet_s, longest_s, clock
        self._first_s: float | None = None
        self._last_s = 0.0
        self._lock = threading.Lock()

    def note(self) -> None:
        """An event came."""
        with self._lock:
            self._last_s = self._clock()
            self._first_s = self._last_s if self._first_s is None else self._first_s

    def take(self) -> bool:
        """Whether it is due; if so, all that came until now is taken."""
        with self._lock:
            now_s = self._clock()
            if self._first_s is None or (
                now_s < self._last_s + self._quiet_s and now_s < self._first_s + self._longest_s
            ):
                return False
            self._first_s = None
            return True


class Receiver:
    """Listens on `port` (0: any) of `address` and notes events about complete drives.

    Raises:
        ConfigError: no token, or one that is too short to be a secret; or the port is taken.
    """

    def __init__(self, address: str, port: int, token: str, debounce: Debounce) -> None:
        if len(token) < 16:
            raise ConfigError(f"{TOKEN_VARIABLE} must hold a token of 16 characters or more, which senders show.")

        class Handler(_Handler):
            """One request; the server makes one for each."""

        Handler.token, Handler.debounce = token, debounce
        try:
            self._server = ThreadingHTTPServer((address, port), Handler)
        except OSError as error:
            raise ConfigError(f"port {port} of {address}: {error.strerror}. Choose one that is free.") from error
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def start_when_due(debounce: Debounce, submit: Callable[[], str], say: Callable[[str], None]) -> None:
    """Submit one run if it is due. A server that is away costs the wait for the schedule, and no more."""
    if not debounce.take():
        return
    try:
        say(f"run {submit()} started: a drive is complete")
    except OlivineError as error:
        say(f"no run started: {error} The schedule comes anyway.")


def is_ready_event(event: Any) -> bool:
    """Whether an event says that the `_READY.json` of a registered drive was made or renewed."""
    if not isinstance(event, dict):
        return False
    kind, key = event.get("event_type"), event.get("key")
    return isinstance(key, str) and kind in ("create", "update", "rename") and bool(_READY.search(key))


class _Handler(BaseHTTPRequestHandler):
    token: str
    debounce: Debounce
    timeout = _READ_TIMEOUT_S

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/healthz" else 404)

    def do_POST(self) -> None:
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), f"Bearer {self.token}".encode()):
            self._answer(401)
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            self._answer(411)
        elif int(length) > _LARGEST_BYTES:
            self._answer(413)
        else:
            self._take(self.rfile.read(int(length)))

    def _take(self, body: bytes) -> None:
        try:
            event = json.loads(body)
        except (ValueError, RecursionError):
            self._answer(400)
            return
        if is_ready_event(event):
            self.debounce.note()
        self._answer(204)

    def _answer(self, status: int) -> None:
        # What was not read of a body would be taken for the next request.
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet: what senders write is no line of our log."""
