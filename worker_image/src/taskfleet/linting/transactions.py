"""A task that is sent inside of a transaction may run before it is committed, or although it never is."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from taskfleet.linting.finding import Finding
from taskfleet.linting.reading import Function, Source, called, dotted, publishes

RULE = "delay-in-transaction"
_FIX = "task.delay_on_commit(…), or transaction.on_commit(partial(task.delay, …))"
_SAYS = "the task is sent before the transaction is committed: it may not find the rows, or run for none"


def check(source: Source) -> Iterator[Finding]:
    """Each publish in ``with transaction.atomic():`` or below ``@transaction.atomic``."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.With | ast.AsyncWith):
            opening = [each.context_expr for each in node.items]
        elif isinstance(node, Function):
            opening = node.decorator_list
        else:
            continue
        if any(map(_opens, opening)):
            yield from _in(source, node.body)


def _opens(node: ast.expr) -> bool:
    path = dotted(node.func if isinstance(node, ast.Call) else node)
    return path.endswith(("transaction.atomic", "commit_on_success")) or path == "atomic"


def _in(source: Source, body: list[ast.stmt]) -> Iterator[Finding]:
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        # What is defined here is called elsewhere, and `on_commit` calls what it gets after the commit.
        if isinstance(node, Function | ast.Lambda | ast.ClassDef) or called(node) == "on_commit":
            continue
        if publishes(node):
            yield source.found(node, RULE, _SAYS, _FIX)
        waiting += ast.iter_child_nodes(node)
