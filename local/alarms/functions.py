"""Metric math, calculated: a tree and the metrics' data points to data points.

A value is a number, a time series (data points by their period's start), or a list of time series.
Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence

from local.alarms.expressions import Array, Call, ExpressionError, Name, Node, Number, Operation, Text, parse

Series = dict[int, float]
Value = float | Series | list[Series]

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
_REDUCTIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "MAX": max,
    "MIN": min,
    "SUM": sum,
    "AVG": lambda values: sum(values) / len(values),
}
_ROUNDINGS: Mapping[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}


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
        """The data points of a metric or an expression. Raises `ExpressionError` if it is not one series."""
        value = self._named(name)
        if isinstance(value, list):
            raise ExpressionError(f"{name} is {len(value)} time series; an alarm watches one")
        return value if isinstance(value, dict) else dict.fromkeys(self._times, value)

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
            case Array(items):
                return [self._as_series(self._value(item)) for item in items]
            case Operation(symbol, left, right):
                return combine(_OPERATIONS[symbol], self._value(left), self._value(right))
            case Call():
                return self._call(node)
            case Text(value):
                raise ExpressionError(f"{value!r} is text, which only METRICS takes")

    def _call(self, call: Call) -> Value:
        if call.function == "METRICS":
            return self._all_metrics(call.arguments)
        if call.function == "FILL":
            return self._fill(call.arguments)
        arguments = [self._value(argument) for argument in call.arguments]
        if call.function == "IF" and len(arguments) in (2, 3):
            return self._if(arguments)
        if call.function in _REDUCTIONS and len(arguments) == 1:
            return _reduce(_REDUCTIONS[call.function], arguments[0])
        if call.function in _ROUNDINGS and len(arguments) == 1:
            rounding = _ROUNDINGS[call.function]
            return combine(lambda value, _: float(rounding(value)), arguments[0], 0.0)
        known = sorted({"FILL", "IF", "METRICS", *_REDUCTIONS, *_ROUNDINGS})
        raise ExpressionError(
            f"{call.function} with {len(arguments)} arguments is not evaluated here; {', '.join(known)} are"
        )

    def _all_metrics(self, arguments: Sequence[Node]) -> Value:
        part = arguments[0].value if arguments and isinstance(arguments[0], Text) else ""
        return [series for name, series in self._metrics.items() if part in name]

    def _fill(self, arguments: Sequence[Node]) -> Value:
        if len(arguments) != 2:
            raise ExpressionError("FILL takes a time series, and a number, a time series, REPEAT or LINEAR")
        value, how = self._value(arguments[0]), arguments[1]
        if isinstance(value, list):
            return [self._filled(series, how) for series in value]
        return self._filled(self._as_series(value), how)

    def _filled(self, series: Series, how: Node) -> Series:
        if how == Name("REPEAT"):
            return _repeated(series, self._times)
        if how == Name("LINEAR"):
            return _interpolated(series, self._times)
        return {**self._as_series(self._value(how)), **series}

    def _if(self, arguments: Sequence[Value]) -> Value:
        condition, chosen = arguments[0], arguments[1]
        otherwise: Value = arguments[2] if len(arguments) == 3 else {}
        if isinstance(condition, float):
            return chosen if condition else otherwise
        branches = {True: self._as_series(chosen), False: self._as_series(otherwise)}
        picked = ((at, branches[bool(is_true)]) for at, is_true in self._as_series(condition).items())
        return {at: branch[at] for at, branch in picked if at in branch}

    def _as_series(self, value: Value) -> Series:
        if isinstance(value, list):
            raise ExpressionError("a list of time series stands where one is needed")
        return value if isinstance(value, dict) else dict.fromkeys(self._times, value)


def combine(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Apply point by point. A period that one side lacks, or a division by zero, gives no data point."""
    if isinstance(left, list):
        return [_one(combine(function, series, right)) for series in left]
    if isinstance(right, list):
        return [_one(combine(function, left, series)) for series in right]
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


def _one(value: Value) -> Series:
    if not isinstance(value, dict):
        raise ExpressionError("a list of time series can't be combined with another list")
    return value


def _reduce(function: Callable[[Sequence[float]], float], value: Value) -> Value:
    """Over time for one series, giving a number; over the series for a list, period by period."""
    if isinstance(value, list):
        times = sorted({at for series in value for at in series})
        return {at: float(function([series[at] for series in value if at in series])) for at in times}
    if isinstance(value, dict):
        return float(function(list(value.values()))) if value else {}
    return value


def _repeated(series: Series, times: Sequence[int]) -> Series:
    filled: Series = {}
    for at in times:
        before = [time for time in series if time <= at]
        if before:
            filled[at] = series[max(before)]
    return filled


def _interpolated(series: Series, times: Sequence[int]) -> Series:
    filled = dict(series)
    for at in times:
        before, after = [t for t in series if t < at], [t for t in series if t > at]
        if at in series or not before or not after:
            continue
        left, right = max(before), min(after)
        share = (at - left) / (right - left)
        filled[at] = series[left] + share * (series[right] - series[left])
    return filled
