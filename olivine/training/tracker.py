"""One seam for everything that watches a training: Prometheus, TensorBoard, MLflow, Weights & Biases.

A library is imported when it is asked for, and only then.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from olivine.errors import ConfigError
from olivine.store import Traffic
from olivine.training.execution import Execution, TrackerName


@dataclass(frozen=True)
class StepFacts:
    """One optimiser step. `samples` are keyframes of the whole batch; times in seconds, of the first process."""

    step: int
    epoch: int
    lr: float
    losses: dict[str, float]
    grad_norm: float | None
    samples: int
    step_s: float
    data_wait_s: float
    skipped: bool = False
    overflow: bool = False
    """The gradients were beyond fp16: no step, and half the loss scale."""

    def numbers(self) -> dict[str, float]:
        """What a curve is drawn of."""
        if self.skipped:
            return {}
        given = {"lr": self.lr, **self.losses, "step_s": self.step_s, "data_wait_s": self.data_wait_s}
        return given if self.grad_norm is None else given | {"grad_norm": self.grad_norm}


class Tracker(Protocol):
    """What a watcher of a training can be told."""

    def step(self, facts: StepFacts) -> None:
        """A step is done."""

    def checkpoint(self, seconds: float, size_bytes: int) -> None:
        """A checkpoint was written."""

    def close(self) -> None:
        """The training is over."""


class TensorBoard:
    """Event files in a folder."""

    def __init__(self, folder: Path, run_id: str, names: dict[str, str]) -> None:
        module = _library("torch.utils.tensorboard", "tensorboard")
        self._writer = module.SummaryWriter(str(folder / run_id[:12]))
        self._writer.add_text("run", "  \n".join(f"{name}: {value}" for name, value in names.items()))

    def step(self, facts: StepFacts) -> None:
        """Scalars of the step."""
        for name, value in facts.numbers().items():
            self._writer.add_scalar(f"pretrain/{name}", value, facts.step)

    def checkpoint(self, seconds: float, size_bytes: int) -> None:
        """Nothing to draw."""

    def close(self) -> None:
        """Flush the file."""
        self._writer.close()


class MLflow:
    """A run on the server, or in the database, of MLFLOW_TRACKING_URI."""

    def __init__(self, folder: Path, run_id: str, names: dict[str, str]) -> None:
        self._mlflow = _library("mlflow", "mlflow-skinny")
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            raise ConfigError("--tracker mlflow needs MLFLOW_TRACKING_URI, the address of a server or a database.")
        self._mlflow.set_experiment("olivine")
        self._mlflow.start_run(run_name=run_id[:12], tags=names)

    def step(self, facts: StepFacts) -> None:
        """Metrics of the step."""
        self._mlflow.log_metrics(facts.numbers(), step=facts.step)

    def checkpoint(self, seconds: float, size_bytes: int) -> None:
        """Nothing to draw."""

    def close(self) -> None:
        """End the run."""
        self._mlflow.end_run()


class WeightsAndBiases:
    """A run of Weights & Biases; WANDB_MODE=offline keeps it on this machine."""

    def __init__(self, folder: Path, run_id: str, names: dict[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._run = _library("wandb", "wandb").init(
            project="olivine", id=run_id[:12], resume="allow", dir=str(folder), config=names
        )

    def step(self, facts: StepFacts) -> None:
        """Metrics of the step."""
        self._run.log(facts.numbers(), step=facts.step)

    def checkpoint(self, seconds: float, size_bytes: int) -> None:
        """Nothing to draw."""

    def close(self) -> None:
        """End the run."""
        self._run.finish()


_TRACKERS: dict[TrackerName, Any] = {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WeightsAndBiases}


def open_trackers(
    execution: Execution, run_id: str, names: dict[str, str], traffic: Traffic, *, is_first: bool, on_node: int
) -> list[Tracker]:
    """The watchers of this process: curves on the first of all, metrics on the first of each node.

    Args:
        execution: which are wanted.
        run_id: id of the artifact in the making.
        names: what a run is called by: git commit, image, recipe.
        traffic: what this process moved to and from the store.
        is_first: whether this is the first process.
        on_node: number of this process on its node.

    Raises:
        ConfigError: a library is not installed, or the port is taken.
    """
    trackers: list[Tracker] = []
    if execution.metrics_port is not None and on_node == 0:
        from olivine.training.metrics import Metrics

        trackers.append(Metrics(execution.metrics_port, run_id, names, traffic))
    if execution.tracker != "none" and is_first:
        trackers.append(_TRACKERS[execution.tracker](execution.tracker_folder, run_id, names))
    return trackers


def _library(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"the tracker needs {package}: pip install {package}.") from error
