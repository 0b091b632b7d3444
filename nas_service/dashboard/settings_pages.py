"""The pages of settings (tokens, versions) and of the interface's reference."""

import platform
from collections.abc import Collection
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from nas_service import __version__
from nas_service.access import Role, allows
from nas_service.api.actor import Actor
from nas_service.api.dependencies import TheService, TheSettings
from nas_service.dashboard.rendering import PageRoute, render

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_LIBRARIES = ("fastapi", "sqlalchemy", "pydantic", "numpy", "plotly")
_ROLES = {
    "viewer": "reads everything",
    "operator": "reads, launches and changes studies, uploads data",
    "worker": "for nas-worker; reaches the ledger and nothing else",
    "admin": "everything, tokens among it",
}


@router.get("/settings")
def settings(request: Request, service: TheService, values: TheSettings) -> Response:
    actor: Actor | None = getattr(request.state, "actor", None)
    return render(
        "settings.html",
        page="settings",
        may_administer=actor is not None and actor.token_id is not None and allows(actor.role, Role.admin),
        roles=_ROLES,
        facts=[
            ("Version", __version__),
            ("Python", platform.python_version()),
            ("Database", urlsplit(values.resolved_database_url).scheme.partition("+")[0]),
            (
                "Files",
                "in the data folder" if not values.artifacts_url else urlsplit(values.artifacts_url).scheme,
            ),
            ("Data folder", str(values.data_home)),
            ("A worker is lost after", f"{values.lease_s:g} s of silence"),
            *((name, version(name)) for name in _LIBRARIES),
        ],
    )


@router.get("/fragments/tokens")
def tokens(service: TheService) -> Response:
    return render("parts/tokens.html", tokens=service.tokens())


@router.get("/docs")
def reference(request: Request) -> Response:
    document = request.app.openapi()
    return render("docs.html", page="docs", groups=_groups(document), version=document["info"]["version"])


def _groups(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the operations by tag, in the order of the document."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            groups.setdefault(tag, []).append(_operation(method, path, operation))
    return groups


def _operation(method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {})
    return {
        "method": method.upper(),
        "path": path,
        "anchor": operation["operationId"],
        "words": operation.get("description", "").partition(".")[0].partition("\n")[0].replace("`", ""),
        "description": operation.get("description") or operation.get("summary", ""),
        "parameters": [
            (given["name"], given["in"], given.get("required", False), _type(given.get("schema", {})), given)
            for given in operation.get("parameters", ())
        ],
        "bodies": [
            (kind, _type(content.get("schema", {})), _example(content)) for kind, content in body.items()
        ],
        "answers": [
            (status, answer.get("description", ""), *_answer(answer.get("content", {}).values()))
            for status, answer in operation["responses"].items()
        ],
    }


def _answer(contents: Collection[dict[str, Any]]) -> tuple[str, Any]:
    """Return an answer's type, and an example of it."""
    return ", ".join(_type(content.get("schema", {})) for content in contents), _example(*contents)


def _example(*contents: dict[str, Any]) -> Any:
    """Return the first example of a body, None without one."""
    for content in contents:
        if "example" in content:
            return content["example"]
        for named in content.get("examples", {}).values():
            return named.get("value")
        for example in content.get("schema", {}).get("examples", ()):
            return example
    return None


def _type(schema: dict[str, Any]) -> str:
    """Return a schema's type in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))
