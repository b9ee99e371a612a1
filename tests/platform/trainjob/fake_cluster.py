"""A scripted Kubernetes API server: TrainJobs, pods, logs and events over real HTTP, with the faults of real ones.

It answers what the published API says (409 for a name that is taken, 404, resource versions, preconditions, merge
patches), and does what a test tells it: change the status at each look, refuse, break off.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_JOBS = re.compile(r"/apis/trainer\.kubeflow\.org/v1alpha1/namespaces/([^/]+)/trainjobs(?:/([^/]+))?$")
_CORE = re.compile(r"/api/v1/namespaces/([^/]+)/(pods|events)(?:/([^/]+)/log)?$")


@dataclass
class FakeCluster:
    """The state of the cluster, and what goes wrong next.

    `faults`: for the next requests that match (method, part of the path): a status code, "drop" (the connection ends
    before the answer), "lose" (the request is carried out, and its answer lost), or a function to call before.
    `answers`: what else is answered, by path: a body, or a function of the request's.
    `statuses`: status of the TrainJob at each look; the last one stays.
    """

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    statuses: deque[dict[str, Any]] = field(default_factory=deque)
    faults: list[tuple[str, str, int | str | Callable[[], None]]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _version: int = 0

    def start(self) -> str:
        """Serve; return the URL."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cluster": self}))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, method: str, part: str = "") -> int:
        return sum(line.startswith(method) and part in line for line in self.requests)

    def take_fault(self, method: str, path: str) -> int | str | Callable[[], None] | None:
        for position, (wanted, part, fault) in enumerate(self.faults):
            if wanted == method and part in path:
                del self.faults[position]
                return fault
        return None

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> tuple[int, Any]:
        if found := _JOBS.search(path):
            return self._answer_jobs(method, found[2], query, body)
        if found := _CORE.search(path):
            return self._answer_core(found[2], found[3], query)
        if path in self.answers:
            given = self.answers[path]
            return given(body) if callable(given) else (200, given)
        return 404, _failure(404, "NotFound")

    def _answer_jobs(
        self, method: str, name: str | None, query: dict[str, list[str]], body: dict[str, Any]
    ) -> tuple[int, Any]:
        if name is None and method == "GET":
            wanted = dict(part.split("=") for part in query.get("labelSelector", [""])[0].split(",") if part)
            items = [job for job in self.jobs.values() if wanted.items() <= job["metadata"].get("labels", {}).items()]
            return 200, {"apiVersion": "v1", "kind": "TrainJobList", "items": items}
        if method == "POST":
            name = body["metadata"]["name"]
            if name in self.jobs:
                return 409, _failure(409, "AlreadyExists")
            self.jobs[name] = body
            return 201, self._touch(body)
        job = self.jobs.get(str(name))
        if job is None:
            return 404, _failure(404, "NotFound")
        if method == "PATCH":
            job["metadata"].setdefault("annotations", {}).update(body["metadata"]["annotations"])
            return 200, self._touch(job)
        if method == "DELETE":
            version = body.get("preconditions", {}).get("resourceVersion")
            if version not in (None, job["metadata"]["resourceVersion"]):
                return 409, _failure(409, "Conflict")
            del self.jobs[str(name)]
            return 200, {"kind": "Status", "status": "Success"}
        if self.statuses:
            job["status"] = self.statuses.popleft() if len(self.statuses) > 1 else self.statuses[0]
        return 200, job

    def _answer_core(self, kind: str, pod: str | None, query: dict[str, list[str]]) -> tuple[int, Any]:
        if pod is not None:
            previous = query.get("previous", [""])[0].lower() == "true"
            text = self.logs.get(f"{pod}/previous" if previous else pod)
            if text is None:
                return 400, _failure(400, "BadRequest")
            return 200, "\n".join(text.splitlines()[-int(query["tailLines"][0]) :])
        if kind == "events":
            name = query["fieldSelector"][0].removeprefix("involvedObject.name=")
            items = [event for event in self.events if event["involvedObject"]["name"] == name]
            return 200, {"apiVersion": "v1", "kind": "EventList", "items": items}
        name = query["labelSelector"][0].removeprefix("jobset.sigs.k8s.io/jobset-name=")
        items = [pod for pod in self.pods if pod["metadata"]["labels"]["jobset.sigs.k8s.io/jobset-name"] == name]
        return 200, {"apiVersion": "v1", "kind": "PodList", "items": items}

    def _touch(self, job: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        job["metadata"]["resourceVersion"] = str(self._version)
        return job


class _Handler(BaseHTTPRequestHandler):
    cluster: FakeCluster
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        parts, cluster = urlsplit(self.path), self.cluster
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        with cluster.lock:
            cluster.requests.append(f"{self.command} {self.path}")
            fault = cluster.take_fault(self.command, parts.path)
            if callable(fault):
                fault()
            if fault == "drop":
                self.close_connection = True
                return
            if isinstance(fault, int):
                status, answer = fault, _failure(fault, "scripted")
            else:
                status, answer = cluster.answer(self.command, parts.path, parse_qs(parts.query), body)
        if fault == "lose":
            self.close_connection = True
            return
        data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def log_message(self, format: str, *arguments: Any) -> None:
        """Tests read `requests`."""


def _failure(code: int, reason: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "code": code,
        "message": reason,
    }


def make_pod(
    job: str, index: int, exit_code: int | None = None, phase: str = "", reason: str = "Error"
) -> dict[str, Any]:
    """A pod of a TrainJob, running or, with an exit code, ended."""
    ended = exit_code is not None
    state = {"terminated": {"exitCode": exit_code, "reason": reason}} if ended else {"running": {}}
    container = {"name": "node", "image": "i", "imageID": "", "ready": not ended, "restartCount": 0, "state": state}
    labels = {"jobset.sigs.k8s.io/jobset-name": job, "batch.kubernetes.io/job-completion-index": str(index)}
    metadata = {"name": f"{job}-node-0-{index}-abcde", "labels": labels, "creationTimestamp": "2026-11-25T02:00:00Z"}
    status = {"phase": phase or ("Failed" if exit_code else "Running"), "containerStatuses": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": []}, "status": status}


def condition(kind: str, reason: str = "", message: str = "", at: str = "2026-11-25T02:00:00Z") -> dict[str, Any]:
    entry = {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": at}
    return {"conditions": [entry]}
