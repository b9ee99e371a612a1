"""Why a TrainJob failed: the exit codes of its pods, their last lines, and what the cluster says of them."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

from olivine.errors import USER_EXIT_CODES, ClusterError, ConfigError, DataError, OlivineError, UsageError
from olivine.platform.trainjob.cluster import Cluster
from olivine.platform.trainjob.spec import NODE

_LINES = 200
_ERRORS = {kind.exit_code: kind for kind in (UsageError, DataError, ConfigError)}
# Names that start where a word does: otherwise a long line of letters would be read once for each of them.
_NAME = (
    r"""(?<![a-z0-9_-])[a-z0-9_-]*(?:secret|password|passwd|token|api[_-]?key|access[_-]?key|credential)[a-z0-9_-]*"""
)
# In quotes up to the closing one, also in JSON within JSON; without a closing one to the end of the line.
_QUOTED = r"""(?P<quote>\\+["']) .*? (?:(?<!\\)(?P=quote)|$) | "(?:\\.|[^"\\\n])*"? | '(?:\\.|[^'\\\n])*'?"""
_SECRET = re.compile(
    rf"""(?imx)
    (?P<name> {_NAME} \\*["']? \s* [:=] \s*) (?: {_QUOTED} | [^\s"']\S* )
    | (?P<scheme> \bauthorization \\*["']? \s* [:=] \s* \\*["']? (?:(?:basic|bearer|token)\s+)?) [^\s"']+
    | (?<=://) [^\s/:@"'<>]* (?: :(?!\d{{1,5}}(?:[/?\#\s]|$)) [^\s"'<>]* )? (?=@)
    | (?<=bearer\ ) [\w.~+/=-]+ | (?<=[?&]X-Amz-Signature=) [0-9a-f]+
    | \b(?:AKIA|ASIA)[A-Z0-9]{{16}}\b | \b(?:hf|gh[opsur])_[a-z0-9]{{16,}} | \bgithub_pat_\w{{16,}}"""
)
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\S+ ", flags=re.M)


@dataclass(frozen=True)
class FailedPod:
    """A pod that did not end well. `exit_code` is None where its container never ran to an end."""

    name: str
    exit_code: int | None
    reason: str
    log: str
    events: tuple[str, ...]


def redact(text: str) -> str:
    """The text without what looks like a credential; a guess by its form, and no promise that none is left.

    Taken out are: what stands behind a name such as `password` or `HF_TOKEN` and a colon or `=`, in quotes whole and
    otherwise up to the next space; what stands before the `@` of a URL; headers `Authorization`; signatures of S3
    links; keys of AWS and tokens of Hugging Face and GitHub wherever they stand. Words without a name stay, and so does
    the second word of a password that is not in quotes.
    """
    return _SECRET.sub(lambda found: f"{found['name'] or found['scheme'] or ''}…", text)


def collect_failures(cluster: Cluster, name: str) -> list[FailedPod]:
    """The failed pods of a TrainJob, with the last lines of each."""
    return [_describe(cluster, pod) for pod in cluster.pods(name) if _has_failed(pod)]


def find_cause(name: str, condition: str, pods: list[FailedPod], page: str) -> OlivineError:
    """The error that a failed TrainJob stands for: a user's mistake if one pod says so, else the infrastructure's.

    Args:
        name: name of the TrainJob.
        condition: what its condition `Failed` says.
        pods: its failed pods.
        page: where the page with their logs is.
    """
    for pod in pods:
        if pod.exit_code in USER_EXIT_CODES:
            return _ERRORS[pod.exit_code](f"{_last_words(pod)} (pod {pod.name} of {name}; logs: {page})")
    told = "; ".join(f"pod {pod.name}: {pod.reason}, exit code {pod.exit_code}" for pod in pods) or "no pod is left"
    return ClusterError(f"TrainJob {name} failed: {condition}. {told}. Logs: {page}")


def render_page(name: str, condition: str, pods: list[FailedPod], events: list[str]) -> str:
    """A page of the failed pods: exit codes, events, last lines. All of it is escaped, and credentials are left out."""

    def shown(text: str) -> str:
        return html.escape(redact(text))

    def listed(items: tuple[str, ...] | list[str]) -> str:
        return "<ul>" + "".join(f"<li>{shown(item)}</li>" for item in items) + "</ul>" if items else "<p>none</p>"

    parts = [
        f"<h2>{shown(pod.name)}</h2><p>exit code {pod.exit_code}, {shown(pod.reason)}</p><h3>Events</h3>"
        f"{listed(pod.events)}<h3>Last lines</h3><pre>{shown(pod.log) or 'none'}</pre>"
        for pod in pods
    ]
    style = "body{font:14px/1.5 sans-serif;margin:2em}pre{background:#f4f4f4;padding:1em;overflow:auto}"
    head = f"<h1>TrainJob {shown(name)}</h1><p>{shown(condition)}</p><h3>Events</h3>{listed(events)}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{shown(name)}</title><style>{style}</style>'
        f"{head}{''.join(parts)}</html>"
    )


def describe_events(cluster: Cluster, name: str) -> list[str]:
    """What happened to an object, a line each."""
    return [f"{event.type} {event.reason}: {event.message}" for event in cluster.events(name)]


def _has_failed(pod: Any) -> bool:
    ended = _ended(pod)
    return pod.status.phase == "Failed" or (ended is not None and ended.exit_code != 0)


def _ended(pod: Any) -> Any:
    """How the training container of a pod ended; None when it has not."""
    for status in pod.status.container_statuses or []:
        if status.name == NODE and status.state and status.state.terminated:
            return status.state.terminated
    return None


def _describe(cluster: Cluster, pod: Any) -> FailedPod:
    name, ended = pod.metadata.name, _ended(pod)
    log = cluster.log(name, NODE, _LINES)
    if any(status.restart_count for status in pod.status.container_statuses or []):
        log = cluster.log(name, NODE, _LINES, previous=True) + log
    reason = (ended and ended.reason) or pod.status.reason or "it did not start"
    events = tuple(describe_events(cluster, name))
    return FailedPod(name, ended.exit_code if ended else None, str(reason), redact(log), events)


def _last_words(pod: FailedPod) -> str:
    """The message of the error that ended a pod."""
    lines = _TIME.sub("", pod.log).splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("olivine: ")]
    said = lines[starts[-1] :] if starts else lines[-1:]
    return "\n".join(said).removeprefix("olivine: ") or f"exit code {pod.exit_code}, without a word"
