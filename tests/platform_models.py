"""A strict walk: what a manifest says and its published model does not know. The models themselves take any key."""

from __future__ import annotations

import typing
from typing import Any

from pydantic import BaseModel


def find_unknown(value: Any, annotation: Any, path: str = "") -> list[str]:
    """Keys of a manifest that its model does not have: the models themselves take any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and isinstance(value, dict):
        fields = {field.alias or name: field.annotation for name, field in annotation.model_fields.items()}
        if set(fields) == {"actual_instance"} or "anyof_schema_1_validator" in annotation.model_fields:
            return []
        lost = [f"{path}.{key}" for key in value if key not in fields]
        return lost + [
            item for key in value if key in fields for item in find_unknown(value[key], fields[key], f"{path}.{key}")
        ]
    inner = [item for item in typing.get_args(annotation) if item is not type(None)]
    origin = typing.get_origin(annotation)
    if origin is list and isinstance(value, list):
        return [
            item for number, entry in enumerate(value) for item in find_unknown(entry, inner[0], f"{path}[{number}]")
        ]
    if origin is dict and isinstance(value, dict):
        return [item for key, entry in value.items() for item in find_unknown(entry, inner[1], f"{path}.{key}")]
    return [item for option in inner[:1] for item in find_unknown(value, option, path)] if origin else []
