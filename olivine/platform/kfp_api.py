"""The one file that uses KFP's client: runs and recurring runs of a server, with every fault in our own words."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from olivine.errors import ClusterError, ConfigError, OlivineError, UsageError

TOKEN_VARIABLE = "KFP_TOKEN"
_PAGE = 100
_HEALTH_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Run:
    """A run as KFP lists it."""

    id: str
    name: str
    state: str
    created: str


@dataclass(frozen=True)
class RecurringRun:
    """A recurring run as KFP lists it."""

    id: str
    name: str
    description: str
    enabled: bool
    cron: str


class Kfp:
    """A KFP server.

    Args:
        host: its address, as `http://localhost:8080`.
        namespace: namespace of the user; empty where the server knows but one.

    Raises:
        ConfigError: the extra `pipeline` is not installed.
    """

    def __init__(self, host: str, namespace: str = "") -> None:
        try:
            from kfp.client import Client
        except ImportError as error:
            raise ConfigError("KFP needs the extra: pip install 'olivine[pipeline]'.") from error
        if not host.startswith(("http://", "https://")):
            raise UsageError(f"--host {host}: give the address of KFP, as http://localhost:8080.")
        self._host, self._namespace = host, namespace or None
        token = os.environ.get(TOKEN_VARIABLE)
        with self._asking(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._check_health(token)
            self._client = Client(host=host, existing_token=token)

    def submit(self, text: str, name: str, experiment: str, parameters: dict[str, Any], service_account: str) -> str:
        """Start a run of a compiled pipeline; return its id."""
        with self._asking(), _package(text) as path:
            run = self._client.run_pipeline(
                experiment_id=self._experiment(experiment),
                job_name=name,
                pipeline_package_path=str(path),
                params=parameters,
                service_account=service_account or None,
            )
        return str(run.run_id)

    def list_runs(self, limit: int) -> list[Run]:
        """The newest runs."""
        with self._asking():
            answer = self._client.list_runs(page_size=limit, sort_by="created_at desc", namespace=self._namespace)
        return [
            Run(run.run_id, run.display_name, str(run.state), f"{run.created_at:%Y-%m-%d %H:%M}")
            for run in answer.runs or []
        ]

    def schedule(
        self,
        text: str,
        name: str,
        description: str,
        experiment: str,
        cron: str,
        parameters: dict[str, Any],
        enabled: bool,
        service_account: str,
    ) -> str:
        """Make a recurring run, one at a time and without catching up on what was missed; return its id.

        Caching is left to the pipeline: setting it here would cache the step that looks for new drives.
        """
        with self._asking(), _package(text) as path:
            made = self._client.create_recurring_run(
                experiment_id=self._experiment(experiment),
                job_name=name,
                description=description,
                cron_expression=cron,
                max_concurrency=1,
                no_catchup=True,
                params=parameters,
                pipeline_package_path=str(path),
                enabled=enabled,
                service_account=service_account or None,
            )
        return str(made.recurring_run_id)

    def list_schedules(self) -> list[RecurringRun]:
        """All recurring runs."""
        found: list[RecurringRun] = []
        token = ""
        while True:
            with self._asking():
                page = self._client.list_recurring_runs(
                    page_token=token, page_size=_PAGE, sort_by="created_at asc", namespace=self._namespace
                )
            found += [_read_recurring(item) for item in page.recurring_runs or []]
            token = page.next_page_token or ""
            if not token:
                return found

    def delete_schedule(self, id: str) -> None:
        """Delete a recurring run. Its runs stay."""
        with self._asking():
            self._client.delete_recurring_run(id)

    def _check_health(self, token: str | None) -> None:
        """Ask once whether the server is there: its client would ask five times, and wait 25 s."""
        import urllib3

        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self._host.rstrip('/')}/apis/v2beta1/healthz"
        answer = urllib3.request("GET", url, headers=headers, timeout=_HEALTH_TIMEOUT_S, retries=False)
        if answer.status != 200:
            raise self._refusal(answer.status, str(answer.reason), answer.data.decode(errors="replace"))

    def _experiment(self, name: str) -> str:
        made = self._client.create_experiment(name, namespace=self._namespace)
        return str(made.experiment_id)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Errors in our own words; and the client's own talk is left out."""
        from kfp_server_api.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except ApiException as error:
            raise self._refusal(error.status or 0, str(error.reason), str(error.body)) from error
        except (HTTPError, OSError) as error:
            raise ClusterError(
                f"{self._host} cannot be reached ({type(error).__name__}). Is it forwarded: kubectl -n kubeflow "
                "port-forward svc/ml-pipeline 8888?"
            ) from error

    def _refusal(self, status: int, reason: str, body: str) -> OlivineError:
        said = f"{status} {reason}"
        if status in (401, 403):
            return ConfigError(
                f"{self._host}: not allowed ({said}). Give a token in {TOKEN_VARIABLE}, and the right --namespace."
            )
        if 400 <= status < 500 and status != 429:
            return UsageError(f"{self._host} refuses it ({said}): {body[:500]}")
        return ClusterError(f"{self._host} failed ({said}). Try again.")


@contextlib.contextmanager
def _package(text: str) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "pipeline.yaml")
        path.write_text(text)
        yield path


def _read_recurring(item: Any) -> RecurringRun:
    cron = item.trigger.cron_schedule.cron if item.trigger and item.trigger.cron_schedule else ""
    enabled = str(item.status or item.mode).startswith("ENABLE")
    return RecurringRun(item.recurring_run_id, item.display_name, item.description or "", enabled, cron)
