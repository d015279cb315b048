"""Metric math, read: text to a tree, by a small parser of our own (nothing is ever executed as code).

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass


class ExpressionError(ValueError):
    """Text that is not metric math, or a part of it that is not evaluated here."""


@dataclass(frozen=True)
class Number:
    value: float


@dataclass(frozen=True)
class Name:
    """The id of a metric or an expression."""

    name: str


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Operation:
    """``left`` is a zero for a sign in front of a value."""

    operator: str
    left: Node
    right: Node


Node = Number | Name | Call | Operation

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*|\.\d+)|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<symbol>&&|\|\||>=|<=|==|!=|[-+*/^()<>,]))"
)
# Loosest first; each level's operators group from the left.
_LEVELS = (
    {"||": "OR", "OR": "OR"},
    {"&&": "AND", "AND": "AND"},
    {">": ">", "<": "<", ">=": ">=", "<=": "<=", "==": "==", "!=": "!="},
    {"+": "+", "-": "-"},
    {"*": "*", "/": "/"},
)


def parse(text: str) -> Node:
    """The tree of an expression. Raises `ExpressionError` that shows where it could not be read."""
    parser = _Parser(text)
    tree = parser.level(0)
    if parser.kind != "end":
        raise parser.error("an operator or the end")
    return tree


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._next()

    def _next(self) -> None:
        self._start = self._end
        match = _TOKEN.match(self._text, self._end)
        if match:
            self.kind, self._token, self._end = str(match.lastgroup), match[0].strip(), match.end()
        elif self._text[self._end :].strip():
            raise self.error("a number, a name or an operator")
        else:
            self.kind, self._token = "end", ""

    def error(self, wanted: str) -> ExpressionError:
        at = self._text[self._start :].strip() or "its end"
        return ExpressionError(f"metric math {self._text!r}: expected {wanted} at {at!r}")

    def level(self, depth: int) -> Node:
        if depth == len(_LEVELS):
            return self._signed()
        left = self.level(depth + 1)
        while self.kind in ("symbol", "word") and (operator := _LEVELS[depth].get(self._token.upper())):
            self._next()
            left = Operation(operator, left, self.level(depth + 1))
        return left

    def _signed(self) -> Node:
        if self._take("-"):
            return Operation("-", Number(0), self._signed())
        if self._take("+"):
            return self._signed()
        base = self._value()
        # The exponent may have a sign, and powers group from the right.
        return Operation("^", base, self._signed()) if self._take("^") else base

    def _value(self) -> Node:
        kind, word = self.kind, self._token
        if self._take("("):
            items = self._list()
            if len(items) != 1:
                raise self.error("one value between brackets")
            return items[0]
        if kind not in ("number", "word"):
            raise self.error("a value")
        self._next()
        if kind == "number":
            return Number(float(word))
        return Call(word.upper(), self._list()) if self._take("(") else Name(word)

    def _list(self) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._take(")"):
            if items and not self._take(","):
                raise self.error("',' or ')'")
            items.append(self.level(0))
        return tuple(items)

    def _take(self, symbol: str) -> bool:
        if self.kind != "symbol" or self._token != symbol:
            return False
        self._next()
        return True
