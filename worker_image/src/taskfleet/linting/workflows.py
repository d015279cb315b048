"""Chains and groups with more members than are good for their messages."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from taskfleet.linting.finding import Finding
from taskfleet.linting.reading import SIGNATURES, Source, dotted, method

RULE = "too-many-members"
_FIX = (
    "each message of a chain carries all that follows, and a group is published at once: use @chunked for "
    "many of one kind, or a Pipeline for stages (docs/toolkit.md)"
)


def check(source: Source, *, most: int) -> Iterator[Finding]:
    """Each chain and group that has too many members written out, or a chain of an unknown number."""
    inner: set[int] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            kind = _kind(source, node)
            if kind in ("chain", "group", "chord"):
                yield from _call(source, node, kind, most)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and id(node) not in inner:
            members, below = _piped(node)
            inner |= below
            if members > most:
                yield source.found(node, RULE, f"a chain of {members} members; {most} are the most", _FIX)


def _kind(source: Source, call: ast.Call) -> str:
    """What Celery calls it: not that of `itertools`."""
    if isinstance(call.func, ast.Name):
        return source.celery_names.get(call.func.id, "")
    path = dotted(call.func)
    return path.rpartition(".")[2] if path.startswith("celery.") else ""


def _call(source: Source, call: ast.Call, kind: str, most: int) -> Iterator[Finding]:
    first = call.args[0] if call.args else None
    if len(call.args) == 1 and isinstance(first, ast.List | ast.Tuple):
        members = len(first.elts)
    elif kind == "chain" and first is not None and _is_unknown(first):
        says = f"a chain with as many members as there are in a loop; {most} are the most"
        yield source.found(call, RULE, says, _FIX)
        return
    else:
        members = len(call.args) if kind == "chain" else 0
    if members > most:
        yield source.found(call, RULE, f"a {kind} of {members} members; {most} are the most", _FIX)


def _is_unknown(node: ast.expr) -> bool:
    inside = node.value if isinstance(node, ast.Starred) else node
    return isinstance(inside, ast.ListComp | ast.GeneratorExp)


def _piped(node: ast.AST) -> tuple[int, set[int]]:
    """The members of ``a.s() | b.s() | …``; 0 if it is an ``|`` of something else."""
    below: set[int] = set()
    members, all_signatures, at = 0, True, node
    while isinstance(at, ast.BinOp) and isinstance(at.op, ast.BitOr):
        below.add(id(at))
        all_signatures &= method(at.right) in SIGNATURES
        members, at = members + 1, at.left
    return (members + 1 if all_signatures else 0), below
