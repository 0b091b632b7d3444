"""The OpenAPI document: `python -m nas_service.api.openapi > docs/openapi.json`."""

import json
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from nas_service.problems import MEDIA_TYPE, Problem
from nas_service.studies import StudyChange, StudySpec

DESCRIPTION = """\
Studies search an architecture space for networks that are accurate within limits; trials are candidates.

Listings come in pages: send `next_page_token` as `page_token` until it is null. `fields` asks for a part of \
an answer. A POST with an `Idempotency-Key` acts once, however often it is sent. An `ETag` sent as \
`If-None-Match` is answered 304 while nothing changed. Errors are `application/problem+json`, with a `type` \
for each cause and a pointer to each wrong field.
"""
TAGS = [
    {"name": "studies", "description": "Searches: launch, follow, steer, and take the front."},
    {"name": "trials", "description": "Candidates: figures, learning curves, files."},
    {"name": "jobs", "description": "Work that workers do beside trials, such as exports."},
    {"name": "final training", "description": "Front members trained for good, and tested."},
    {"name": "events", "description": "What happened, as a durable list and as a stream."},
    {"name": "families", "description": "Search spaces that ship."},
    {"name": "architectures", "description": "What a network costs and looks like, without training it."},
    {"name": "datasets", "description": "Registered data."},
    {"name": "workers", "description": "Who trains, and where latency is measured."},
    {"name": "access", "description": "Tokens and the audit log, for admins."},
    {"name": "ledger", "description": "What workers say; a worker's token reaches this alone."},
    {"name": "health", "description": "Whether the server answers."},
]
EXAMPLES = Path(__file__).with_name("examples.json")
REFERENCE = "#/components/schemas/{model}"
BEARER: dict[str, Any] = {"type": "http", "scheme": "bearer"}


def describe(app: FastAPI) -> None:
    """Make `app.openapi()` tell of specs, problems and tokens, which routes alone do not show."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in (Problem, StudySpec, StudyChange):
        schema = model.model_json_schema(ref_template=REFERENCE)
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    components["securitySchemes"] = {"token": BEARER}
    examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    for operations in document["paths"].values():
        for operation in operations.values():
            _illustrate(operation, examples.get(operation["operationId"], {}))
            _describe_errors(operation)
            _describe_access(operation)
    return document


def _illustrate(operation: dict[str, Any], example: dict[str, Any]) -> None:
    """Show an exchange that was recorded; `make examples` records them."""
    for parameter in operation.get("parameters", []):
        values = example.get(parameter["in"], {})
        if parameter["name"] in values:
            parameter["example"] = _typed(values[parameter["name"]], parameter["schema"])
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None and "body" in example:
        body["example"] = example["body"]
    answer = operation["responses"].get(str(example.get("status")), {}).get("content", {})
    if "application/json" in answer and "answer" in example:
        answer["application/json"]["example"] = example["answer"]


def _typed(text: str, schema: dict[str, Any]) -> Any:
    """Return a value as it stands in an address, in the kind that its schema names."""
    kinds = {kind.get("type") for kind in (schema, *schema.get("anyOf", []))}
    if "boolean" in kinds:
        return text == "true"
    return int(text) if "integer" in kinds else text


def _describe_errors(operation: dict[str, Any]) -> None:
    schema = {"$ref": REFERENCE.format(model="Problem")}
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {
        "description": "What went wrong.",
        "content": {MEDIA_TYPE: {"schema": schema}},
    }


def _describe_access(operation: dict[str, Any]) -> None:
    # Workers and admins always need a token; everybody else where the server can be reached from elsewhere.
    if {"ledger", "access"} & set(operation.get("tags", [])):
        operation["security"] = [{"token": []}]
    elif "health" not in operation.get("tags", []):
        operation["security"] = [{}, {"token": []}]


def main() -> None:
    """Print the document."""
    from nas_service.app import create_app
    from nas_service.settings import Settings

    document = create_app(Settings()).openapi()
    sys.stdout.write(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
