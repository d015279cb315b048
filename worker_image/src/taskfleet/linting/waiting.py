"""A task that waits for another holds a slot that the other may need."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from taskfleet.linting.finding import Finding
from taskfleet.linting.reading import Function, Source, called, method, publishes

RULE = "waits-in-task"
_WAITS = ("get", "join", "join_native", "wait", "wait_for_pending", "collect")
_CANVAS = ("group", "chain", "chord")
_FIX = (
    "let what comes next be a task of its own (chain, chord, link=), or call the other task's function "
    "directly"
)


def check(source: Source) -> Iterator[Finding]:
    """Each wait in a task for what the same function published."""
    for task in source.tasks:
        results = set(_results(task.node))
        for node in ast.walk(task.node):
            if method(node) not in _WAITS or not isinstance(node, ast.Call):
                continue
            of = node.func.value if isinstance(node.func, ast.Attribute) else node
            if _sends(of) or (isinstance(of, ast.Name) and of.id in results):
                says = f"{task.node.name} waits for another task: with all slots waiting, none is left for it"
                yield source.found(node, RULE, says, _FIX)


def _results(function: Function) -> Iterator[str]:
    """Variables that have what a publish returned."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and _sends(node.value):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _sends(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    # group(…)() and chain(…)() publish, too.
    return publishes(node) or (isinstance(node.func, ast.Call) and called(node.func) in _CANVAS)
