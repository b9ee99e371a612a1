"""The one file that uses the Kubernetes client: TrainJobs, pods, logs and events, with every fault in our own words."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from olivine.errors import ClusterError, ConfigError, UsageError
from olivine.platform.trainjob.spec import GROUP, PLURAL, VERSION

T = TypeVar("T")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_ASK_AGAIN = frozenset({0, 408, 410, 425, 429, 500, 502, 503, 504})
_REQUEST_TIMEOUT_S = (10, 60)


class NotFound(Exception):
    """An answer: what was asked for is not in the cluster."""


class Conflict(Exception):
    """An answer: it is there already, or was changed meanwhile."""


class Cluster:
    """One namespace of a cluster. Requests that fail by the network or the server are repeated, with random pauses.

    Args:
        namespace: where TrainJobs and their pods are.
        api_client: a configured client of the package `kubernetes`.
        give_up_s: for how long [s] a request is repeated.
        sleep: how to wait.
    """

    def __init__(
        self, namespace: str, api_client: Any, give_up_s: float = 900.0, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        from kubernetes import client

        self.namespace = namespace
        self._api_client, self._give_up_s, self._sleep = api_client, give_up_s, sleep
        self._objects, self._core = client.CustomObjectsApi(api_client), client.CoreV1Api(api_client)
        self._trainjobs = (GROUP, VERSION, namespace, PLURAL)

    def create(self, trainjob: dict[str, Any]) -> dict[str, Any]:
        """Create a TrainJob; Conflict when its name is taken."""
        make = self._objects.create_namespaced_custom_object
        return self._ask("create the TrainJob", lambda **how: make(*self._trainjobs, trainjob, **how))

    def get(self, name: str) -> dict[str, Any]:
        """A TrainJob; NotFound when there is none."""
        get = self._objects.get_namespaced_custom_object
        return self._ask(f"read the TrainJob {name}", lambda **how: get(*self._trainjobs, name, **how))

    def find(self, selector: str) -> list[dict[str, Any]]:
        """The TrainJobs with these labels."""
        find = functools.partial(self._objects.list_namespaced_custom_object, label_selector=selector)
        return list(self._ask("list TrainJobs", lambda **how: find(*self._trainjobs, **how))["items"])

    def annotate(self, name: str, annotations: dict[str, str]) -> None:
        """Set annotations of a TrainJob; NotFound when there is none."""
        body = {"metadata": {"annotations": annotations}}
        patch = self._objects.patch_namespaced_custom_object
        self._ask(f"annotate the TrainJob {name}", lambda **how: patch(*self._trainjobs, name, body, **how))

    def delete(self, name: str, resource_version: str | None = None) -> None:
        """Delete a TrainJob with its pods; nothing happens when it is gone.

        Conflict when it is no longer at `resource_version`.
        """
        body: dict[str, Any] = {"propagationPolicy": "Foreground"}
        if resource_version:
            body["preconditions"] = {"resourceVersion": resource_version}
        delete = functools.partial(self._objects.delete_namespaced_custom_object, body=body)
        try:
            self._ask(f"delete the TrainJob {name}", lambda **how: delete(*self._trainjobs, name, **how))
        except NotFound:
            return

    def pods(self, name: str) -> list[Any]:
        """The pods of a TrainJob, the oldest first."""
        find = functools.partial(
            self._core.list_namespaced_pod, self.namespace, label_selector=f"jobset.sigs.k8s.io/jobset-name={name}"
        )
        pods = self._ask(f"list the pods of {name}", find).items
        return sorted(pods, key=lambda pod: str(pod.metadata.creation_timestamp))

    def log(self, pod: str, container: str, tail_lines: int, previous: bool = False) -> str:
        """The last lines of a container, each with its time; empty where there are none to be had."""
        read = functools.partial(
            self._core.read_namespaced_pod_log,
            pod,
            self.namespace,
            container=container,
            tail_lines=tail_lines,
            timestamps=True,
            previous=previous,
        )
        try:
            return str(self._ask(f"read the log of {pod}", read) or "")
        except (NotFound, UsageError):
            # The server says 400 for a container that has not started, or has no previous run.
            return ""

    def events(self, name: str) -> list[Any]:
        """What happened to an object, the oldest first."""
        find = functools.partial(
            self._core.list_namespaced_event, self.namespace, field_selector=f"involvedObject.name={name}"
        )
        return sorted(self._ask("list events", find).items, key=lambda event: str(event.last_timestamp))

    def server_version(self) -> str:
        """The version of the API server."""
        from kubernetes import client

        return str(self._ask("read the version", client.VersionApi(self._api_client).get_code).git_version)

    def resources(self, group: str, version: str) -> set[str]:
        """What the cluster knows of an API group; empty when it does not know it."""
        try:
            found = self._ask(f"list {group}", lambda **how: self._objects.get_api_resources(group, version, **how))
        except NotFound:
            return set()
        return {item.name for item in found.resources}

    def has_runtime(self, name: str) -> bool:
        """Whether there is a ClusterTrainingRuntime of this name."""
        get = self._objects.get_cluster_custom_object
        try:
            self._ask(
                f"read the runtime {name}", lambda **how: get(GROUP, VERSION, "clustertrainingruntimes", name, **how)
            )
        except NotFound:
            return False
        return True

    def may(self, group: str, resource: str, verb: str) -> bool:
        """Whether this account may do something in the namespace."""
        from kubernetes import client

        name, _, part = resource.partition("/")
        asked = {"namespace": self.namespace, "group": group, "resource": name, "subresource": part, "verb": verb}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        ask = client.AuthorizationV1Api(self._api_client).create_self_subject_access_review
        return bool(self._ask("ask for rights", lambda **how: ask(review, **how)).status.allowed)

    def _ask(self, what: str, request: Callable[..., T]) -> T:
        """Send a request until it is answered; see `_translate` for what is an answer."""
        deadline_s, pause_s = time.monotonic() + self._give_up_s, _FIRST_PAUSE_S
        while True:
            try:
                return request(_request_timeout=_REQUEST_TIMEOUT_S)
            except Exception as error:
                answer = _translate(what, self.namespace, error)
                if answer is None:
                    raise
                if not isinstance(answer, ClusterError) or time.monotonic() > deadline_s:
                    raise answer from error
            self._sleep(pause_s * (0.5 + random.random()))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def connect(namespace: str) -> Cluster:
    """The cluster that this process runs in, or else the one of the user's kubeconfig.

    Args:
        namespace: where to work; empty: that of the service account or of the kubeconfig's context.

    Raises:
        ConfigError: there is no cluster, or the extra `pipeline` is not installed.
    """
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise ConfigError("A TrainJob needs the extra: pip install 'olivine[pipeline]'.") from error
    settings = client.Configuration()
    try:
        try:
            config.load_incluster_config(client_configuration=settings)
            own = _own_namespace()
        except config.ConfigException:
            config.load_kube_config(client_configuration=settings)
            own = config.list_kube_config_contexts()[1]["context"].get("namespace", "default")
    except config.ConfigException as error:
        raise ConfigError(
            "There is no cluster: neither a service account nor a kubeconfig. Leave num_nodes at 0 to train in the "
            "step itself."
        ) from error
    settings.retries = False
    return Cluster(namespace or own, client.ApiClient(settings))


def _own_namespace() -> str:
    with open("/var/run/secrets/kubernetes.io/serviceaccount/namespace") as file:  # noqa: PTH123 - a fixed mount
        return file.read().strip()


def _translate(what: str, namespace: str, error: Exception) -> Exception | None:
    """The error in our own words: ClusterError where asking again may help; None for what is a bug."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    if isinstance(error, HTTPError | OSError):
        return ClusterError(f"Cannot {what}: the cluster does not answer ({type(error).__name__}).")
    if not isinstance(error, ApiException):
        return None
    said = f"{error.status} {error.reason}"
    if error.status in _ASK_AGAIN:
        return ClusterError(f"Cannot {what}: the cluster answers {said}.")
    if error.status == 404:
        return NotFound(f"Cannot {what}: there is none in the namespace {namespace}.")
    if error.status == 409:
        return Conflict(f"Cannot {what}: {said}.")
    if error.status in (401, 403):
        return ConfigError(
            f"Not allowed to {what} in the namespace {namespace} ({said}). Apply k8s/base, which has the role for it, "
            "and run the pipeline with its service account."
        )
    return UsageError(f"Cannot {what}: the cluster refuses it ({said}): {str(error.body)[:500]}")
