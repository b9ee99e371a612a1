"""The compiled pipelines that the package carries: their names, their parameters, and values checked against them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

from olivine.errors import ConfigError, UsageError

PLACEHOLDER_IMAGE = "olivine:dev"
"""What stands in the compiled pipelines for the image of a release."""

_BY_DIGEST = re.compile(r"\w[\w./:-]*@sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Parameter:
    """An input of a pipeline. `type` is KFP's word: STRING, LIST, NUMBER_INTEGER, ..."""

    name: str
    type: str
    description: str
    required: bool


@dataclass(frozen=True)
class CompiledPipeline:
    """A pipeline as it was compiled."""

    name: str
    text: str
    parameters: dict[str, Parameter]
    retries: dict[str, int]
    """How often a stage may be tried again, by stage."""


def pipeline_names() -> list[str]:
    """Names of the pipelines that the package carries."""
    files = (resources.files("olivine.platform") / "compiled").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def load_pipeline(name: str) -> CompiledPipeline:
    """The compiled pipeline `name`.

    Raises:
        UsageError: there is none of that name. ConfigError: the extra `pipeline` is not installed.
    """
    if name not in pipeline_names():
        raise UsageError(f"there is no pipeline {name!r}: choose one of {', '.join(pipeline_names())}.")
    text = (resources.files("olivine.platform") / "compiled" / f"{name}.yaml").read_text()
    return parse_pipeline(name, text)


def parse_pipeline(name: str, text: str) -> CompiledPipeline:
    """A compiled pipeline from its YAML."""
    try:
        import yaml
    except ImportError as error:
        raise ConfigError("Pipelines need the extra: pip install 'olivine[pipeline]'.") from error
    # A second document says what Kubernetes does for the steps: secrets, timeouts. It means nothing on this machine.
    spec = next(iter(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))))
    inputs = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    parameters = {
        key: Parameter(key, value["parameterType"], value.get("description", ""), not value.get("isOptional", False))
        for key, value in inputs.items()
    }
    return CompiledPipeline(name, text, parameters, _retries(spec))


def check_image(image: str, allow_tag: bool) -> str:
    """Return `image` when it is named by digest, or by a tag that is allowed.

    Raises:
        UsageError: a tag can be moved to other code, so that a run would not say what it ran.
    """
    if _BY_DIGEST.fullmatch(image) or (allow_tag and re.fullmatch(r"\w[\w./:-]*", image)):
        return image
    raise UsageError(f"{image!r} names no image by digest: write name@sha256:<64 hex digits>, or add --allow-tag.")


def with_image(text: str, image: str) -> str:
    """A compiled pipeline with every step, and the nodes of a TrainJob, in `image`."""
    return re.sub(rf" (image|defaultValue): {PLACEHOLDER_IMAGE}\n", rf" \1: {image}\n", text)


def check_parameters(pipeline: CompiledPipeline, given: dict[str, Any]) -> dict[str, Any]:
    """Values for the pipeline's parameters; texts (from a command line) are read as the type asks.

    Raises:
        UsageError: a parameter that the pipeline has not or that is missing, or a value of another type.
    """
    there = "; ".join(
        f"{item.name} ({item.type.lower()}{', required' if item.required else ''})"
        for item in pipeline.parameters.values()
    )
    unknown = [name for name in given if name not in pipeline.parameters]
    if unknown:
        raise UsageError(f"pipeline {pipeline.name} has no parameter {unknown[0]!r}. There are: {there}.")
    missing = [
        item.name for item in pipeline.parameters.values() if item.required and given.get(item.name) in ("", None)
    ]
    if missing:
        say = " ".join(f"-p {name}=VALUE" for name in missing)
        raise UsageError(f"pipeline {pipeline.name} needs {', '.join(missing)}: {say}. Its parameters are: {there}.")
    return {name: _read(pipeline.parameters[name], value) for name, value in given.items()}


_READERS: dict[str, tuple[type | tuple[type, ...], Callable[[str], Any]]] = {
    "STRING": (str, str),
    "LIST": (list, lambda text: json.loads(text if text.lstrip().startswith("[") else f"[{text}]")),
    "STRUCT": (dict, json.loads),
    "BOOLEAN": (bool, json.loads),
    "NUMBER_INTEGER": (int, int),
    "NUMBER_DOUBLE": ((int, float), float),
}


_EXAMPLES = {"LIST": """, as in '["a","b"]' or 1,2""", "STRUCT": """, as in '{"a":"b"}'"""}


def _read(parameter: Parameter, value: Any) -> Any:
    kind, parse = _READERS[parameter.type]
    try:
        result = parse(value) if isinstance(value, str) else value
    except ValueError:
        result = None
    if not isinstance(result, kind) or (isinstance(result, bool) and kind is not bool):
        example = _EXAMPLES.get(parameter.type, "")
        raise UsageError(
            f"{parameter.name} = {value!r}: {parameter.type.lower()} expected{example}. {parameter.description}"
        )
    return result


def _retries(spec: dict[str, Any]) -> dict[str, int]:
    """Retries by stage, from the tasks at every depth of the pipeline."""
    executors = spec["deploymentSpec"]["executors"]
    components = spec["components"]
    retries: dict[str, int] = {}
    for dag in [spec["root"], *components.values()]:
        for task in dag.get("dag", {}).get("tasks", {}).values():
            label = components[task["componentRef"]["name"]].get("executorLabel")
            if label:
                stage = executors[label]["container"]["command"][1]
                retries[stage] = int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
    return retries
