"""Retries without an end, and retries that all come at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from taskfleet.linting.finding import Finding
from taskfleet.linting.reading import Source, TaskFunction, is_none, keywords, method, number

UNBOUNDED, AT_ONCE = "retries-unbounded", "retries-no-backoff"
_BOUND = "say a number, or leave max_retries out for the fleet's 5"
_BACK_OFF = (
    "leave it out for the fleet's back-off (2 s to 10 min, doubling, half of it random), or say "
    "retry_backoff=True"
)


def check(source: Source) -> Iterator[Finding]:
    """Of each task its options, and each ``self.retry(…)`` in it."""
    for task in source.tasks:
        yield from _options(source, task)
        for node in ast.walk(task.node):
            if isinstance(node, ast.Call) and method(node) == "retry":
                yield from _call(source, task, node)


def _options(source: Source, task: TaskFunction) -> Iterator[Finding]:
    name, options = task.node.name, task.options
    in_kwargs = options.get("retry_kwargs")
    named = _members(in_kwargs) if isinstance(in_kwargs, ast.Dict) else {}
    for given in (options.get("max_retries"), named.get("max_retries")):
        if is_none(given):
            yield source.found(given or task.node, UNBOUNDED, f"{name} is tried again without end", _BOUND)
    most = number(options.get("max_retries", named.get("max_retries")))
    # One try more is no crowd.
    backs_off = "retry_backoff" in options or (most is not None and most <= 1)
    for given in (options.get("default_retry_delay"), named.get("countdown")):
        delay = number(given)
        if delay is not None and not backs_off and given is not None:
            says = f"each try of {name} waits {delay:g} s: what fails together comes back together"
            yield source.found(given, AT_ONCE, says, _BACK_OFF)


def _call(source: Source, task: TaskFunction, call: ast.Call) -> Iterator[Finding]:
    # ``max_retries=None`` is the task's own here, which is bounded.
    delay = number(keywords(call).get("countdown"))
    if delay is not None:
        says = f"each try of {task.node.name} waits {delay:g} s: what fails together comes back together"
        yield source.found(call, AT_ONCE, says, _BACK_OFF)


def _members(node: ast.Dict) -> dict[str, ast.expr]:
    return {
        key.value: value
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
