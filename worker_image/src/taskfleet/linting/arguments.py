"""Arguments that are no small JSON: what a task gets is not what its caller had."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from taskfleet.linting.finding import Finding
from taskfleet.linting.reading import (
    PUBLISHES,
    SIGNATURES,
    Function,
    Source,
    called,
    dotted,
    functions,
    keywords,
    method,
)

RULE = "argument-not-json"
_ONE_ROW = ("get", "first", "last", "create", "get_or_create", "latest", "earliest")
_MODEL = "an object of the database", "pass its primary key, and read it in the task: it may have changed"
_KINDS = {
    "time": ("a date or time", "pass its text, value.isoformat(), and read it with fromisoformat()"),
    "decimal": ("a Decimal", "pass its text, str(value)"),
    "rows": ("a query", "pass the ids, or the condition, and ask in the task"),
    "set": ("a set", "pass a sorted list"),
    "bytes": ("bytes", "store them (taskfleet.tools.store, S3) and pass the key"),
    "function": ("a function", "pass what the task needs to find it: a name"),
    "request": ("a request or its user", "pass the values that the task needs: ids, texts"),
    "file": ("an open file", "store its content (taskfleet.tools.store, S3) and pass the key"),
    "model": _MODEL,
}
_TIMES = ("now", "utcnow", "today", "localtime", "localdate")


def check(source: Source) -> Iterator[Finding]:
    """Each argument of each publish and signature."""
    methods = _methods_of_models(source.tree)
    in_function = {id(node): function for function in functions(source.tree) for node in ast.walk(function)}
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call) or method(node) not in (*PUBLISHES, *SIGNATURES):
            continue
        function = in_function.get(id(node))
        known = {} if function is None else _assigned(function, before=node.lineno)
        if function is not None and id(function) in methods:
            known |= {"self": "model"}
        for argument in _arguments(node):
            kind = _kind(argument, known)
            if kind is not None:
                what, instead = _KINDS[kind]
                says = f"{ast.unparse(argument)[:60]} is {what}, passed to {dotted(node.func)}()"
                yield source.found(argument, RULE, says, instead)


def _arguments(call: ast.Call) -> Iterator[ast.expr]:
    given = keywords(call)
    if method(call) not in ("apply_async", "aapply_async", "apply_async_on_commit", "signature", "subtask"):
        yield from (each.value if isinstance(each, ast.Starred) else each for each in call.args)
        yield from given.values()
        return
    args = given.get("args") or (call.args[0] if call.args else None)
    kwargs = given.get("kwargs") or (call.args[1] if len(call.args) > 1 else None)
    if isinstance(args, ast.List | ast.Tuple):
        yield from args.elts
    if isinstance(kwargs, ast.Dict):
        yield from kwargs.values


def _kind(node: ast.expr, known: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Lambda):
        return "function"
    if isinstance(node, ast.Set | ast.SetComp):
        return "set"
    if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
        return "bytes"
    if dotted(node) in ("request", "self.request", "request.user", "self.request.user"):
        return "request"
    return _called_kind(node) if isinstance(node, ast.Call) else None


def _called_kind(call: ast.Call) -> str | None:
    what, path = called(call) or "", dotted(call.func)
    if path.rpartition(".")[0].endswith(("datetime", "timezone", "date")) and what in _TIMES:
        return "time"
    if path in ("datetime", "datetime.datetime", "timedelta", "datetime.timedelta", "date"):
        return "time"
    if what == "Decimal":
        return "decimal"
    if what in ("set", "frozenset") and isinstance(call.func, ast.Name):
        return "set"
    if what == "open" and isinstance(call.func, ast.Name):
        return "file"
    if ".objects." in f"{path}." and what in _ONE_ROW:
        return "model"
    if ".objects." in f"{path}." and what in ("all", "filter", "exclude"):
        return "rows"
    return "model" if what == "get_object_or_404" else None


def _assigned(function: Function, *, before: int) -> dict[str, str]:
    """What the function's variables are, where that can be seen; by their last assignment before a line."""
    found: dict[str, str] = {}
    for node in sorted(_assignments(function), key=lambda each: each.lineno):
        if node.lineno >= before:
            continue
        for target in node.targets:
            if isinstance(target, ast.Name):
                found.pop(target.id, None)
                kind = _kind(node.value, found)
                if kind is not None:
                    found[target.id] = kind
    return found


def _assignments(function: Function) -> Iterator[ast.Assign]:
    return (node for node in ast.walk(function) if isinstance(node, ast.Assign))


def _methods_of_models(tree: ast.AST) -> set[int]:
    """Of classes that are called after a model of Django's or SQLAlchemy's."""
    return {
        id(each)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(
            dotted(base).rpartition(".")[2] in ("Model", "Base", "DeclarativeBase") for base in node.bases
        )
        for each in node.body
        if isinstance(each, Function)
    }
