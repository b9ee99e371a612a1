"""The supervisor against a scripted API server, through the real client: every way in which a training can end."""

from __future__ import annotations

import copy
import threading
from collections import deque
from datetime import UTC, datetime

import pytest

from olivine.errors import ClusterError, ConfigError, DataError, Interrupted, UsageError
from olivine.platform.trainjob.cluster import Cluster
from olivine.platform.trainjob.spec import HEARTBEAT, SPEC_HASH, Size, build_trainjob
from olivine.platform.trainjob.supervisor import Supervisor

from .fake_cluster import FakeCluster, condition, make_pod

JOB = build_trainjob(
    "run-1",
    ["olivine", "pretrain", "--launch"],
    "olivine@sha256:0",
    Size(num_nodes=2, gpus_per_node=8),
    datetime.now(UTC),
)
NAME = JOB["metadata"]["name"]
JOBS = "/trainjobs"


class Watch:
    """A supervisor, what it said, and the pages it kept."""

    def __init__(self, cluster: Cluster) -> None:
        self.said: list[str] = []
        self.pages: list[str] = []
        self.supervisor = Supervisor(cluster, self._keep, self.said.append, poll_s=0.01)

    def _keep(self, page: str) -> str:
        self.pages.append(page)
        return "s3://bucket/page.html"

    def run(self):
        return self.supervisor.run(build_copy())


def build_copy():
    return copy.deepcopy(JOB)


@pytest.fixture
def watch(cluster: Cluster) -> Watch:
    return Watch(cluster)


def test_a_job_is_created_and_watched_to_its_end(fake: FakeCluster, watch: Watch) -> None:
    running = {"trainerStatus": {"progressPercentage": 40, "estimatedRemainingSeconds": 90}}
    fake.statuses = deque([{}, running, condition("Complete")])
    fake.pods = [make_pod(NAME, 1), make_pod(NAME, 0)]
    fake.logs[f"{NAME}-node-0-0-abcde"] = "2026-11-25T02:00:01.5Z step 1\n2026-11-25T02:00:02Z step 2"
    fake.logs[f"{NAME}-node-0-1-abcde"] = "2026-11-25T02:00:01Z of another node"
    assert watch.run()["metadata"]["name"] == NAME
    assert watch.said == [f"TrainJob {NAME} created", "step 1", "step 2", f"{NAME}: 40 %, 90 s left"]
    assert fake.count("POST") == 1


def test_the_heartbeat_goes_on_while_it_runs(fake: FakeCluster, watch: Watch) -> None:
    fake.statuses = deque([{}] * 40 + [condition("Complete")])
    job = watch.run()
    assert fake.count("PATCH") >= 3
    assert job["metadata"]["annotations"][HEARTBEAT] > JOB["metadata"]["annotations"][HEARTBEAT]


@pytest.mark.parametrize("fault", [409, "lose"])
def test_a_job_that_is_there_is_adopted(fake: FakeCluster, watch: Watch, fault) -> None:
    """The step was tried again, or the answer to its own request was lost: there is never a second job."""
    if fault == 409:
        fake.answer("POST", "/apis/trainer.kubeflow.org/v1alpha1/namespaces/olivine/trainjobs", {}, build_copy())
    else:
        fake.faults = [("POST", JOBS, "lose")]
    fake.statuses = deque([condition("Complete")])
    watch.run()
    assert watch.said == [f"TrainJob {NAME} adopted"]
    assert len(fake.jobs) == 1


def test_a_job_of_another_specification_is_left_alone(fake: FakeCluster, watch: Watch) -> None:
    other = build_copy()
    other["metadata"]["annotations"][SPEC_HASH] = "another"
    fake.jobs[NAME] = other
    with pytest.raises(UsageError, match=f"kubectl -n olivine delete trainjob {NAME}"):
        watch.run()
    assert fake.count("DELETE") == 0


def test_a_job_that_failed_before_is_made_anew(fake: FakeCluster, watch: Watch) -> None:
    old = build_copy()
    fake.answer("POST", "/apis/trainer.kubeflow.org/v1alpha1/namespaces/olivine/trainjobs", {}, old)
    old["status"] = condition("Failed")
    assert fake.statuses == deque()
    fake.faults = [("POST", JOBS, lambda: None), ("POST", JOBS, lambda: fake.statuses.append(condition("Complete")))]
    watch.run()
    assert (fake.count("DELETE"), fake.count("POST")) == (1, 2)


def test_a_job_on_its_way_out_is_waited_for(fake: FakeCluster, watch: Watch) -> None:
    old = build_copy()
    old["metadata"]["deletionTimestamp"] = "2026-11-25T02:00:00Z"
    fake.jobs[NAME] = old
    fake.faults = [("POST", JOBS, lambda: None)] * 2 + [("POST", JOBS, lambda: fake.jobs.clear())]
    fake.statuses = deque([condition("Complete")])
    watch.run()
    assert fake.count("POST") == 3


@pytest.mark.parametrize("fault", [500, 503, 429, 410, "drop"])
@pytest.mark.parametrize("method", ["POST", "GET", "PATCH"])
def test_faults_of_the_server_and_the_network_are_survived(fake: FakeCluster, watch: Watch, fault, method: str) -> None:
    fake.faults = [(method, JOBS, fault)] * 3
    fake.statuses = deque([{}, condition("Complete")])
    watch.run()
    assert fake.faults == []
    assert len(fake.jobs) == 1


def test_a_server_that_stays_away_is_a_fault_of_the_infrastructure(fake: FakeCluster, watch: Watch) -> None:
    watch.supervisor.cluster._give_up_s = 0.2
    fake.faults = [("GET", JOBS, 503)] * 100_000
    with pytest.raises(ClusterError, match=f"Cannot read the TrainJob {NAME}: the cluster answers 503"):
        watch.run()


def test_a_job_that_somebody_deleted_is_a_fault_of_the_infrastructure(fake: FakeCluster, watch: Watch) -> None:
    fake.statuses = deque([{}])
    fake.faults = [("GET", JOBS, lambda: None), ("GET", JOBS, lambda: fake.jobs.clear())]
    with pytest.raises(ClusterError, match="was deleted while it ran"):
        watch.run()


@pytest.mark.parametrize("code", [401, 403])
def test_missing_rights_name_the_role(fake: FakeCluster, watch: Watch, code: int) -> None:
    fake.faults = [("POST", JOBS, code)]
    with pytest.raises(ConfigError, match="Apply k8s/base, which has the role for it"):
        watch.run()


def test_a_specification_that_the_cluster_refuses_is_a_mistake(fake: FakeCluster, watch: Watch) -> None:
    fake.faults = [("POST", JOBS, 422)]
    with pytest.raises(UsageError, match="the cluster refuses it"):
        watch.run()


@pytest.mark.parametrize(
    ("codes", "kind", "said"),
    [
        ([1, 65], DataError, r"drives are bad, mend them \(pod"),
        ([64, 143], UsageError, "drives are bad"),
        ([78], ConfigError, "drives are bad"),
        ([1, 143], ClusterError, "exit code 143"),
        ([137], ClusterError, "OOMKilled"),
        ([], ClusterError, "no pod is left"),
    ],
)
def test_exit_codes_tell_a_mistake_from_a_fault(fake: FakeCluster, watch: Watch, codes, kind, said: str) -> None:
    fake.statuses = deque([{}, condition("Failed", "FailedJobs", "jobset failed")])
    for index, code in enumerate(codes):
        fake.pods.append(make_pod(NAME, index, code, reason="OOMKilled" if code == 137 else "Error"))
        name = fake.pods[-1]["metadata"]["name"]
        fake.logs[name] = "2026-11-25T02:00:01Z chatter\n2026-11-25T02:00:02Z olivine: drives are bad, mend them"
    with pytest.raises(kind, match=said) as failure:
        watch.run()
    assert "s3://bucket/page.html" in str(failure.value)


def test_the_page_of_a_failure_has_logs_and_events_escaped_and_without_secrets(fake: FakeCluster, watch: Watch) -> None:
    fake.statuses = deque([condition("Failed", "FailedJobs", "<b>two</b> failed")])
    fake.pods = [make_pod(NAME, 0, 1), make_pod(NAME, 1, 0, phase="Succeeded")]
    pod = fake.pods[0]["metadata"]["name"]
    fake.pods[0]["status"]["containerStatuses"][0]["restartCount"] = 1
    fake.logs[pod] = (
        "\n".join(f"2026-11-25T02:00:01Z line {number}" for number in range(300)) + "\n<script>bad</script>"
    )
    fake.logs[pod] += "\nAWS_SECRET_ACCESS_KEY=verysecret"
    fake.logs[f"{pod}/previous"] = "the first try"
    fake.events = [
        {
            "metadata": {"name": f"e{number}"},
            "involvedObject": {"name": name},
            "type": "Warning",
            "reason": "FailedScheduling",
            "message": f"0/3 nodes for {name}",
            "lastTimestamp": "2026-11-25T02:00:00Z",
        }
        for number, name in enumerate([pod, NAME])
    ]
    with pytest.raises(ClusterError):
        watch.run()
    (page,) = watch.pages
    assert f"0/3 nodes for {pod}" in page
    assert f"0/3 nodes for {NAME}" in page
    assert "the first try" in page
    assert "line 299" in page
    assert "line 100\n" not in page, "the last 200 lines alone"
    assert "<script>" not in page
    assert "<b>" not in page
    assert "verysecret" not in page
    assert "node-0-1-abcde" not in page, "a pod that ended well"


def test_stopping_the_step_deletes_the_job(fake: FakeCluster, watch: Watch) -> None:
    fake.statuses = deque([{}])
    fake.faults = [("GET", JOBS, lambda: None)] * 3 + [("GET", JOBS, watch.supervisor.stop.set)]
    with pytest.raises(Interrupted):
        watch.run()
    assert fake.jobs == {}


def test_two_supervisors_at_once_have_one_job(fake: FakeCluster, cluster: Cluster) -> None:
    fake.statuses = deque([{}] * 6 + [condition("Complete")])
    watches = [Watch(cluster), Watch(cluster)]
    threads = [threading.Thread(target=item.run) for item in watches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(item.said[0].split()[-1] for item in watches) == ["adopted", "created"]
    assert len(fake.jobs) == 1
