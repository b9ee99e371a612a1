"""The paper in miniature: which arms, under which regimes, with which seeds, and what the paper says of their order."""

from __future__ import annotations

from dataclasses import dataclass, replace

from olivine.recipes import METHODS
from olivine.study.tasks import Arm, Cell, Regime

LINEAR_PROBE = Regime(
    "lp",
    "linear probing, 100 % of the labels",
    ("finetune.frozen=cached", "finetune.every_nth=1", "finetune.batch_size=4", "finetune.epochs=8",
     "finetune.curve_points=1"),
)  # fmt: skip
ONE_PERCENT = Regime("1%", "1 % of the labels, by scene", ())
TEN_PERCENT = Regime(
    "10%", "10 % of the labels, by scene", ("finetune.every_nth=10", "finetune.batch_size=4", "finetune.epochs=80")
)
ALL_LABELS = Regime(
    "100%", "100 % of the labels", ("finetune.every_nth=1", "finetune.batch_size=4", "finetune.epochs=10")
)
REGIMES = (LINEAR_PROBE, ONE_PERCENT, TEN_PERCENT, ALL_LABELS)

_NO_CATEGORY, _NO_CONSISTENCY = "pretrain.weight_category=0", "pretrain.weight_consistency=0"
_UNIFORM = "weigh.variant=uniform"

METHOD_ARMS = tuple(Arm(name, name, name) for name in METHODS if name != "ppkt_strided")
"""Table 1. The un-dilated encoder of `ppkt_strided` has no counterpart in the study's image encoder."""

OLIVINE = next(arm for arm in METHOD_ARMS if arm.name == "olivine")
_BOTH = Arm("both", "both terms, uniform sampling", "olivine", (_UNIFORM,))

TABLE_5 = (
    Arm("baseline", "point-pixel contrast alone", "olivine", (_NO_CATEGORY, _NO_CONSISTENCY, _UNIFORM)),
    Arm("weak", "+ weak supervision", "olivine", (_NO_CONSISTENCY, _UNIFORM)),
    Arm("consistency", "+ semantic consistency", "olivine", (_NO_CATEGORY, _UNIFORM)),
    _BOTH,
    OLIVINE,
)
TABLE_6 = {
    "supervision": (
        Arm("unsupervised", "no weak labels", "olivine", (_NO_CATEGORY, _NO_CONSISTENCY, _UNIFORM)),
        OLIVINE,
        Arm("truth", "hand labels as weak labels", "olivine", ("label.labeler=truth", "label.classes=nuscenes16")),
    ),
    "heads": (Arm("shared_heads", "shared heads", "olivine", ("pretrain.decoupled_heads=false",)), OLIVINE),
    "distribution": (Arm("dirac", "Dirac", "olivine", ("pretrain.consistency.distribution=dirac",)), OLIVINE),
    "sampling": (
        _BOTH,
        Arm("density", "density", "olivine", ("weigh.variant=density",)),
        Arm("category", "category", "olivine", ("weigh.variant=category",)),
        OLIVINE,
    ),
}
_EXACT = ("label.simulated.unpainted_rate=0", "label.simulated.miss_rate_small=0", "label.simulated.bleed_px=[0,0]")
TABLE_12 = tuple(
    Arm(f"errors_{percent}", f"{percent} % of the segments confused", "olivine",
        (f"label.simulated.confusion_rate={percent / 100}", *_EXACT))
    for percent in (0, 10, 25, 50)
)  # fmt: skip
CONTROLS = (
    Arm("shuffled_labels", "weak labels of other frames", "olivine", ("label.shuffled=true",)),
    Arm("wrong_camera", "pixels of the wrong camera", "olivine", ("ingest.camera_shift=2",)),
    Arm("equal_steps", "random, with the steps of pretraining added", "random"),
)
"""What must not show the gain. The length of `equal_steps` is the size's."""


@dataclass(frozen=True)
class Order:
    """A claim of the paper: `better` gains over `worse` under a regime. `control` claims that it does not."""

    source: str
    better: str
    worse: str
    regime: str
    control: bool = False


ORDERS = (
    *(Order("Table 1", "olivine", name, regime) for regime in ("lp", "1%") for name in
      ("random", "pointcontrast", "depthcontrast", "ppkt", "slidr", "st_slidr", "seal")),
    *(Order("Table 1", name, "random", regime) for regime in ("lp", "1%") for name in
      ("pointcontrast", "depthcontrast", "ppkt", "slidr", "st_slidr", "seal")),
    Order("Table 1", "st_slidr", "slidr", "1%"),
    Order("Table 1", "seal", "st_slidr", "1%"),
    Order("Table 5", "weak", "baseline", "1%"),
    Order("Table 5", "consistency", "baseline", "1%"),
    Order("Table 5", "both", "weak", "1%"),
    Order("Table 5", "both", "consistency", "1%"),
    Order("Table 5", "olivine", "both", "1%"),
    Order("Table 6a", "olivine", "unsupervised", "1%"),
    Order("Table 6a", "truth", "olivine", "1%"),
    Order("Table 6b", "olivine", "shared_heads", "1%"),
    Order("Table 6c", "olivine", "dirac", "1%"),
    *(Order("Table 6d", "olivine", name, "1%") for name in ("both", "density", "category")),
    *(Order("Table 12", f"errors_{low}", f"errors_{high}", "1%") for low, high in ((0, 10), (10, 25), (25, 50))),
    *(Order("control", name, "random", "1%", control=True) for name in ("shuffled_labels", "wrong_camera")),
    Order("control", "olivine", "equal_steps", "1%"),
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much of the study is run."""

    scale: str
    num_seeds: int
    num_pretrain_seeds: int
    num_wide_seeds: int
    wide_arms: tuple[str, ...]
    equal_epochs: int
    """Epochs of `equal_steps` at 1 %: those of fine-tuning and as many as pretraining has steps, at a step an epoch."""


CORE = Size("miniature", 5, 5, 3, ("random", "slidr", "olivine"), 470)
FULL = Size("miniature", 5, 5, 5, tuple(arm.name for arm in METHOD_ARMS), 470)
QUICK = Size("tiny_cpu", 2, 2, 1, ("random", "olivine"), 4)
_PRETRAIN_SEEDED = ("slidr", "olivine")


def all_arms() -> dict[str, Arm]:
    """Every arm of every table by name, each once."""
    groups = (METHOD_ARMS, TABLE_5, *TABLE_6.values(), TABLE_12, CONTROLS)
    return {arm.name: arm for group in groups for arm in group}


def plan_cells(size: Size) -> list[Cell]:
    """The cells of a study: the arms that carry the claim first; more labels, which cost most, at the end."""
    cells: dict[Cell, None] = {}
    wide: dict[Cell, None] = {}
    for arm in sorted(all_arms().values(), key=lambda arm: arm.name not in size.wide_arms):
        if arm.name == "equal_steps":
            arm = replace(arm, settings=(f"finetune.epochs={size.equal_epochs}",))
        regimes = [ONE_PERCENT] if arm not in METHOD_ARMS else [LINEAR_PROBE, ONE_PERCENT]
        for regime in regimes:
            cells |= {Cell(arm, regime, 0, seed): None for seed in range(size.num_seeds)}
        if arm.name in _PRETRAIN_SEEDED:
            cells |= {Cell(arm, ONE_PERCENT, seed, seed): None for seed in range(1, size.num_pretrain_seeds)}
        if arm.name in size.wide_arms:
            seeds = range(size.num_wide_seeds)
            wide |= {Cell(arm, regime, 0, seed): None for regime in (TEN_PERCENT, ALL_LABELS) for seed in seeds}
    return [*cells, *wide]
