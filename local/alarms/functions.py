"""Metric math, calculated: a tree and the metrics' data points to data points.

A value is a number, or a time series (data points by their period's start). Of the functions there are those
that deployed alarms have.
Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

from local.alarms.expressions import Call, ExpressionError, Name, Node, Number, Operation, parse

Series = dict[int, float]
Value = float | Series

_OPERATIONS: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": operator.pow,
    ">": lambda a, b: float(a > b),
    "<": lambda a, b: float(a < b),
    ">=": lambda a, b: float(a >= b),
    "<=": lambda a, b: float(a <= b),
    "==": lambda a, b: float(a == b),
    "!=": lambda a, b: float(a != b),
    "AND": lambda a, b: float(bool(a) and bool(b)),
    "OR": lambda a, b: float(bool(a) or bool(b)),
}


class Calculation:
    """One alarm's metrics and the expressions over them. ``times`` are the periods that could have data."""

    def __init__(
        self, *, metrics: Mapping[str, Series], expressions: Mapping[str, str], times: Sequence[int]
    ) -> None:
        self._metrics = metrics
        self._expressions = expressions
        self._times = times
        self._open: list[str] = []

    def series(self, name: str) -> Series:
        """The data points of a metric or an expression. Raises `ExpressionError` for what is neither."""
        return self._as_series(self._named(name))

    def _named(self, name: str) -> Value:
        if name in self._metrics:
            return self._metrics[name]
        if name not in self._expressions or name in self._open:
            known = sorted({*self._metrics, *self._expressions})
            raise ExpressionError(f"{name!r} is not an id that can be used here: {', '.join(known)}")
        self._open.append(name)
        try:
            return self._value(parse(self._expressions[name]))
        finally:
            self._open.pop()

    def _value(self, node: Node) -> Value:
        match node:
            case Number(value):
                return value
            case Name(name):
                return self._named(name)
            case Operation(symbol, left, right):
                return combine(_OPERATIONS[symbol], self._value(left), self._value(right))
            case Call():
                return self._call(node)

    def _call(self, call: Call) -> Value:
        arguments = [self._value(argument) for argument in call.arguments]
        if call.function == "FILL" and len(arguments) == 2:
            series, filling = map(self._as_series, arguments)
            return {**filling, **series}
        if call.function == "IF" and len(arguments) in (2, 3):
            return self._if(arguments)
        raise ExpressionError(
            f"{call.function} with {len(arguments)} arguments is not evaluated here; FILL and IF are"
        )

    def _if(self, arguments: Sequence[Value]) -> Value:
        condition, chosen = arguments[0], arguments[1]
        otherwise: Value = arguments[2] if len(arguments) == 3 else {}
        if isinstance(condition, float):
            return chosen if condition else otherwise
        branches = {True: self._as_series(chosen), False: self._as_series(otherwise)}
        picked = ((at, branches[bool(is_true)]) for at, is_true in self._as_series(condition).items())
        return {at: branch[at] for at, branch in picked if at in branch}

    def _as_series(self, value: Value) -> Series:
        return value if isinstance(value, dict) else dict.fromkeys(self._times, value)


def combine(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Apply point by point. A period that one side lacks, or a division by zero, gives no data point."""
    if isinstance(left, dict) or isinstance(right, dict):
        times = left.keys() if isinstance(left, dict) else right.keys() if isinstance(right, dict) else ()
        pairs = ((at, _at(left, at), _at(right, at)) for at in times)
        points = ((at, _apply(function, a, b)) for at, a, b in pairs if a is not None and b is not None)
        return {at: value for at, value in points if value is not None}
    result = _apply(function, left, right)
    return {} if result is None else result


def _apply(function: Callable[[float, float], float], left: float, right: float) -> float | None:
    try:
        return float(function(left, right))
    except ZeroDivisionError:
        return None


def _at(value: float | Series, time: int) -> float | None:
    return value.get(time) if isinstance(value, dict) else value
