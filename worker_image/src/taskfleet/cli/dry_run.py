"""What commands that change something share: they say what they would do, and do it with ``--yes``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from taskfleet.cli.operator import Operator
from taskfleet.cli.output import show, show_json

F = TypeVar("F", bound=Callable[..., Any])


def yes(command: F) -> F:
    """Give a command ``--yes``."""
    return click.option("--yes", is_flag=True, help="Do it. Without this it is only said.")(command)


def reason(command: F) -> F:
    """Give a command ``--reason``, for the history."""
    return click.option("--reason", default="by an operator", show_default=True, help="For the history.")(
        command
    )


def say(operator: Operator, *, done: bool, steps: list[str], undo: str | None = None) -> None:
    """Tell what was done, or would be."""
    if operator.json:
        show_json({"done": done, "steps": steps, "undo": undo})
        return
    show([*(step if done else f"would: {step}" for step in steps)])
    if undo and done:
        show([f"undo: {undo}"])
    if not done:
        show(["nothing was changed; do it with --yes"])
