"""Commands of those who run a cluster: look at it and at this machine, and clear away what is left over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from olivine.cli.options import StoreOption
from olivine.errors import ConfigError


def doctor(
    store: StoreOption = "./store",
    cluster: Annotated[bool, typer.Option("--cluster", help="Look at the cluster of the kubeconfig as well.")] = False,
    namespace: Annotated[str, typer.Option(help="With --cluster: namespace of the TrainJobs.")] = "",
    host: Annotated[str, typer.Option(help="With --cluster: address of KFP, as http://localhost:8888.")] = "",
) -> None:
    """Look at this machine, a store, and with --cluster a cluster: what is there, what is missing, what to do."""
    from olivine.platform.doctor import Finding, check_cluster, check_kfp, check_machine
    from olivine.platform.trainjob.cluster import connect

    findings = list(check_machine(store))
    if cluster:
        try:
            findings += check_cluster(connect(namespace))
        except ConfigError as error:
            findings.append(Finding("fault", "cluster", str(error)))
        findings += [check_kfp(host)] if host else []
    for finding in findings:
        print(f"{finding.state:6} {finding.what:20} {finding.said}")
    faults = sum(finding.state == "fault" for finding in findings)
    if faults:
        raise ConfigError(f"{faults} of {len(findings)} checks found a fault; each line above says what to do.")


def reap(
    namespace: Annotated[
        str, typer.Option(help="Namespace of the TrainJobs; default: that of the service account.")
    ] = "",
) -> None:
    """Delete the TrainJobs whose supervisor is gone, and those that ended a week ago. k8s/ runs it on a schedule."""
    from olivine.platform.trainjob.cluster import connect
    from olivine.platform.trainjob.reaper import reap as run

    for name, reason in run(connect(namespace), datetime.now(UTC)).items():
        print(f"deleted {name}: {reason}")
