"""How a training is carried out, apart from what it computes: set by flags and environment, never part of an identity.

Two runs of one recipe find each other's checkpoints and end in the same artifact whatever stands here. The number of
processes and of accumulated parts belongs here as well: both cut the same global batch, and what depends on the cut
(batch-norm statistics, draws) is said in docs/scaling.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from olivine.errors import UsageError

TrackerName = Literal["none", "tensorboard", "mlflow", "wandb"]


@dataclass(frozen=True)
class Execution:
    """Defaults run on a laptop: one process that loads its own samples and keeps the last three checkpoints."""

    zero_stage: int = 0
    """ZeRO of DeepSpeed: 0 keeps the optimiser's state in every process, 1 and 2 share it out."""

    accumulate: int = 1
    """Parts that each process cuts its share of a batch into, one after the other: less memory, one optimiser step."""

    recompute_activations: bool = False
    """Compute the activations of MinkUNet's stages again in the backward pass, for less memory and more time."""

    workers: int = 0
    """Processes that prepare samples ahead, for each training process; 0: the training process itself."""

    cache: Path | None = None
    """Folder on a local disk that keeps what was read from the store; shared by the processes of a node."""

    cache_gb: float = 50.0
    """Size [GB] of the cache; what was not used for longest goes first."""

    keep_checkpoints: int = 3
    """Checkpoints that stay, the last ones."""

    keep_best: bool = True
    """Beside the last ones, the checkpoint with the lowest mean training loss stays."""

    background_checkpoints: bool = False
    """Write checkpoints beside the training. A kill while one is written then costs one interval more."""

    hang_s: float = 80.0
    """Seconds without progress of the slowest process after which the run fails and names it."""

    metrics_port: int | None = None
    """Port of the Prometheus endpoint, on the first process of each node; none: no endpoint."""

    tracker: TrackerName = "none"
    """Where curves are shown as well."""

    tracker_folder: Path = Path("olivine-tracking")
    """Folder that a tracker writes to unless its own environment names a server."""

    def __post_init__(self) -> None:
        checks = {
            f"--zero is {self.zero_stage}, but must be 0, 1 or 2": self.zero_stage in (0, 1, 2),
            f"--accumulate is {self.accumulate}, but must be 1 or more": self.accumulate >= 1,
            f"--workers is {self.workers}, but must be 0 or more": self.workers >= 0,
            f"--cache-gb is {self.cache_gb}, but must be above 0": self.cache_gb > 0,
            f"--keep is {self.keep_checkpoints}, but must be 1 or more": self.keep_checkpoints >= 1,
            f"--hang-s is {self.hang_s}, but must be 5 or more": self.hang_s >= 5,
        }
        for problem, holds in checks.items():
            if not holds:
                raise UsageError(f"{problem}.")
