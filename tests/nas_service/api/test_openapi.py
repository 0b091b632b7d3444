"""The committed OpenAPI document is the application's own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from nas_service.app import create_app
from nas_service.settings import Settings

COMMITTED = Path(__file__).resolve().parents[3] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings()).openapi()


def test_the_committed_document_is_up_to_date(document: dict[str, Any]) -> None:
    assert json.loads(COMMITTED.read_text()) == document, (
        "run: python -m nas_service.api.openapi > docs/openapi.json"
    )


def test_it_is_served(http: httpx.Client, document: dict[str, Any]) -> None:
    assert http.get("/api/v1/openapi.json").json() == document


@pytest.mark.parametrize("path", ["/redoc", "/openapi.json"])
def test_the_stock_pages_are_gone(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404


def test_all_references_lead_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= document["components"]["schemas"].keys()


def test_workers_routes_say_that_they_want_a_token(document: dict[str, Any]) -> None:
    assert document["paths"]["/api/v1/leases:acquire"]["post"]["security"] == [{"token": []}]


def test_the_spec_says_its_fields(document: dict[str, Any]) -> None:
    body = document["paths"]["/api/v1/studies"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/yaml"}
    assert "constraints" in document["components"]["schemas"]["StudySpec"]["properties"]


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        yield from operations.values()


def test_operations_have_names_that_read_well(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in _operations(document)]
    assert len(names) == len(set(names))
    assert {"create_study", "list_trials", "read_front", "export_trial"} <= set(names)
    assert not [name for name in names if "api_v1" in name]


def test_every_operation_shows_an_exchange_that_fits_its_schema(document: dict[str, Any]) -> None:
    components, missing = document["components"], []
    for operation in _operations(document):
        contents = [("asked", operation.get("requestBody", {}).get("content", {}))]
        answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        contents += [("told", answer.get("content", {})) for answer in answers]
        shown = set()
        for side, content in contents:
            for said in (content[kind] for kind in content if kind == "application/json"):
                if "example" in said:
                    shown.add(side)
                    Draft202012Validator({**said["schema"], "components": components}).validate(
                        said["example"]
                    )
        for parameter in operation.get("parameters", []):
            if "example" in parameter:
                schema = {**parameter["schema"], "components": components}
                Draft202012Validator(schema).validate(parameter["example"])
        needed = {side for side, content in contents if "application/json" in content}
        if needed - shown:
            missing.append((operation["operationId"], sorted(needed - shown)))
    assert not missing, "run: make examples"
