"""Supervise one TrainJob from a step: create or adopt it, watch it to its end, and leave nothing running.

A request that was cut off, a step that was tried again, a job that somebody deleted: each is met by looking at what is
there. The job carries a heartbeat; where it stops, the reaper ends the job (see `reaper`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from olivine.errors import ClusterError, Interrupted, UsageError
from olivine.platform.trainjob.cluster import Cluster, Conflict, NotFound
from olivine.platform.trainjob.failure import collect_failures, describe_events, find_cause, render_page
from olivine.platform.trainjob.spec import HEARTBEAT, NODE, SPEC_HASH

_HEARTBEAT_S = 30.0
_LOG_LINES = 500
_INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass
class Supervisor:
    """Watches TrainJobs.

    Args:
        cluster: where they run.
        keep_page: keeps the page of a failure, and returns where it is.
        say: who is told how the training goes, line by line.
        stop: set when the step is to end (SIGTERM).
        poll_s: time [s] between two looks.
    """

    cluster: Cluster
    keep_page: Callable[[str], str]
    say: Callable[[str], None] = print
    stop: threading.Event = field(default_factory=threading.Event)
    poll_s: float = 5.0
    _beat_s: float = 0.0
    _log_time: str = ""

    def run(self, trainjob: dict[str, Any]) -> dict[str, Any]:
        """Run a TrainJob to its end, or adopt the one that is there already; return it, complete.

        Raises:
            UsageError, DataError, ConfigError: a pod ended with the exit code of a user's mistake.
            ClusterError: it failed otherwise, or was deleted; worth another try, which goes on at its checkpoint.
            Interrupted: `stop` was set; the job is deleted.
        """
        name = trainjob["metadata"]["name"]
        try:
            self._create_or_adopt(trainjob)
            while True:
                job = self._look(name)
                if job is not None:
                    return job
                self._pause()
        except Interrupted:
            self.cluster.delete(name)
            raise

    def _create_or_adopt(self, trainjob: dict[str, Any]) -> None:
        name = trainjob["metadata"]["name"]
        while True:
            try:
                self.cluster.create(trainjob)
                self.say(f"TrainJob {name} created")
                return
            except Conflict:
                pass
            try:
                if self._adopt(self.cluster.get(name), trainjob):
                    return
            except NotFound:
                # It went away between the two requests.
                continue
            self._pause()

    def _adopt(self, there: dict[str, Any], wanted: dict[str, Any]) -> bool:
        """Take over the job that is there; False while an old one of this name is on its way out."""
        metadata, name = there["metadata"], wanted["metadata"]["name"]
        if metadata.get("deletionTimestamp"):
            return False
        if metadata.get("annotations", {}).get(SPEC_HASH) != wanted["metadata"]["annotations"][SPEC_HASH]:
            raise UsageError(
                f"There is a TrainJob {name} of another specification in {self.cluster.namespace}. Delete it: "
                f"kubectl -n {self.cluster.namespace} delete trainjob {name}."
            )
        if _condition(there, "Failed"):
            # An earlier try of this step. A new job goes on at the checkpoint of the old one.
            self.cluster.delete(name)
            return False
        self.say(f"TrainJob {name} adopted")
        return True

    def _look(self, name: str) -> dict[str, Any] | None:
        """One look at the job; return it when it is complete."""
        try:
            self._beat(name)
            job = self.cluster.get(name)
        except NotFound as error:
            raise ClusterError(f"TrainJob {name} was deleted while it ran, not by its step.") from error
        self._mirror(name, job)
        if _condition(job, "Complete"):
            return job
        if failed := _condition(job, "Failed"):
            self._fail(name, f"{failed.get('reason', '')}: {failed.get('message', '')}")
        return None

    def _beat(self, name: str) -> None:
        now_s = time.monotonic()
        if now_s >= self._beat_s:
            self.cluster.annotate(name, {HEARTBEAT: datetime.now(UTC).isoformat()})
            self._beat_s = now_s + min(_HEARTBEAT_S, 6 * self.poll_s)

    def _mirror(self, name: str, job: dict[str, Any]) -> None:
        """Show how far the training is, and what the first node wrote since the last look."""
        status = job.get("status", {}).get("trainerStatus") or {}
        if "progressPercentage" in status:
            self.say(f"{name}: {status['progressPercentage']} %, {status.get('estimatedRemainingSeconds', '?')} s left")
        first = [pod for pod in self.cluster.pods(name) if (pod.metadata.labels or {}).get(_INDEX) == "0"]
        if not first or first[-1].status.phase == "Pending":
            return
        for line in self.cluster.log(first[-1].metadata.name, NODE, _LOG_LINES).splitlines():
            # Every line begins with its time, of which the texts are ordered as the times are.
            at, _, text = line.partition(" ")
            if at > self._log_time:
                self._log_time = at
                self.say(text)

    def _fail(self, name: str, condition: str) -> None:
        pods = collect_failures(self.cluster, name)
        page = render_page(name, condition, pods, describe_events(self.cluster, name))
        raise find_cause(name, condition, pods, self.keep_page(page))

    def _pause(self) -> None:
        if self.stop.wait(self.poll_s):
            raise Interrupted(
                "The step was stopped; its TrainJob is deleted, and the next one goes on at the checkpoint."
            )


def _condition(job: dict[str, Any], kind: str) -> dict[str, Any] | None:
    for condition in job.get("status", {}).get("conditions") or []:
        if condition.get("type") == kind and condition.get("status") == "True":
            return dict(condition)
    return None
