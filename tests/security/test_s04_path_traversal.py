"""S4: nobody names a path on the server: what is sent as a name or an id leads to no file, in or out."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import pytest
from fuzzed_server import DOCUMENT, Target

SECRET = "canary-6f1d0c"
# What a reader of /etc/passwd, or of an environment, would see.
TELLTALES = (SECRET, "root:x:0", "NAS_HOME=")
ESCAPES = (
    "../canary.txt",
    "../../canary.txt",
    "../../../canary.txt",
    "../" * 12 + "etc/passwd",
    "..\\..\\canary.txt",
    "....//....//canary.txt",
    "..;/canary.txt",
    ".%00./canary.txt",
    "canary.txt\x00.npz",
    "digits#/../../canary.txt",
    "digits?/../../canary.txt",
    "digits;/../../canary.txt",
    "digits/../../../canary.txt",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/environ",
    "/proc/self/cwd/canary.txt",
    "file:///etc/passwd",
    "C:/canary.txt",
    "C:\\canary.txt",
    "\\\\localhost\\share\\canary.txt",
    "canary.txt::$DATA",
    "~/canary.txt",
    "$HOME/canary.txt",
    "${jndi:file:///etc/passwd}",
    "{{canary}}",
    "link",
    "link.safetensors",
    "nas.db",
    "token",
    "\uff0e\uff0e/canary.txt",
    "\u2024\u2024/canary.txt",
    "\u2025/canary.txt",
    ".",
    "..",
    "a" * 5000,
)
FORMS = ("plain", "encoded", "encoded twice")


def payloads(canary: Path) -> list[str]:
    """Return every payload; the canary's own absolute path among them."""
    return [*ESCAPES, str(canary), f"{canary}\x00", f"file://{canary}", "/.." * 12 + str(canary)]


def in_address(payload: str, form: str) -> str:
    """Return a payload as it stands in an address; what no address can hold is always encoded."""
    if form == "plain":
        return quote(payload, safe="/.;:#?$~{}()!,'*@&=+%")
    once = quote(payload, safe="")
    return once if form == "encoded" else quote(once, safe="")


@pytest.fixture(scope="module")
def canary(target: Target) -> Path:
    """A file beside the data folder that no answer may show, and a link to it in every folder of files."""
    home = target.settings.data_home
    path = home.parent / "canary.txt"
    path.write_text(SECRET)
    for folder in (home / "artifacts", home / "datasets", home):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("link", "link.safetensors"):
            (folder / name).symlink_to(path)
    return path


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    # The digits that ship are stored at the first look.
    assert http.get("/api/v1/datasets").status_code == 200
    found: dict[str, Any] = http.get(DOCUMENT).json()
    return found


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


def takes_text(document: dict[str, Any], schema: dict[str, Any]) -> bool:
    schema = resolved(document, schema)
    kinds = [schema, *schema.get("anyOf", []), *schema.get("oneOf", [])]
    return any(resolved(document, kind).get("type") == "string" for kind in kinds)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if not path.endswith("/stream"):
                yield method.upper(), path, operation


def places(document: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield (method, path, where, name) of every parameter and body field that is text.

    Numbers in a path are taken for text too: nothing forbids to send it.
    """
    for method, path, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path" or takes_text(document, parameter["schema"]):
                yield method, path, parameter["in"], parameter["name"]
        content = operation.get("requestBody", {}).get("content", {})
        body = resolved(document, content.get("application/json", {}).get("schema", {}))
        for name, schema in body.get("properties", {}).items():
            if takes_text(document, schema):
                yield method, path, "body", name


def request_of(
    place: tuple[str, str, str, str], payload: str, form: str
) -> tuple[str, dict[str, str], bytes]:
    """Return address, headers and body with the payload in its place, and something harmless elsewhere."""
    method, path, where, name = place
    address, headers, body = path, {}, b""
    if where == "path":
        address = address.replace(f"{{{name}}}", in_address(payload, form))
    while "{" in address and where != "path":
        start, _, rest = address.partition("{")
        address = f"{start}1{rest.partition('}')[2]}"
    if where == "query":
        address += "?" + (
            f"{name}={in_address(payload, form)}" if form != "plain" else urlencode({name: payload})
        )
    if where == "header":
        headers[name] = payload.encode("ascii", "replace").decode().replace("\x00", "%00")[:200]
    if where == "body":
        body = json.dumps({"dataset": "digits", "budget": {"trials": 1}, name: payload}).encode()
        headers["Content-Type"] = "application/json"
    if method in ("POST", "PUT") and "Content-Type" not in headers:
        headers["Content-Type"] = "application/octet-stream"
    return address, headers, body


def tree(target: Target) -> set[str]:
    """Return all files of the data folder and beside it, but what the database comes and goes with."""
    return {
        str(path)
        for path in target.settings.data_home.parent.rglob("*")
        if not path.is_dir() and not path.name.startswith("nas.db")
    }


@pytest.fixture
def connection(target: Target) -> Iterator[http.client.HTTPConnection]:
    """A connection that sends addresses as they stand; clients of comfort would tidy them up."""
    with closing(http.client.HTTPConnection(urlsplit(target.address).netloc, timeout=60)) as connection:
        yield connection


def answer_of(connection: http.client.HTTPConnection) -> tuple[int, str]:
    answer = connection.getresponse()
    return answer.status, answer.read().decode("utf-8", "replace")


def test_no_text_anywhere_leads_to_a_file(
    target: Target, canary: Path, document: dict[str, Any], connection: http.client.HTTPConnection
) -> None:
    found = list(places(document))
    assert len(found) > 50
    assert {where for _, _, where, _ in found} == {"path", "query", "header", "body"}
    before = tree(target)
    sent = 0
    for index, place in enumerate(found):
        for number, payload in enumerate(payloads(canary)):
            # A path is where encodings matter; elsewhere they take turns.
            forms = FORMS if place[2] == "path" and number < 14 else FORMS[(index + number) % 3 :][:1]
            for form in forms:
                address, headers, body = request_of(place, payload, form)
                connection.request(
                    place[0], address, body=body or None, headers={**target.headers, **headers}
                )
                status, text = answer_of(connection)
                sent += 1
                assert status < 500, (place, payload, text)
                assert not [word for word in TELLTALES if word in text], (place, payload)
    assert sent > 2000
    assert tree(target) == before


def test_a_file_name_with_a_path_stays_inside(target: Target, canary: Path, http: httpx.Client) -> None:
    before = tree(target)
    for payload in payloads(canary):
        # A body of one byte is written before it is found to be no data set.
        headers = {"Content-Type": "application/octet-stream"}
        query = {"filename": payload[:200], "name": "x/.."}
        answer = http.post("/api/v1/datasets", params=query, content=b"x", headers=headers)
        assert answer.status_code == 422
        files = {"file": (payload.replace("\x00", "") or "x", b"x")}
        assert http.post("/api/v1/datasets", files=files, data={"name": "../x"}).status_code in (400, 422)
    assert tree(target) == before


@pytest.mark.parametrize("path", ["/static/", "/static/../", "/"])
def test_static_files_lead_nowhere_else(
    path: str, target: Target, canary: Path, connection: http.client.HTTPConnection
) -> None:
    for payload in payloads(canary):
        for form in FORMS:
            connection.request("GET", path + in_address(payload, form), headers=target.headers)
            status, text = answer_of(connection)
            assert status < 500
            assert not [word for word in TELLTALES if word in text]
