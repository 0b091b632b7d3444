"""The OpenAPI document: `python -m nas_service.api.openapi > docs/openapi.json`."""

import json
import sys
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from nas_service.problems import MEDIA_TYPE, Problem
from nas_service.studies import StudyChange, StudySpec

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
    for operations in document["paths"].values():
        for operation in operations.values():
            _describe_errors(operation)
            _describe_access(operation)
    return document


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
