"""Schedules as a file says them: what is missing is made, what differs is made anew, what is gone is deleted.

    olivine schedule apply schedules.yaml --host http://localhost:8888 --image registry/olivine@sha256:...

KFP cannot change a recurring run. So each carries the hash of all that made it, and one with another hash is replaced.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from olivine.artifacts import canonical_json, sha256_hex
from olivine.errors import ConfigError, UsageError
from olivine.platform.compiled_pipelines import check_parameters, load_pipeline, with_image
from olivine.platform.kfp_api import Kfp, RecurringRun

_MARK = re.compile(r"olivine-schedule ([0-9a-f]{64})")


class Schedule(BaseModel):
    """One schedule of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    """Unique in the file."""

    pipeline: str
    """A pipeline that olivine carries."""

    cron: str
    """Six fields, seconds first, in the time zone of the server: "0 0 2 * * *" is every night at two."""

    parameters: dict[str, Any] = {}
    """Values for the pipeline's inputs."""

    experiment: str = "olivine"
    """Experiment that the runs belong to."""

    enabled: bool = True
    """Whether it fires."""

    service_account: str = ""
    """Account of the pods; empty: that of the server's settings."""

    @field_validator("cron")
    @classmethod
    def _six_fields(cls, cron: str) -> str:
        if len(cron.split()) != 6 and not cron.startswith("@"):
            raise ValueError('six fields, seconds first, as "0 0 2 * * *", or @every 6h')
        return cron


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schedules: tuple[Schedule, ...] = Field(default=())


class Change(BaseModel):
    """What is done about one schedule."""

    model_config = ConfigDict(frozen=True)

    action: Literal["create", "replace", "delete", "keep"]
    name: str


def read_schedules(path: Path) -> tuple[Schedule, ...]:
    """The schedules of a file.

    Raises:
        UsageError: it cannot be read, a field is wrong, or a name comes twice.
    """
    try:
        import yaml
    except ImportError as error:
        raise ConfigError("Schedules need the extra: pip install 'olivine[pipeline]'.") from error
    try:
        schedules = _File.model_validate(yaml.safe_load(path.read_text())).schedules
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise UsageError(f"{path}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}") from error
    names = [schedule.name for schedule in schedules]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"{path}: the name {min(twice)} comes twice. Give each schedule a name of its own.")
    return schedules


def find_schedule(path: Path, name: str) -> Schedule:
    """One schedule of a file; UsageError when it has none of that name, else as `read_schedules`."""
    schedules = {schedule.name: schedule for schedule in read_schedules(path)}
    if name not in schedules:
        raise UsageError(f"{path} has no schedule {name!r}: choose one of {', '.join(schedules) or 'none'}.")
    return schedules[name]


def apply_schedules(kfp: Kfp, schedules: tuple[Schedule, ...], image: str, dry_run: bool) -> list[Change]:
    """Bring the server's recurring runs to what the schedules say; those that olivine did not make stay as they are.

    Args:
        kfp: the server.
        schedules: what shall be.
        image: image of every step, by digest.
        dry_run: change nothing, and return what would be done.

    Raises:
        UsageError: a parameter is wrong, or a recurring run of that name was made by somebody else.
    """
    made: dict[str, list[RecurringRun]] = {}
    for item in kfp.list_schedules():
        made.setdefault(item.name, []).append(item)
    ours = {name for name, items in made.items() if all(_MARK.search(item.description) for item in items)}
    # All is checked before anything is changed.
    prepared = [_prepare(schedule, image) for schedule in schedules]
    for schedule in schedules:
        if schedule.name in made and schedule.name not in ours:
            raise UsageError(
                f"There is a recurring run {schedule.name} that `olivine schedule` did not make. Delete it, or choose "
                "another name."
            )
    changes = []
    for schedule, (text, parameters, digest) in zip(schedules, prepared, strict=True):
        there = made.get(schedule.name, [])
        if len(there) == 1 and _hash_of(there[0]) == digest and there[0].enabled == schedule.enabled:
            changes.append(Change(action="keep", name=schedule.name))
            continue
        changes.append(Change(action="replace" if there else "create", name=schedule.name))
        if not dry_run:
            _delete_all(kfp, there)
            _create(kfp, schedule, text, parameters, digest)
    for name in sorted(ours - {schedule.name for schedule in schedules}):
        changes.append(Change(action="delete", name=name))
        if not dry_run:
            _delete_all(kfp, made[name])
    return changes


def _prepare(schedule: Schedule, image: str) -> tuple[str, dict[str, Any], str]:
    pipeline = load_pipeline(schedule.pipeline)
    parameters = check_parameters(pipeline, schedule.parameters)
    text = with_image(pipeline.text, image)
    digest = sha256_hex(canonical_json({"schedule": schedule.model_dump(mode="json"), "pipeline": text}))
    return text, parameters, digest


def _create(kfp: Kfp, schedule: Schedule, text: str, parameters: dict[str, Any], digest: str) -> None:
    kfp.schedule(
        text,
        schedule.name,
        f"olivine-schedule {digest} ({schedule.pipeline})",
        schedule.experiment,
        schedule.cron,
        parameters,
        schedule.enabled,
        schedule.service_account,
    )


def _delete_all(kfp: Kfp, items: list[RecurringRun]) -> None:
    for item in items:
        kfp.delete_schedule(item.id)


def _hash_of(item: RecurringRun) -> str | None:
    found = _MARK.search(item.description)
    return found[1] if found else None
