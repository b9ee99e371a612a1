"""The steps that share a labelling, as a pipeline calls them: `groups` names the groups, `share` is the work of one."""

from __future__ import annotations

from olivine.artifacts.group import Group, make_groups
from olivine.errors import UsageError
from olivine.kfp_io import ExecutorInput
from olivine.platform.executor import mistakes_made_once
from olivine.steps import check_inputs, run_label_group, step_call, whole_number


def run_groups_executor(executor_input: str) -> list[str]:
    """Name the groups of a labelling, as a pipeline step. Parameter: `number` of them. Output: `groups`, a list."""
    io = ExecutorInput.parse(executor_input)
    groups = [str(group) for group in make_groups(whole_number("number", io.parameters.get("number")))]
    io.write_parameters(groups=groups)
    return groups


def run_share_executor(executor_input: str) -> int:
    """Label the shards of one group as a pipeline step; the step `label` after all of them publishes.

    Parameters: those of `label`, and `group` (`3/8`). Output: `keyframes`, how many of the group are labelled.

    Raises:
        OlivineError: whatever the stage reports, or what an earlier try of this step in this run reported.
    """
    io = ExecutorInput.parse(executor_input)
    with mistakes_made_once("share", io.parameters):
        parameters = dict(io.parameters)
        if "group" not in parameters:
            raise UsageError("step share: the parameter 'group' is missing.")
        group = Group.parse(str(parameters.pop("group")))
        call = step_call("label", parameters)
        check_inputs("label", io, call)
        keyframes = run_label_group(call, group)
        io.write_parameters(keyframes=keyframes)
    return keyframes
