"""ElastiCache: a replication group's endpoint is the TLS front of a valkey-server on this machine.

Its AUTH token rotates as AWS says (ElastiCache guide, "Modifying the AUTH token"): ROTATE adds one to the
last one, SET leaves it alone. The group is `modifying` until the nodes take what it says:
`local.broker.tokens` asks for that, and reports.
"""

from __future__ import annotations

import string
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ministack.services import elasticache
from taskfleet.contract import names

from local.account import ENVIRONMENT
from local.emulator.shims import table
from local.emulator.shims.table import Made, Properties

_TYPE = "AWS::ElastiCache::ReplicationGroup"
_STATUS = {"ROTATE": "ROTATING", "SET": "SETTING"}
_ALLOWED = set(string.printable) - set(string.whitespace) - set('/"@%')


def register(*, port: int, results_port: int) -> None:
    """Every node answers at ``localhost:port``, those of the results' cache at ``results_port``.

    Nothing is started by the emulator itself.
    """

    def endpoint(*, labels: Mapping[str, str], **asked: object) -> tuple[str, int, None]:
        of_results = labels.get("rg_id") == names.results_cache(ENVIRONMENT)
        return "localhost", results_port if of_results else port, None

    elasticache._spawn_redis_container = endpoint
    modify, xml = elasticache._modify_replication_group, elasticache._rg_xml

    def modified(asked: Any) -> Any:
        group = elasticache._replication_groups.get(elasticache._p(asked, "ReplicationGroupId"))
        token = elasticache._p(asked, "AuthToken")
        if group is None or not token:
            return modify(asked)
        strategy = elasticache._p(asked, "AuthTokenUpdateStrategy")
        if refused := _refused(group, token, strategy):
            return refused
        answer = modify(asked)
        group.update(Status="modifying", _token_status=_STATUS[strategy], _token_changed_at=time.time())
        return answer

    def whole(group: Any) -> str:
        status, changed = group.get("_token_status"), group.get("_token_changed_at")
        more = f"<AuthTokenStatus>{status}</AuthTokenStatus>" if status else ""
        date = datetime.fromtimestamp(changed, UTC).isoformat() if changed else None
        return (
            f"{xml(group)}<PendingModifiedValues>{more}</PendingModifiedValues>"
            f"{f'<AuthTokenLastModifiedDate>{date}</AuthTokenLastModifiedDate>' if date else ''}"
        )

    elasticache._modify_replication_group, elasticache._rg_xml = modified, whole
    create = elasticache._create_replication_group

    def created(asked: Any) -> Any:
        snapshot = elasticache._p(asked, "SnapshotName")
        if snapshot and snapshot not in elasticache._snapshots:
            return elasticache._error("SnapshotNotFoundFault", f"Snapshot {snapshot} not found", 404)
        return create(asked)

    elasticache._create_replication_group = created
    _keep_rotated_tokens()


def _refused(group: Any, token: str, strategy: str) -> Any:
    """AWS's answer where it does not change the token, or None."""
    if group["Status"] != "available":
        message = f"Replication group must be in available state, it is {group['Status']}."
        return elasticache._error("InvalidReplicationGroupState", message, 400)
    if strategy not in _STATUS:
        message = "AuthTokenUpdateStrategy must be ROTATE or SET where an AuthToken is given."
        return elasticache._error("InvalidParameterCombination", message, 400)
    if not 16 <= len(token) <= 128 or not set(token) <= _ALLOWED:
        message = 'An AUTH token is 16 to 128 printable characters, none of them /, ", @ or %.'
        return elasticache._error("InvalidParameterValue", message, 400)
    if strategy == "SET" and token not in group["_auth_tokens"]:
        message = "SET is allowed only after ROTATE, with the same token."
        return elasticache._error("InvalidParameterCombination", message, 400)
    return None


def _keep_rotated_tokens() -> None:
    """CloudFormation sees the dynamic reference, which stays the same: an update changes no token."""
    create, update = table.handler(_TYPE, "create"), table.handler(_TYPE, "update")

    def updated(id: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Made:
        known = {**old, "AuthToken": new["AuthToken"]} if "AuthToken" in old and "AuthToken" in new else old
        made: Made = update(id, known, new, stack_name, logical_id)
        return made

    table.add(_TYPE, create=create, update=updated, delete=table.handler(_TYPE, "delete"))


def tokens(name: str) -> dict[str, Any]:
    """``{"tokens": [...], "applied": bool}`` of a replication group: what its nodes are to take."""
    group = elasticache._replication_groups.get(name) or {}
    return {"tokens": group.get("_auth_tokens", []), "applied": group.get("_token_status") is None}


def took(name: str, taken: list[str]) -> None:
    """Its nodes take exactly these."""
    group = elasticache._replication_groups[name]
    if taken == group["_auth_tokens"]:
        group["Status"] = "available"
        group.pop("_token_status", None)
