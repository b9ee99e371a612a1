"""A small KFP API server (v2beta1): experiments, runs and recurring runs over real HTTP.

What it takes is checked against the published models of the installed client: a body with a field they do not know, or
with a value of another type, is answered by 400, as the server does.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api
from kfp_server_api import models

_PATH = re.compile(r"/apis/v2beta1/(experiments|runs|recurringruns)(?:/([^/]+))?$")
_KINDS = {
    "experiments": (models.V2beta1Experiment, "experiment_id"),
    "runs": (models.V2beta1Run, "run_id"),
    "recurringruns": (models.V2beta1RecurringRun, "recurring_run_id"),
}
_LISTS = {"experiments": "experiments", "runs": "runs", "recurringruns": "recurringRuns"}


@dataclass
class FakeKfp:
    """What the server holds; `fail` answers the next requests with a status code; `page_size` bounds a page."""

    things: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {kind: [] for kind in _KINDS})
    fail: list[int] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    page_size: int = 100

    def start(self) -> str:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"kfp": self}))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(
        self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any] | None
    ) -> tuple[int, Any]:
        if self.fail:
            return self.fail.pop(0), {"error": "scripted"}
        found = _PATH.search(path)
        if found is None:
            return (200, {"multi_user": False}) if path.endswith("/healthz") else (404, {"error": "no such path"})
        kind, id = found[1], found[2]
        things = self.things[kind]
        if method == "POST":
            return self._create(kind, body or {})
        if method == "DELETE":
            self.things[kind] = [thing for thing in things if thing[_KINDS[kind][1]] != id]
            return 200, {}
        start = int(query.get("page_token", ["0"])[0] or 0)
        size = min(self.page_size, int(query.get("page_size", ["10"])[0]))
        page: dict[str, Any] = {_LISTS[kind]: things[start : start + size]}
        if start + size < len(things):
            page["next_page_token"] = str(start + size)
        return 200, page

    def _create(self, kind: str, body: dict[str, Any]) -> tuple[int, Any]:
        model, id_field = _KINDS[kind]
        if problem := _find_problem(model, body):
            return 400, {"error": problem}
        thing = body | {id_field: f"{kind}-{len(self.requests)}", "created_at": "2026-11-25T02:00:00Z"}
        if kind == "recurringruns":
            thing["status"] = "ENABLED" if body.get("mode") == "ENABLE" else "DISABLED"
        if kind == "runs":
            thing["state"] = "PENDING"
        self.things[kind].insert(0, thing)
        return 200, thing


def _find_problem(model: type[Any], body: dict[str, Any]) -> str | None:
    """A field of the body that the published model does not have, at any depth of models."""
    known = {wire: (name, model.openapi_types[name]) for name, wire in model.attribute_map.items()}
    for wire, value in body.items():
        if wire not in known:
            return f"{model.__name__} has no field {wire}"
        inner = getattr(kfp_server_api, known[wire][1], None)
        is_model = isinstance(inner, type) and hasattr(inner, "attribute_map") and isinstance(value, dict)
        if is_model and (problem := _find_problem(inner, value)):
            return problem
    return None


class _Handler(BaseHTTPRequestHandler):
    kfp: FakeKfp

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.kfp.requests.append(f"{self.command} {parts.path}")
        self.kfp.tokens.add(self.headers.get("Authorization") or "")
        status, answer = self.kfp.answer(
            self.command, parts.path, parse_qs(parts.query), json.loads(data) if data else None
        )
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = _serve

    def log_message(self, format: str, *arguments: Any) -> None:
        """Tests read `requests`."""
