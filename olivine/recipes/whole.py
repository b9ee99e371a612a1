"""The recipe of a whole pipeline: one recipe for each stage, and how single fields of it are overridden."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError

from olivine.errors import UsageError
from olivine.evaluate.recipe import EvaluateRecipe
from olivine.finetune.recipe import FinetuneRecipe
from olivine.ingest.recipe import IngestRecipe
from olivine.label.recipe import LabelRecipe
from olivine.pretrain.recipe import PretrainRecipe
from olivine.recipe import StageRecipe
from olivine.weigh.recipe import WeighRecipe


class NamedRecipe(StageRecipe):
    """What `override` takes: recipes of stages under a name."""

    name: str
    """Name it is called by."""


AnyRecipe = TypeVar("AnyRecipe", bound=NamedRecipe)


class Recipe(NamedRecipe):
    """One recipe for each stage."""

    scale: str
    """What it is made for: `paper`, `demo`, `miniature` or `tiny_cpu`."""

    ingest: IngestRecipe = IngestRecipe()
    label: LabelRecipe = LabelRecipe()
    weigh: WeighRecipe = WeighRecipe()
    pretrain: PretrainRecipe | None = PretrainRecipe()
    """None for a method without pretraining."""

    finetune: FinetuneRecipe = FinetuneRecipe()
    evaluate: EvaluateRecipe = EvaluateRecipe()


def override(recipe: AnyRecipe, assignments: list[str]) -> AnyRecipe:
    """A recipe with fields set by `stage.field=value` or `stage.group.field=value`; values are JSON or plain words.

    Raises:
        UsageError: an assignment that names no field, or a value that the field does not take.
    """
    values = recipe.model_dump()
    for assignment in assignments:
        path, sign, text = assignment.partition("=")
        *parents, name = path.split(".")
        node: Any = values
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if not sign or not parents or not isinstance(node, dict) or name not in node:
            raise UsageError(f"{assignment!r} sets nothing: write stage.field=value. {_near(values, parents)}")
        node[name] = _parse(text)
    try:
        return type(recipe).model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"recipe {recipe.name}: {field} = {first['input']!r}: {first['msg']}.") from error


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _near(values: dict[str, Any], parents: list[str]) -> str:
    node: Any = values
    for parent in parents:
        if not isinstance(node, dict) or parent not in node:
            break
        node = node[parent]
    return f"Known here: {', '.join(node)}." if isinstance(node, dict) else ""
