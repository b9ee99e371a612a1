"""What the schema of a compiled pipeline leaves open: where its references lead, and what Kubernetes makes of its steps.

KFP's proto takes a task that asks for an output which nobody makes; only a run would tell.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes.utils.quantity import parse_quantity

from olivine.platform.compiled_pipelines import load_pipeline, pipeline_names

Spec = dict[str, Any]
NAMES = pipeline_names()


def documents(name: str) -> list[Spec]:
    return list(yaml.load_all(load_pipeline(name).text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def type_of(kind: str, definition: Spec) -> str:
    """STRING, NUMBER_INTEGER, ...; for an artifact its schema, a list of which passes for one (from a loop)."""
    return str(definition["parameterType"] if kind == "parameters" else definition["artifactType"]["schemaTitle"])


def outputs(spec: Spec, task: Spec, kind: str) -> Spec:
    return dict(spec["components"][task["componentRef"]["name"]].get("outputDefinitions", {}).get(kind, {}))


def given_type(spec: Spec, parent: Spec, kind: str, source: Spec) -> str | None:
    """The type of what a task is given; None for a constant. KeyError where the reference leads nowhere."""
    single = kind.removesuffix("s").capitalize()
    if name := source.get(f"componentInput{single}"):
        return type_of(kind, parent["inputDefinitions"][kind][name])
    if found := source.get(f"taskOutput{single}"):
        made = outputs(spec, parent["dag"]["tasks"][found["producerTask"]], kind)
        return type_of(kind, made[found[f"output{single}Key"]])
    return None


def faults(spec: Spec) -> Iterator[str]:
    """What does not fit together, in words."""
    for name, parent in [("root", spec["root"]), *spec["components"].items()]:
        if label := parent.get("executorLabel"):
            yield from [] if label in spec["deploymentSpec"]["executors"] else [f"{name}: no executor {label}"]
        tasks = parent.get("dag", {}).get("tasks", {})
        for key, task in tasks.items():
            where = f"{name}/{key}"
            yield from (f"{where} waits for {other}" for other in task.get("dependentTasks", []) if other not in tasks)
            for kind in ("parameters", "artifacts"):
                yield from faults_of_inputs(spec, parent, task, kind, where)


def faults_of_inputs(spec: Spec, parent: Spec, task: Spec, kind: str, where: str) -> Iterator[str]:
    asked = spec["components"][task["componentRef"]["name"]].get("inputDefinitions", {}).get(kind, {})
    given = task.get("inputs", {}).get(kind, {})
    loops = {task.get("parameterIterator", {}).get("itemInput")}
    missing = {key for key, item in asked.items() if not item.get("isOptional")} - given.keys() - loops
    yield from (f"{where} is not given {key}" for key in sorted(missing))
    for key, source in given.items():
        try:
            found = given_type(spec, parent, kind, source)
        except KeyError as error:
            yield f"{where}: {key} is asked of {error}, which is not there"
            continue
        if key not in asked or found not in (None, type_of(kind, asked[key])):
            yield f"{where}: {key} is given {found}"


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_leads_to_something_of_its_type(name: str) -> None:
    assert list(faults(documents(name)[0])) == []


def test_what_does_not_fit_is_found() -> None:
    spec = documents("relabel")[0]
    tasks = next(
        part["dag"]["tasks"] for part in spec["components"].values() if "weigh" in part.get("dag", {}).get("tasks", {})
    )

    def spoilt(key: str, source: Spec | None) -> list[str]:
        before = copy.deepcopy(tasks["weigh"])
        inputs = tasks["weigh"]["inputs"]["parameters"]
        inputs.pop(key, None)
        inputs |= {key: source} if source else {}
        found = list(faults(spec))
        tasks["weigh"] = before
        return found

    (missing,) = spoilt("store", None)
    (surplus,) = spoilt("stores", {"runtimeValue": {"constant": "s"}})
    (nowhere,) = spoilt("store", {"componentInputParameter": "pipelinechannel--shop"})
    (wrong,) = spoilt("store", {"componentInputParameter": "pipelinechannel--label_groups"})
    assert missing.endswith("/weigh is not given store")
    assert surplus.endswith("/weigh: stores is given None")
    assert nowhere.endswith("/weigh: store is asked of 'pipelinechannel--shop', which is not there")
    assert wrong.endswith("/weigh: store is given NUMBER_INTEGER")
    assert list(faults(spec)) == []


def pod_of(container: Spec, config: Spec) -> Spec:
    """The pod of a step as we read KFP's driver: a stand-in for what only a cluster makes."""
    resources = container["resources"]
    limits = {"cpu": str(resources["resourceCpuLimit"]), "memory": resources["resourceMemoryLimit"]}
    if accelerator := resources.get("accelerator"):
        limits[accelerator["resourceType"]] = accelerator["resourceCount"]
    environment = [
        {
            "name": item["envVar"],
            "valueFrom": {"secretKeyRef": {"name": secret["secretName"], "key": item["secretKey"]}},
        }
        for secret in config["secretAsEnv"]
        for item in secret["keyToEnv"]
    ]
    environment += [
        {"name": item["name"], "valueFrom": {"fieldRef": {"fieldPath": item["fieldPath"]}}}
        for item in config["fieldPathAsEnv"]
    ]
    step = {"name": "main", "image": container["image"], "command": container["command"], "args": container["args"]}
    step |= {"env": environment, "resources": {"limits": limits}}
    spec = {"containers": [step], "activeDeadlineSeconds": int(config["activeDeadlineSeconds"])}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "step"}, "spec": spec}


@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_takes_what_a_step_asks_for(name: str) -> None:
    spec, platform = documents(name)
    configs = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for label, executor in spec["deploymentSpec"]["executors"].items():
        pod = pod_of(executor["container"], configs[label])
        kubernetes_validate.validate(pod, "1.34", strict=True)
        (step,) = pod["spec"]["containers"]
        for quantity in step["resources"]["limits"].values():
            assert parse_quantity(quantity) > 0
