"""Two tasks of one name: Celery keeps the first, and only warns, since 5.7."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from taskfleet.linting.finding import Finding
from taskfleet.linting.reading import Source

RULE = "same-name"
_FIX = "give one of them another name"


def check(sources: Iterable[Source]) -> Iterator[Finding]:
    """Names that are written out, over all files; and functions of one name in a file."""
    first: dict[str, str] = {}
    for source in sources:
        at_top = {id(node) for node in source.tree.body if isinstance(node, ast.FunctionDef)}
        for task in source.tasks:
            if task.name is None and id(task.node) not in at_top:
                continue
            name = task.name or f"{source.file}:{task.node.name}"
            place = f"{source.file}:{task.node.lineno}"
            if name in first:
                says = (
                    f"{task.name or task.node.name} is a task already, at {first[name]}: this one never runs"
                )
                yield source.found(task.node, RULE, says, _FIX)
            else:
                first[name] = place
