"""The graph of a study: shared work is one task, and what is needed comes first."""

from __future__ import annotations

from olivine.study.miniature import CONTROLS, CORE, ONE_PERCENT, ORDERS, QUICK, all_arms, plan_cells
from olivine.study.tasks import Arm, Cell, Task, all_tasks, evaluation, pretraining

OLIVINE, RANDOM, SLIDR = Arm("olivine", "", "olivine"), Arm("random", "", "random"), Arm("slidr", "", "slidr")


def words(tasks):
    return [task.word for task in tasks]


def test_random_needs_drives_alone():
    tasks = all_tasks([evaluation(Cell(RANDOM, ONE_PERCENT, 0, 3), "demo")])
    assert words(tasks) == ["ingest", "finetune", "evaluate"]
    assert tasks[1].settings == ("finetune.seed=3",)


def test_seeds_share_the_backbone_and_arms_share_the_labels():
    cells = [Cell(arm, ONE_PERCENT, 0, seed) for arm in (OLIVINE, Arm("ppkt", "", "ppkt")) for seed in range(3)]
    tasks = all_tasks([evaluation(cell, "demo") for cell in cells])
    assert [words(tasks).count(word) for word in ("ingest", "label", "weigh", "pretrain", "finetune")] == [
        1,
        1,
        1,
        2,
        6,
    ]


def test_methods_with_superpixels_have_labels_of_their_own():
    labels = {pretraining(arm, 0, "demo").inputs[1][1] for arm in (OLIVINE, SLIDR, Arm("seal", "", "seal"))}
    assert len(labels) == 3
    assert pretraining(SLIDR, 0, "demo").inputs[1] == pretraining(Arm("st_slidr", "", "st_slidr"), 0, "demo").inputs[1]


def test_every_task_comes_after_what_it_needs():
    tasks = all_tasks([evaluation(cell, "miniature") for cell in plan_cells(CORE)])
    place = {task: number for number, task in enumerate(tasks)}
    assert len(place) == len(tasks)
    assert all(place[needed] < place[task] for task in tasks for _, needed in task.inputs)


def test_settings_reach_their_own_stage():
    arm = Arm("x", "", "olivine", ("label.seed=1", "weigh.variant=density", "pretrain.epochs=3", "finetune.epochs=2"))
    tasks = {task.word: task for task in all_tasks([evaluation(Cell(arm, ONE_PERCENT, 4, 5), "demo")])}
    assert tasks["label"].settings == ("label.seed=1",)
    assert tasks["weigh"].settings == ("weigh.variant=density",)
    assert tasks["pretrain"].settings == ("pretrain.epochs=3", "pretrain.seed=4")
    assert tasks["finetune"].settings == ("finetune.epochs=2", "finetune.seed=5")


def test_a_wrong_camera_spoils_pretraining_and_not_the_labelled_frames():
    control = next(arm for arm in CONTROLS if arm.name == "wrong_camera")
    tasks = all_tasks([evaluation(Cell(control, ONE_PERCENT, 0, 0), "demo")])
    ingests = {task.settings: task for task in tasks if task.word == "ingest"}
    assert set(ingests) == {(), ("ingest.camera_shift=2",)}
    finetune = next(task for task in tasks if task.word == "finetune")
    assert dict(finetune.inputs)["drives"] == Task("ingest", "random@demo")


def test_every_order_names_arms_and_a_regime_that_the_core_has():
    cells = {(cell.arm.name, cell.regime.name) for cell in plan_cells(CORE)}
    for order in ORDERS:
        assert (order.better, order.regime) in cells
        assert (order.worse, order.regime) in cells


def test_the_core_has_five_seeds_and_five_pretrainings_where_the_study_promises_them():
    cells = plan_cells(CORE)
    for arm in all_arms():
        assert len({c.seed for c in cells if (c.arm.name, c.regime.name, c.pretrain_seed) == (arm, "1%", 0)}) == 5
    for arm in ("slidr", "olivine"):
        assert {c.pretrain_seed for c in cells if c.arm.name == arm} == set(range(5))
    assert len(plan_cells(QUICK)) < len(cells)
