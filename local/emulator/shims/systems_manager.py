"""Systems Manager: documents, so that a stack may hold an Automation runbook."""

from __future__ import annotations

import json

from ministack.core.responses import AccountRegionScopedDict, error_response_json, json_response
from ministack.services import ssm

from local.emulator.shims import table
from local.emulator.shims.table import Made, Properties

_TYPE = "AWS::SSM::Document"
_documents = AccountRegionScopedDict()


def _put(name: str, properties: Properties) -> Made:
    content = properties["Content"]
    _documents[name] = {
        "Name": name,
        "DocumentType": properties.get("DocumentType", "Command"),
        "DocumentFormat": properties.get("DocumentFormat", "JSON"),
        "Content": content if isinstance(content, str) else json.dumps(content),
        "Status": "Active",
        "DocumentVersion": "1",
    }
    return name, {"Name": name}


def _create(logical_id: str, properties: Properties, stack_name: str) -> Made:
    return _put(properties.get("Name") or table.physical_name(stack_name, logical_id), properties)


def _update(name: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Made:
    return _put(name, new)


def _delete(name: str, properties: Properties) -> None:
    _documents.pop(name, None)


def _get_document(data: Properties) -> object:
    document = _documents.get(data.get("Name", ""))
    if document is None:
        return error_response_json("InvalidDocument", f"Document {data.get('Name')} does not exist.", 400)
    return json_response(document)


def register() -> None:
    """Add AWS::SSM::Document, and ``GetDocument`` to read it back. The documents live with the parameters."""
    table.add(_TYPE, create=_create, update=_update, delete=_delete, replaced_by=("Name", "DocumentType"))
    handle, state, restore = ssm.handle_request, ssm.get_state, ssm.load_persisted_state

    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query: Properties
    ) -> object:
        if headers.get("x-amz-target", "") == "AmazonSSM.GetDocument":
            return _get_document(json.loads(body))
        return await handle(method, path, headers, body, query)

    def get_state() -> Properties:
        return {**state(), "documents": _documents}

    def load_persisted_state(data: Properties) -> None:
        _documents.update(data.pop("documents", {}))
        restore(data)

    ssm.handle_request, ssm.get_state, ssm.load_persisted_state = (
        handle_request,
        get_state,
        load_persisted_state,
    )
