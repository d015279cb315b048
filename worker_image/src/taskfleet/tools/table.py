"""The tools table: plain values in and out, and writes that are done only if a condition holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from taskfleet.contract import names
from taskfleet.contract import tools as keys
from taskfleet.releases.items import Item, plain, wire

_NAME, _VALUE = re.compile(r"#(\w+)"), re.compile(r":\w+")


class Table:
    """Of one environment. Errors of AWS pass through as they are.

    In expressions ``#name`` is the attribute ``name`` (DynamoDB reserves many words), or what ``attributes``
    has for it; of ``values`` an expression uses those that it names.
    """

    def __init__(self, dynamodb: Any, environment: str) -> None:
        self._dynamodb, self._name = dynamodb, names.tools_table(environment)

    def get(self, key: str) -> Item:
        """The item as it is now; empty if there is none."""
        reply = self._dynamodb.get_item(TableName=self._name, Key=wire({keys.KEY: key}), ConsistentRead=True)
        return plain(reply.get("Item", {}))

    def put(self, item: Item, *, condition: str, values: Mapping[str, Any] | None = None) -> bool:
        """Whether the condition held, and the item is what is there now."""
        request = {"Item": wire(item)}
        return self._write(self._dynamodb.put_item, request, [condition], values or {}, {}) is not None

    def update(
        self,
        key: str,
        update: str,
        values: Mapping[str, Any],
        *,
        condition: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> bool:
        """Whether the condition held, and the item was changed."""
        return self._update({}, key, update, values, condition, attributes or {}) is not None

    def updated(
        self, key: str, update: str, values: Mapping[str, Any], *, condition: str | None = None
    ) -> Item | None:
        """The item as `update` left it; None if the condition did not hold."""
        reply = self._update({"ReturnValues": "ALL_NEW"}, key, update, values, condition, {})
        return None if reply is None else plain(reply["Attributes"])

    def _update(
        self,
        request: dict[str, Any],
        key: str,
        update: str,
        values: Mapping[str, Any],
        condition: str | None,
        attributes: Mapping[str, str],
    ) -> dict[str, Any] | None:
        request = {"Key": wire({keys.KEY: key}), "UpdateExpression": update, **request}
        expressions = [update, *([condition] if condition else [])]
        return self._write(self._dynamodb.update_item, request, expressions, values, attributes)

    def _write(
        self,
        call: Callable[..., Any],
        request: dict[str, Any],
        expressions: list[str],
        values: Mapping[str, Any],
        attributes: Mapping[str, str],
    ) -> dict[str, Any] | None:
        """DynamoDB's reply; None if the condition did not hold."""
        text = " ".join(expressions)
        used = {f"#{name}": attributes.get(name, name) for name in _NAME.findall(text)}
        given = {name: values[name] for name in _VALUE.findall(text)}
        if len(expressions) > ("UpdateExpression" in request):
            request["ConditionExpression"] = expressions[-1]
        if used:
            request["ExpressionAttributeNames"] = used
        if given:
            request["ExpressionAttributeValues"] = wire(given)
        try:
            reply: dict[str, Any] = call(TableName=self._name, **request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return None
        return reply
