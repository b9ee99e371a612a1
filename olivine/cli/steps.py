"""Steps around the stages that pipelines alone run."""

from __future__ import annotations

from olivine.cli.options import ExecutorOption
from olivine.errors import UsageError


def groups(executor_input: ExecutorOption = None) -> None:
    """Name the groups that share a labelling. For pipelines alone."""
    from olivine.platform.share_steps import run_groups_executor

    if executor_input is None:
        raise UsageError("groups is a step of the pipelines that label.")
    print(" ".join(run_groups_executor(executor_input)))


def share(executor_input: ExecutorOption = None) -> None:
    """Label one group's share of the drives, for a step `label` after all groups. For pipelines alone."""
    from olivine.platform.share_steps import run_share_executor

    if executor_input is None:
        raise UsageError(
            "share is a step of the pipelines that label. By hand: "
            "`torchrun --nproc-per-node N --no-python olivine label ...`."
        )
    print(f"{run_share_executor(executor_input)} keyframes of this group are labelled")


def close(executor_input: ExecutorOption = None) -> None:
    """The last step of every run: publish how it ended, and release what it claimed. For pipelines alone."""
    from olivine.platform.close_step import run_close_executor

    if executor_input is None:
        raise UsageError("close is the last step of a pipeline; there is nothing to close by hand.")
    print(f"run ended: {run_close_executor(executor_input)}")


def gate(executor_input: ExecutorOption = None) -> None:
    """The last step of a retraining: compare, record, promote, and move the watermark. For pipelines alone."""
    from olivine.platform.executor import run_once
    from olivine.platform.retrain_steps import run_gate_executor

    if executor_input is None:
        raise UsageError("gate is a step of the pipeline retrain_on_new_drives. By hand: `olivine promote`.")
    decision = run_once("gate", executor_input, run_gate_executor)
    print(f"{'promoted' if decision.passed else 'not promoted'}: {decision.reason}")
