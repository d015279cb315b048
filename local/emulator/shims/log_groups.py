"""CloudWatch Logs: a log group without a name gets one as CloudFormation makes it up."""

from __future__ import annotations

from local.emulator.shims import table
from local.emulator.shims.table import Made, Properties

_TYPE = "AWS::Logs::LogGroup"
_NAME = "LogGroupName"


def register() -> None:
    """Name it before MiniStack does, after the stack and its logical id; it keeps the name in an update."""
    create, update = table.handler(_TYPE, "create"), table.handler(_TYPE, "update")

    def created(logical_id: str, properties: Properties, stack_name: str) -> Made:
        made_up = table.physical_name(stack_name, logical_id)
        made: Made = create(logical_id, {_NAME: made_up, **properties}, stack_name)
        return made

    def updated(name: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Made:
        made: Made = update(name, {_NAME: name, **old}, {_NAME: name, **new}, stack_name)
        return made

    table.add(_TYPE, create=created, update=updated, delete=table.handler(_TYPE, "delete"))
