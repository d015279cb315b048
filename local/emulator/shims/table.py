"""MiniStack's table of resource types, and the shapes of AWS's own API to translate properties with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import botocore.session
from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]
# What a handler gives back: the physical id (`Ref`) and the attributes (`Fn::GetAtt`).
Made = tuple[str, dict[str, Any]]


def add(
    name: str,
    *,
    create: Callable[[str, Properties, str], Made],
    update: Callable[[str, Properties, Properties, str, str], Made],
    delete: Callable[[str, Properties], None],
    replaced_by: tuple[str, ...] | None = None,
) -> None:
    """Register a resource type, or replace its handlers.

    A change of one of ``replaced_by`` makes a new resource instead of an update; None keeps what
    MiniStack knows about the type.
    """
    provisioners._RESOURCE_HANDLERS[name] = {
        "create": create,
        "update": update,
        "update_with_logical_id": True,
        "delete": delete,
    }
    if replaced_by is not None:
        provisioners._REPLACING_PROPERTIES[name] = replaced_by


def handler(name: str, operation: str) -> Callable[..., Any]:
    """MiniStack's own handler, to build upon."""
    found: Callable[..., Any] = provisioners._RESOURCE_HANDLERS[name][operation]
    return found


def physical_name(stack_name: str, logical_id: str, **limits: Any) -> str:
    """A name as CloudFormation makes one up."""
    return str(provisioners._physical_name(stack_name, logical_id, **limits))


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def api_input(service: str, operation: str, properties: Properties) -> dict[str, Any]:
    """Template properties as the input of an API operation: names and types from botocore's model.

    Raises ``ValueError`` for a property that the operation does not have, as CloudFormation does.
    """
    shape = _model(service).operation_model(operation).input_shape
    converted: dict[str, Any] = _convert(shape, properties, operation)
    return converted


def _convert(shape: Any, value: Any, where: str) -> Any:
    kind = shape.type_name
    if kind == "structure":
        members = {name.lower(): (name, member) for name, member in shape.members.items()}
        out = {}
        for key, item in value.items():
            if key.lower() not in members:
                raise ValueError(f"{where}: extraneous key [{key}] is not permitted")
            name, member = members[key.lower()]
            out[name] = _convert(member, item, f"{where}.{key}")
        return out
    if kind == "list":
        return [_convert(shape.member, item, where) for item in value]
    if kind == "map":
        return {key: _convert(shape.value, item, where) for key, item in value.items()}
    if kind in ("integer", "long"):
        return int(value)
    if kind in ("float", "double"):
        return float(value)
    if kind == "boolean":
        return str(value).lower() == "true"
    return str(value)
