"""The OpenAPI 3.1 document, written from the table of routes and the structs they name."""

from __future__ import annotations

import re
from typing import Any

import msgspec

import imserver
from imserver.http.answers import Failure
from imserver.http.table import Access, Nothing, Route

_ALWAYS = (400, 429, 500, 503)
_REASONS = {
    400: "The request cannot be understood.",
    401: "No token, or one that is not valid.",
    403: "Not allowed.",
    404: "There is no such thing.",
    409: "It contradicts what is there.",
    413: "Too large.",
    415: "The body is not JSON.",
    429: "Too many requests.",
    500: "A fault of the server.",
    503: "Not possible now.",
}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_REF = "#/components/schemas/{name}"


def document(routes: tuple[Route, ...]) -> bytes:
    """The document as JSON."""
    types = {
        kind for route in routes for kind in (route.data, route.body, route.query) if kind is not None
    } | {Failure}
    ordered = sorted(types, key=lambda kind: str(kind.__name__))
    references, schemas = msgspec.json.schema_components(ordered, ref_template=_REF)
    known = dict(zip(ordered, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known, schemas)
    for route in routes:
        if route.query is not None:
            schemas.pop(route.query.__name__, None)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "imserver",
                "version": imserver.__version__,
                "description": "Every answer is {success, code, message, data}; code is the HTTP status.",
            },
            "paths": paths,
            "components": {
                "schemas": schemas,
                "responses": {str(status): _error(status) for status in _REASONS},
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer", "description": "An access token."}
                },
            },
        }
    )


def _operation(route: Route, known: dict[Any, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PLACEHOLDER.findall(route.path)
    ]
    if route.query is not None:
        parameters += [
            {"name": name, "in": "query", "schema": schema}
            for name, schema in schemas[route.query.__name__]["properties"].items()
        ]
    statuses = set(_ALWAYS) | set(route.errors)
    if route.access is not Access.ANYBODY:
        statuses |= {401, 403}
    if route.body is not None:
        statuses |= {413, 415}
    answers: dict[str, Any] = {"200": _success(200, route, known)}
    if route.accepted:
        answers["202"] = _success(202, route, known)
    for status in sorted(statuses):
        answers[str(status)] = {"$ref": f"#/components/responses/{status}"}
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.path.split("/")[2]],
        "responses": answers,
    }
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": not route.body_optional,
            "content": {"application/json": {"schema": known[route.body]}},
        }
    if route.access is not Access.ANYBODY:
        operation["security"] = [{"token": []}]
    if route.access is Access.ADMIN:
        operation["description"] = "For the role admin."
    return operation


def _success(status: int, route: Route, known: dict[Any, Any]) -> dict[str, Any]:
    return {
        "description": "Done." if status == 200 else "Durable, and still being delivered.",
        "content": {"application/json": {"schema": _envelope(True, status, known[route.data])}},
    }


def _error(status: int) -> dict[str, Any]:
    data = {"anyOf": [{"$ref": _REF.format(name="Failure")}, {"$ref": _REF.format(name=Nothing.__name__)}]}
    answer: dict[str, Any] = {
        "description": _REASONS[status],
        "content": {"application/json": {"schema": _envelope(False, status, data)}},
    }
    if status == 401:
        answer["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}}
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer"}}}
    return answer


def _envelope(success: bool, status: int, data: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["success", "code", "message", "data"],
        "properties": {
            "success": {"const": success},
            "code": {"const": status},
            "message": {"type": "string"},
            "data": data,
        },
    }
