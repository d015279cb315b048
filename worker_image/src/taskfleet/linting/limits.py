"""Limits that a task takes away, or that never come."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from taskfleet.linting.finding import Finding
from taskfleet.linting.reading import Source, TaskFunction, dotted, is_none, keywords, number, publishes

EXPIRES, TIME, COUNTDOWN = "no-expiry", "no-time-limit", "countdown-too-long"


def check(source: Source, *, longest_countdown: float) -> Iterator[Finding]:
    """Of each task its options, and of each publish when it is for."""
    for task in source.tasks:
        yield from _options(source, task)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and publishes(node):
            ahead = _ahead(keywords(node))
            if ahead is not None and ahead > longest_countdown:
                says = f"it is to run in {ahead:g} s, and {longest_countdown:g} s are the most"
                fix = "keep the date in your database, and publish when it comes (a periodic task)"
                yield source.found(node, COUNTDOWN, says, fix)


def _options(source: Source, task: TaskFunction) -> Iterator[Finding]:
    name, options = task.node.name, task.options
    if is_none(options.get("expires")):
        says = f"{name} never expires: after an outage of days it runs what nobody wants any more"
        fix = "say after how many seconds it is of no use, or leave expires out for the fleet's week"
        yield source.found(options["expires"], EXPIRES, says, fix)
    soft, hard = number(options.get("soft_time_limit")), number(options.get("time_limit"))
    if hard == 0:
        says = f"{name} has no time limit: one that hangs holds its slot for ever"
        yield source.found(options["time_limit"], TIME, says, "leave it out for the pool's limits")
    elif soft is not None and hard is not None and soft >= hard:
        says = f"the soft limit of {name}, {soft:g} s, never comes: the hard one is {hard:g} s"
        fix = "let the soft one end some seconds before the hard one"
        yield source.found(options["soft_time_limit"], TIME, says, fix)


def _ahead(given: dict[str, ast.expr]) -> float | None:
    if "countdown" in given:
        return number(given["countdown"])
    eta = given.get("eta")
    if isinstance(eta, ast.BinOp) and isinstance(eta.op, ast.Add) and isinstance(eta.right, ast.Call):
        return _seconds(eta.right)
    return None


_UNITS = {"weeks": 604800.0, "days": 86400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0}


def _seconds(call: ast.Call) -> float | None:
    """Of ``timedelta(days=2)``; None if not all of it is written out."""
    if not dotted(call.func).endswith("timedelta"):
        return None
    parts = [(_UNITS.get(name), number(value)) for name, value in keywords(call).items()]
    parts += [(_UNITS["days"], number(value)) for value in call.args[:1]]
    total = 0.0
    for unit, value in parts:
        if unit is None or value is None:
            return None
        total += unit * value
    return total
