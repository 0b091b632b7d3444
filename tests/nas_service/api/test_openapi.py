"""The committed OpenAPI document is the application's own."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

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


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
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
