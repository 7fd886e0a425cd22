"""The OpenAPI document of operations (OpenAPI Specification 3.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from infra.web.operation import Declared, Operation, Signed
from infra.web.problem import MEDIA_TYPE, ProblemDocument

VERSION: Final = "1"
_REFERENCE: Final = "#/components/schemas/{name}"
_EVERYWHERE: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_WITH_BODY: Final = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
_PARAMETER: Final = re.compile(r"{(\w+)}")
_ID: Final = {"type": "string", "minLength": 1, "maxLength": 255}


def document(operations: Sequence[Declared]) -> dict[str, Any]:
    """The document."""
    types = [ProblemDocument, *_types(operations)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    schema_of = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ledgerq",
            "version": VERSION,
            "description": "Tell what happened, ask for tasks, and read what became of them.",
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": components,
        },
    }


def _types(operations: Iterable[Declared]) -> list[Any]:
    found: dict[str, Any] = {}
    for each in operations:
        for kind in (each.answer, each.body, *each.media.values()):
            if kind is not None:
                found[repr(kind)] = kind
    return list(found.values())


def _operation(operation: Declared, schema_of: dict[str, Any]) -> dict[str, Any]:
    problems = {*_EVERYWHERE, *operation.problems}
    has_body = operation.body is not None or bool(operation.media)
    if has_body:
        problems |= {*_WITH_BODY}
    if isinstance(operation, Operation):
        problems |= {HTTPStatus.FORBIDDEN, *([HTTPStatus.UNSUPPORTED_MEDIA_TYPE] if has_body else [])}
    if _PARAMETER.search(operation.path):
        problems.add(HTTPStatus.NOT_FOUND)
    refused = {"content": {MEDIA_TYPE: {"schema": schema_of[repr(ProblemDocument)]}}}
    told = {
        "operationId": operation.name,
        "summary": operation.summary,
        **_for_whom(operation),
        "parameters": [*_path_parameters(operation), *_query_parameters(operation), *_header_parameters(operation)],
        "responses": {
            str(operation.status.value): {
                "description": operation.status.phrase,
                "content": {"application/json": {"schema": schema_of[repr(operation.answer)]}},
            },
            **{str(each.value): {"description": each.phrase, **refused} for each in sorted(problems)},
        },
    }
    if operation.body is not None:
        content: dict[str, Any] = {"application/json": {"schema": schema_of[repr(operation.body)]}}
        told["requestBody"] = {"required": True, "content": content}
    elif operation.media:
        content = {media: {"schema": schema_of[repr(kind)]} for media, kind in operation.media.items()}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _for_whom(operation: Declared) -> dict[str, Any]:
    if isinstance(operation, Operation):
        return {"description": f"For tokens of role {operation.role.value}, and admin."}
    return {"description": operation.for_whom, "security": []}


def _path_parameters(operation: Declared) -> list[dict[str, Any]]:
    names = _PARAMETER.findall(operation.path)
    return [{"name": name, "in": "path", "required": True, "schema": _ID} for name in names]


def _query_parameters(operation: Declared) -> list[dict[str, Any]]:
    schema = msgspec.json.schema(operation.query)
    known: dict[str, Any] = schema["$defs"]
    shape = known[schema["$ref"].rpartition("/")[2]]
    return [
        {"name": name, "in": "query", "required": name in shape.get("required", ()), "schema": _plain(about, known)}
        for name, about in shape["properties"].items()
    ]


def _plain(schema: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or not; it is never null. What it refers to is put in its place."""
    if "$ref" in schema:
        return dict(known[schema["$ref"].rpartition("/")[2]])
    kinds = [_plain(each, known) for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
    return {**rest, **kinds[0]} if len(kinds) == 1 else rest | ({"anyOf": kinds} if kinds else {})


def _header_parameters(operation: Declared) -> list[dict[str, Any]]:
    wanted = operation.signature_headers if isinstance(operation, Signed) else {}
    return [
        {"name": name, "in": "header", "required": name in wanted, "description": said, "schema": {"type": "string"}}
        for name, said in {**wanted, **operation.request_headers}.items()
    ]
