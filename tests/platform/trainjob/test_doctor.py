"""The doctor finds what is there and names what is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from olivine import cli
from olivine.platform import doctor
from olivine.platform.doctor import check_cluster, check_machine
from olivine.platform.trainjob.cluster import Cluster

from .fake_cluster import FakeCluster

GROUPS = {"trainer.kubeflow.org/v1alpha1": "trainjobs", "jobset.x-k8s.io/v1alpha2": "jobsets"}
RUNTIME = "/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes/olivine-deepspeed"
RIGHTS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def furnish(fake: FakeCluster, forbidden: tuple[str, str] = ("", "")) -> None:
    """A cluster with all that a training needs, but one right."""

    def review(body: dict[str, Any]) -> tuple[int, Any]:
        asked = body["spec"]["resourceAttributes"]
        name = "/".join(filter(None, (asked["resource"], asked["subresource"])))
        return 201, body | {"status": {"allowed": (name, asked["verb"]) != forbidden}}

    for group, resource in GROUPS.items():
        entry = {"name": resource, "kind": "x", "namespaced": True, "singularName": "x", "verbs": ["get"]}
        fake.answers[f"/apis/{group}"] = {"kind": "APIResourceList", "groupVersion": group, "resources": [entry]}
    version = dict.fromkeys(
        ("buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "major", "minor", "platform"), "x"
    )
    fake.answers["/version/"] = version | {"gitVersion": "v1.34.0"}
    fake.answers[RUNTIME] = {"metadata": {"name": "olivine-deepspeed"}}
    fake.answers[RIGHTS] = review


def test_a_cluster_with_all_it_needs(fake: FakeCluster, cluster: Cluster) -> None:
    furnish(fake)
    findings = list(check_cluster(cluster))
    assert {finding.state for finding in findings} == {"ok"}
    assert findings[0].said == "v1.34.0"
    assert len(findings) == 4 + 9


@pytest.mark.parametrize(
    ("path", "what", "said"),
    [
        ("/apis/jobset.x-k8s.io/v1alpha2", "JobSet", "docs/cluster.md"),
        ("/apis/trainer.kubeflow.org/v1alpha1", "Trainer", "is not in the cluster"),
        (RUNTIME, "runtime", "kubectl apply -k k8s/runtimes"),
    ],
)
def test_what_is_missing_is_named(fake: FakeCluster, cluster: Cluster, path: str, what: str, said: str) -> None:
    furnish(fake)
    del fake.answers[path]
    (fault,) = [finding for finding in check_cluster(cluster) if finding.state == "fault"]
    assert fault.what == what
    assert said in fault.said


@pytest.mark.parametrize("right", [("trainjobs", "create"), ("pods/log", "get")])
def test_a_right_that_is_missing_is_named(fake: FakeCluster, cluster: Cluster, right: tuple[str, str]) -> None:
    furnish(fake, forbidden=right)
    (fault,) = [finding for finding in check_cluster(cluster) if finding.state == "fault"]
    assert fault.what == f"may {right[1]} {right[0]}"
    assert "k8s/base" in fault.said


def test_the_rights_are_those_of_the_role() -> None:
    import yaml

    path = Path(__file__).resolve().parents[3] / "k8s" / "base" / "roles.yaml"
    role = next(
        item for item in yaml.safe_load_all(path.read_text()) if item["metadata"]["name"] == "olivine-supervisor"
    )
    given = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert set(doctor._RIGHTS) == given


def test_a_store_that_cannot_be_used_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    states = {finding.what: finding for finding in check_machine(str(tmp_path / "file"))}
    assert states["store"].state == "fault"
    assert states["Python"].state == "ok"
    good = {finding.what: finding for finding in check_machine(str(tmp_path / "store"))}
    assert (good["store"].state, good["store"].said) == (
        "ok",
        "conditional writes: create-only and compare-and-swap hold",
    )


def test_on_a_real_s3_server(s3_store_url: str) -> None:
    (found,) = [finding for finding in check_machine(s3_store_url) if finding.what == "store"]
    assert found.state == "ok"


def test_a_library_that_is_missing_is_a_fault_and_the_exit_code_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(doctor._LIBRARIES, "olivine_of_the_future", "flying; wait")
    monkeypatch.setattr(sys, "argv", ["olivine", "doctor", "--store", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()
    assert end.value.code == 78
    assert "fault  olivine_of_the_future not installed: for flying; wait" in out
    assert "1 of " in err
