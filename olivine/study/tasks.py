"""A study as a graph of stage calls. Each is an artifact in the end, so a study that was killed finds what is there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One call of a stage. Two equal tasks are one: arms that share labels or a backbone share the work."""

    word: str
    recipe: str
    settings: tuple[str, ...] = ()
    inputs: tuple[tuple[str, Task], ...] = ()


@dataclass(frozen=True)
class Arm:
    """What is compared: a recipe with settings, stage by stage, under a name and a sentence."""

    name: str
    title: str
    method: str
    settings: tuple[str, ...] = ()

    def of_stage(self, word: str) -> tuple[str, ...]:
        """The settings of one stage."""
        return tuple(item for item in self.settings if item.startswith(f"{word}."))


@dataclass(frozen=True)
class Regime:
    """How much is labelled and how the network is judged, as settings of fine-tuning."""

    name: str
    title: str
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """One number of the study: an arm under a regime, with the seeds of pretraining and of fine-tuning."""

    arm: Arm
    regime: Regime
    pretrain_seed: int
    seed: int


def evaluation(cell: Cell, scale: str) -> Task:
    """The task that yields the cell's metrics, with everything that it needs below it."""
    arm = cell.arm
    # Right calibration for those who read hand labels, also where the control pretrained on wrong ones.
    plain = Task("ingest", f"random@{scale}")
    inputs: tuple[tuple[str, Task], ...] = (("drives", plain),)
    if arm.method != "random":
        inputs += (("backbone", pretraining(arm, cell.pretrain_seed, scale)),)
    settings = (*cell.regime.settings, *arm.of_stage("finetune"), f"finetune.seed={cell.seed}")
    # The fine-tuning of all methods is one recipe: named by the scale alone, equal tasks are seen to be equal.
    segmenter = Task("finetune", f"random@{scale}", settings, inputs)
    return Task("evaluate", f"random@{scale}", (), (("drives", plain), ("segmenter", segmenter)))


def pretraining(arm: Arm, seed: int, scale: str) -> Task:
    """The arm's backbone."""
    recipe = f"{arm.method}@{scale}"
    drives = Task("ingest", f"random@{scale}", arm.of_stage("ingest"))
    # Labels and weights depend on few fields of a recipe: methods that share them share the task.
    kind = {"slidr": "slidr", "st_slidr": "slidr", "seal": "seal"}.get(arm.method, "olivine")
    labels = Task("label", f"{kind}@{scale}", arm.of_stage("label"), (("drives", drives),))
    weights = Task("weigh", f"olivine@{scale}", arm.of_stage("weigh"), (("drives", drives), ("weak_labels", labels)))
    settings = (*arm.of_stage("pretrain"), f"pretrain.seed={seed}")
    inputs = (("drives", drives), ("weak_labels", labels), ("density_weights", weights))
    return Task("pretrain", recipe, settings, inputs)


def all_tasks(roots: list[Task]) -> list[Task]:
    """Every task below `roots`, each once and after what it needs.

    Root by root, so that a study that is ended on its way has whole cells.
    """
    found: dict[Task, None] = {}

    def visit(task: Task) -> None:
        if task in found:
            return
        for _, needed in task.inputs:
            visit(needed)
        found[task] = None

    for root in roots:
        visit(root)
    return list(found)
