"""The last step of every run, however it ended: publish the state, release claims, show failures and lineage, and
forget what its steps pushed to Prometheus."""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime
from typing import Any

from olivine.artifacts import canonical_json, sha256_hex
from olivine.errors import OlivineError, UsageError
from olivine.kfp_io import ExecutorInput
from olivine.platform.made import lineage_of_run
from olivine.platform.push import forget_run
from olivine.platform.retrain_steps import Parameters
from olivine.platform.trainjob.failure import redact
from olivine.platform.trainjob.step import failures_folder
from olivine.registry.claim import release
from olivine.store import Store, open_store


def run_close_executor(executor_input: str) -> str:
    """Close a run as a pipeline step; return its state.

    Parameters: `store`, `run`, and `status`, which KFP fills in. Output: the page `summary`.
    """
    io = ExecutorInput.parse(executor_input)
    given = Parameters("close", io.parameters)
    store, run = open_store(given.text("store")), given.text("run")
    state, message = _read_status(io.parameters.get("status"))
    released, failures = end_run(store, run, state, message)
    forget_run(run)
    path = io.output_path("summary")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_render(store, run, state, message, failures))
    io.write_raw("summary", {"state": state, "failures": len(failures), "released_claims": released}, {})
    return state


def end_run(store: Store, run: str, state: str, message: str) -> tuple[int, list[str]]:
    """Release what a run claimed, and write how it ended to `records/ended/<run>.json`; the first word on it stands.

    Returns the number of claims released, and where the failures of the run are.
    """
    released, failures = _release_claims(store, run), sorted(store.list(failures_folder(run)))
    facts = {"run": run, "state": state, "message": redact(message), "failures": failures}
    key = f"records/ended/{sha256_hex(run.encode())[:16]}.json"
    store.create(key, canonical_json(facts | {"at": datetime.now(UTC).isoformat()}))
    return released, failures


def _release_claims(store: Store, run: str) -> int:
    plans = [key.rsplit("/", 1)[1] for key in store.list("refs/claims")]
    return sum(release(store, plan, run, datetime.now(UTC)) for plan in plans)


def _read_status(status: Any) -> tuple[str, str]:
    """State and message of the final status, which is an object, or (on some backends) its JSON."""
    try:
        given = json.loads(status) if isinstance(status, str) else status
        return str(given["state"]), str((given.get("error") or {}).get("message") or "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"step close: status is {str(status)[:200]!r}, but must be the final status of a run."
        ) from error


def _render(store: Store, run: str, state: str, message: str, failures: list[str]) -> str:
    def shown(text: str) -> str:
        return html.escape(redact(text))

    parts = [f"<h1>Run {shown(run)}: {shown(state)}</h1>", f"<p>{shown(message)}</p>" if message else ""]
    for key in failures:
        data = store.read(key).decode(errors="replace")
        if key.endswith(".html"):
            # Escaped when it was made.
            parts.append(f"<h2>TrainJob</h2>{_frame(data)}")
        else:
            parts.append(f"<h2>Step</h2><pre>{shown(data)}</pre>")
    parts.append(_lineage(store, run))
    style = "body{font:14px/1.5 sans-serif;margin:2em}pre{white-space:pre-wrap}"
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><style>{style}</style>{"".join(parts)}</html>'


def _lineage(store: Store, run: str) -> str:
    """What the run made; a damaged artifact must not keep the run from being closed."""
    try:
        page = lineage_of_run(store, run)
    except OlivineError as error:
        return f"<h2>What was made, and from what</h2><p>It cannot be shown: {html.escape(redact(str(error)))}</p>"
    return f"<h2>What was made, and from what</h2>{_frame(page, 'allow-scripts')}" if page else ""


def _frame(page: str, allowed: str = "") -> str:
    """A page inside the page, in a frame of its own so that they cannot mix."""
    return f'<iframe sandbox="{allowed}" srcdoc="{html.escape(page)}" width="100%" height="600"></iframe>'
