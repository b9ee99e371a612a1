"""The one file that touches kfp's private API: its local orchestrator, made to run container components on the host.

kfp.local refuses container components outside Docker; in a loop it gives every task the loop's item in place of the
outputs of other tasks, and stumbles over artifacts out of a loop within a loop; it does not find the output that a
condition speaks of or that a loop goes through, nor the artifact of the branch that ran; it prints coloured logs of its
own through a process-wide logger, and from two threads at once breaks `print` for good. Here these parts are replaced
for the time of a run.
Written for kfp 2.17.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from olivine.errors import ConfigError, OlivineError

_HANDLER_PARAMETERS = ["self", "image", "full_command", "pipeline_root", "runner", "env_vars"]
_TALK = ("local_logger_context", "indented_print", "print_horizontal_line")
# kfp runs two iterations of a loop at once, whatever the pipeline says; ours wait for a share of the machine instead.
_MOST_ITERATIONS = 16
_CHANNEL = "pipelinechannel--"
_CHANNEL_PARAMETERS = ["channel_ref", "io_store"]
_INPUT_PARAMETERS = ["self", "key"]
_OUTPUT_PARAMETERS = ["dag_outputs_spec", "io_store"]
_LIST_PARAMETERS = ["artifact"]
_ITERATION_PARAMETERS = ["original_task_spec", "loop_item", "loop_task_name"]
# kfp keeps the configuration of local runs in one place of the process.
_ONE_RUN = threading.Lock()


def run_orchestrator(text: str, parameters: dict[str, Any], root: Path, run_step: Callable[[list[str]], None]) -> None:
    """Run a compiled pipeline; `run_step` is called with the full command of each step, from several threads.

    Args:
        text: the compiled YAML.
        parameters: values for the pipeline's inputs.
        root: folder for the outputs of the steps; kfp removes `root/workspace` in it.
        run_step: runs a step to its end, and raises when it fails.

    Raises:
        ConfigError: kfp is not installed, or is not one whose inner workings are known here.
        OlivineError: what `run_step` raised, or the orchestrator itself failed.
    """
    config, components = _module("kfp.local.config"), _module("kfp.components")
    with _ONE_RUN, _patched(run_step) as talk, _replaced(config.LocalExecutionConfig, "instance", None):
        runner = config.SubprocessRunner(use_venv=False)
        config.init(runner, pipeline_root=str(root / "steps"), workspace_root=str(root / "workspace"))
        pipeline = components.load_component_from_text(text)
        try:
            pipeline(**parameters)
            if any("condition" in line for line in talk):
                raise RuntimeError("a branch was left out")
        except OlivineError:
            raise
        except Exception as error:
            said = "".join(f"\n{line}" for line in talk)
            raise OlivineError(f"the pipeline could not be run: {error}{said}") from error


def check_private_api() -> None:
    """ConfigError when kfp is missing or its inner workings are not those that are replaced here."""
    handler = getattr(_module("kfp.local.subprocess_task_handler"), "SubprocessTaskHandler", None)
    dispatcher, talk = _module("kfp.local.task_dispatcher"), _module("kfp.local.logging_utils")
    known = (
        handler is not None
        and list(inspect.signature(handler.__init__).parameters) == _HANDLER_PARAMETERS
        and getattr(dispatcher, "subprocess_task_handler", None) is _module("kfp.local.subprocess_task_handler")
        and getattr(dispatcher, "logging_utils", None) is talk
        and all(hasattr(talk, name) for name in _TALK)
        and list(inspect.signature(_loops().create_parameter_loop_iteration_task_spec).parameters)
        == _ITERATION_PARAMETERS
        and list(inspect.signature(_executor().__init__).parameters) == ["self", "max_workers"]
        and list(inspect.signature(_outputs().get_dag_output_artifacts).parameters) == _OUTPUT_PARAMETERS
        and list(inspect.signature(_inputs().dsl_artifact_to_artifact_list).parameters) == _LIST_PARAMETERS
        and list(inspect.signature(_store().get_parent_input).parameters) == _INPUT_PARAMETERS
        and list(inspect.signature(_conditions()._resolve_pipeline_channel).parameters) == _CHANNEL_PARAMETERS
    )
    if not known:
        version = _module("kfp").__version__
        raise ConfigError(f"kfp {version} is not known to the local runner: install olivine[pipeline], which pins it.")


@contextlib.contextmanager
def _patched(run_step: Callable[[list[str]], None]) -> Iterator[list[str]]:
    """Steps go to `run_step`; yields what kfp would have logged as an error."""
    check_private_api()
    handlers, talk = _module("kfp.local.subprocess_task_handler"), _module("kfp.local.logging_utils")
    succeeded = _module("kfp.local.status").Status.SUCCESS

    class HostTask:
        """Stands for kfp's handler of one task."""

        def __init__(self, *, full_command: list[str], **_: Any) -> None:
            self._command = full_command

        def run(self) -> Any:
            """Run the step; an exception, and not a status, keeps kfp from trying it again."""
            run_step(self._command)
            return succeeded

    with contextlib.ExitStack() as patches:
        patches.enter_context(_replaced(handlers, "SubprocessTaskHandler", HostTask))
        for name in _TALK:
            patches.enter_context(_replaced(talk, name, contextlib.nullcontext))
        patches.enter_context(_replaced(_loops(), "create_parameter_loop_iteration_task_spec", _iterate))
        patches.enter_context(_replaced(_executor(), "__init__", _allow_iterations))
        found = _store().get_parent_input
        patches.enter_context(
            _replaced(_store(), "get_parent_input", lambda io_store, key: _find_input(found, io_store, key))
        )
        patches.enter_context(_replaced(_conditions(), "_resolve_pipeline_channel", staticmethod(_resolve_channel)))
        patches.enter_context(_replaced(_outputs(), "get_dag_output_artifacts", staticmethod(_select_artifacts)))
        listed = _inputs().dsl_artifact_to_artifact_list
        patches.enter_context(
            _replaced(_inputs(), "dsl_artifact_to_artifact_list", lambda artifact: listed(_flatten(artifact)))
        )
        # "cpu_limit has no effect in the current local runner": that is what running on this machine means.
        patches.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message="Task .* have no effect in the current local runner")
        yield patches.enter_context(_muted())


def _iterate(original_task_spec: Any, loop_item: Any, loop_task_name: str) -> Any:
    """The task of one iteration: the loop's task with the item at its place, and all other inputs as they are."""
    task = type(original_task_spec)()
    task.CopyFrom(original_task_spec)
    task.ClearField("parameter_iterator")
    place = task.inputs.parameters[original_task_spec.parameter_iterator.item_input]
    place.runtime_value.constant.CopyFrom(_module("kfp.compiler.pipeline_spec_builder").to_protobuf_value(loop_item))
    return task


def _allow_iterations(executor: Any, max_workers: int | None = None) -> None:
    """Stands for the constructor of kfp's executor of loops, which would cap them at two."""
    executor.conservative_max = executor.max_workers = max_workers or _MOST_ITERATIONS


def _find_input(get_parent_input: Callable[[Any, str], Any], io_store: Any, key: str) -> Any:
    """An input of a group of tasks; or the output of a task in it, which the compiler calls `task-output`.

    kfp looks for the items of a loop, and for what a condition speaks of, among the former, and finds the latter only
    under other names.
    """
    with contextlib.suppress(ValueError, KeyError):
        return get_parent_input(io_store, key)
    name = key.removeprefix(_CHANNEL)
    for position in (number for number, sign in enumerate(name) if sign == "-"):
        with contextlib.suppress(ValueError, KeyError):
            return io_store.get_task_output(name[:position], name[position + 1 :])
    return get_parent_input(io_store, key)


def _resolve_channel(channel_ref: str, io_store: Any) -> Any:
    """The value that a condition speaks of. kfp counts what it does not find as false, without a word."""
    name = channel_ref.removeprefix(_CHANNEL)
    for key in (name, f"{_CHANNEL}{name}"):
        with contextlib.suppress(ValueError, KeyError):
            return io_store.get_parent_input(key)
    logging.error("the condition on %s has no value", name)
    return None


def _select_artifacts(dag_outputs_spec: Any, io_store: Any) -> dict[str, Any]:
    """The artifacts that a group of tasks gives out: where branches could have made one, that of the branch that ran.

    kfp picks among branches for parameters, and refuses to for artifacts.
    """
    outputs = {}
    for key, choice in dag_outputs_spec.artifacts.items():
        for selector in choice.artifact_selectors:
            with contextlib.suppress(ValueError, KeyError):
                outputs[key] = io_store.get_task_output(selector.producer_subtask, selector.output_artifact_key)
        if key not in outputs:
            raise ValueError(f"no branch made the artifact {key}")
    return outputs


def _flatten(artifact: Any) -> Any:
    """One artifact as it is; artifacts collected from loops within loops as one list, in the order of the loops."""
    if not isinstance(artifact, list):
        return artifact
    flat = [_flatten(item) for item in artifact]
    return [one for item in flat for one in (item if isinstance(item, list) else [item])]


def _store() -> Any:
    return _module("kfp.local.io").IOStore


def _inputs() -> Any:
    return _module("kfp.local.executor_input_utils")


def _outputs() -> Any:
    return _module("kfp.local.orchestrator.orchestrator_utils").OrchestratorUtils


def _conditions() -> Any:
    return _module("kfp.local.orchestrator.enhanced_dag_orchestrator").ConditionEvaluator


def _executor() -> Any:
    return _module("kfp.local.orchestrator.enhanced_dag_orchestrator").ParallelExecutor


def _loops() -> Any:
    return _module("kfp.local.orchestrator.task_spec_utils")


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def _muted() -> Iterator[list[str]]:
    """Keep what kfp.local writes to the root logger from going anywhere else; yields its errors."""
    errors: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        if "/kfp/local/" not in record.pathname:
            return True
        if record.levelno >= logging.ERROR:
            errors.append(record.getMessage())
        return False

    root = logging.getLogger()
    # With no handler at all, the first record would install one.
    handler = logging.NullHandler()
    root.addFilter(keep)
    root.addHandler(handler)
    try:
        yield errors
    finally:
        root.removeHandler(handler)
        root.removeFilter(keep)


@contextlib.contextmanager
def _without_docker_folder() -> Iterator[None]:
    """Keep kfp from a folder named docker where the program was started.

    To Python it is a package of that name, and kfp takes every one for Docker's client, without which it does well.
    """
    found = importlib.util.find_spec("docker")
    if found is None or found.origin is not None:
        yield
        return
    sys.modules["docker"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop("docker", None)


def _module(name: str) -> Any:
    try:
        with _without_docker_folder():
            return importlib.import_module(name)
    except ImportError as error:
        if error.name and error.name.split(".")[0] != "kfp":
            raise
        raise ConfigError(
            f"{name} is not there ({error}). Pipelines need the extra: pip install 'olivine[pipeline]'."
        ) from error
