"""A Python file as the rules see it: its tree, its tasks, and what publishes."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from taskfleet.linting.finding import Finding

_IGNORED = re.compile(r"#\s*fleet:\s*ignore(?:\[([\w\-, ]+)\])?")
SENDS = ("delay", "apply_async", "adelay", "aapply_async")
PUBLISHES = (*SENDS, "delay_on_commit", "apply_async_on_commit")
SIGNATURES = ("s", "si", "signature", "subtask")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class TaskFunction:
    """A function that a decorator makes a task, or the ``run`` of a task's class, and its options."""

    node: Function
    options: dict[str, ast.expr] = field(default_factory=dict)

    @property
    def name(self) -> str | None:
        """What its decorator calls it, if it says so in plain text."""
        given = self.options.get("name")
        return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else None


class Source:
    """Raises ``SyntaxError`` for what is no Python of this version."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self._lines = file, text.splitlines()
        self.tree = ast.parse(text, filename=file)
        self.celery_names = _imported(self.tree)
        self.tasks = tuple(_tasks(self.tree, self.celery_names))

    def found(self, node: ast.AST, rule: str, says: str, fix: str) -> Finding:
        """A finding at this place."""
        return Finding(self.file, getattr(node, "lineno", 1), rule, says, fix)

    def ignores(self, finding: Finding) -> bool:
        """Whether the finding's line says so."""
        line = self._lines[finding.line - 1] if 0 < finding.line <= len(self._lines) else ""
        said = _IGNORED.search(line)
        if said is None:
            return False
        return said[1] is None or finding.rule in {name.strip() for name in said[1].split(",")}


def read(path: Path, shown: str) -> Source | Finding:
    """A finding for a file that can't be parsed: of another version, or a template."""
    try:
        return Source(shown, path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        line = error.lineno if isinstance(error, SyntaxError) and error.lineno else 1
        version = ".".join(map(str, sys.version_info[:2]))
        says = f"it is no Python {version}, so nothing of it is checked: {error}"
        return Finding(shown, line, "not-read", says, "run fleet lint with the Python that runs this file")


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of names and attributes; what can't be written so is ``?``."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Call):
        return f"{dotted(node.func)}()"
    return "?"


def method(node: ast.AST) -> str | None:
    """Of a call ``x.name(…)``, the name."""
    return node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None


def called(node: ast.AST) -> str | None:
    """Of a call, the last part of what is called."""
    if not isinstance(node, ast.Call):
        return None
    return dotted(node.func).rpartition(".")[2]


def publishes(node: ast.AST) -> bool:
    """Whether this call sends a task now."""
    return method(node) in SENDS


def number(node: ast.AST | None) -> float | None:
    """A number that is written out, products of such included."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value is not True:
        return float(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        one, other = number(node.left), number(node.right)
        return None if one is None or other is None else one * other
    return None


def is_none(node: ast.AST | None) -> bool:
    """Whether it is ``None``, written out."""
    return isinstance(node, ast.Constant) and node.value is None


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    """The arguments that are given by name."""
    return {each.arg: each.value for each in call.keywords if each.arg is not None}


def functions(tree: ast.AST) -> Iterator[Function]:
    """All of them, inner ones too."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def _imported(tree: ast.AST) -> dict[str, str]:
    """What this file calls → what Celery calls it."""
    return {
        each.asname or each.name: each.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "celery"
        for each in node.names
    }


def _tasks(tree: ast.AST, celery_names: dict[str, str]) -> Iterator[TaskFunction]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            for decorator in node.decorator_list:
                if _makes_a_task(decorator, celery_names):
                    options = keywords(decorator) if isinstance(decorator, ast.Call) else {}
                    yield TaskFunction(node, options)
                    break
        elif isinstance(node, ast.ClassDef) and any(
            _is_task_class(base, celery_names) for base in node.bases
        ):
            options = {
                target.id: each.value
                for each in node.body
                if isinstance(each, ast.Assign)
                for target in each.targets
                if isinstance(target, ast.Name)
            }
            runs = [each for each in node.body if isinstance(each, Function) and each.name == "run"]
            yield from (TaskFunction(run, options) for run in runs)


def _makes_a_task(decorator: ast.expr, celery_names: dict[str, str]) -> bool:
    func = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(func, ast.Name):
        return celery_names.get(func.id) in ("shared_task", "task")
    return isinstance(func, ast.Attribute) and func.attr in ("task", "shared_task") and _plain(func.value)


def _plain(owner: ast.expr) -> bool:
    return isinstance(owner, ast.Name | ast.Attribute) and dotted(owner).split(".")[-1] not in (
        "nox",
        "invoke",
    )


def _is_task_class(base: ast.expr, celery_names: dict[str, str]) -> bool:
    if isinstance(base, ast.Name):
        return celery_names.get(base.id) == "Task"
    return dotted(base) in ("celery.Task", "app.Task", "celery_app.Task")
