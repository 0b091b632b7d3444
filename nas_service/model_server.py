"""A small endpoint in front of one exported network: examples in, classes and probabilities out.

It needs the folder that an export wrote and ONNX Runtime, and neither torch nor a database.
"""

import json
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import compare_digest
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from numpy.typing import NDArray

from nas_service import __version__
from nas_service.api import errors
from nas_service.api.bodies import JSON, OCTETS, media_type, read_at_most
from nas_service.api.guard import Guard
from nas_service.datasets.archives import first_line
from nas_service.errors import FieldError, InvalidInput
from nas_service.exported import ExportedNetwork, Prediction
from nas_service.input_scale import InputScale
from nas_service.settings import Settings

# By what a body may be: the name under which its bytes are read.
KINDS = {
    "image/png": "example.png",
    "image/jpeg": "example.jpg",
    "image/bmp": "example.bmp",
    "image/webp": "example.webp",
    "application/x-npy": "examples.npy",
    "application/x-npz": "examples.npz",
}
ZIP = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for."""

    body_bytes: int = 16 * 1024 * 1024
    examples: int = 1_000


def create_model_app(
    network: ExportedNetwork, settings: Settings, *, token: str | None = None, limits: Limits | None = None
) -> FastAPI:
    """Return the application.

    Args:
        network: Answers.
        settings: Where it listens, and by which names it may be reached.
        token: What requests must carry as a bearer token; nothing where it is None.
        limits: Of a request.
    """
    app = FastAPI(title="An exported network", version=__version__, docs_url=None, redoc_url=None)
    errors.install(app)
    bounds = limits or Limits()

    @app.middleware("http")
    async def admit(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.url.path != "/healthz" and not _is_admitted(request, token):
            return errors.respond(errors.refusal(401, "a bearer token is wanted, or another one"))
        return await answer(request)

    # The last one added is the first one asked.
    app.add_middleware(Guard, settings=settings)

    @app.get("/healthz")
    def health() -> dict[str, str]:
        """Say that it answers."""
        return {"status": "ok"}

    @app.get("/")
    def describe() -> dict[str, Any]:
        """Say what it takes and answers."""
        return {**asdict(network.preprocessing), "network": network.properties, "kinds": [JSON, *KINDS]}

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        """Classify an image, an .npy or .npz file, or {"examples": [...]}: numbers as in the data set."""
        body = b"".join([part async for part in read_at_most(request, bounds.body_bytes)])
        kind = media_type(request)
        scale = InputScale(network.preprocessing)
        found = await run_in_threadpool(_predicted, network, kind, body, bounds.examples, scale)
        # None, or what speaks against the numbers' scale.
        warning = scale.doubt()
        return {"predictions": [asdict(prediction) for prediction in found], "warning": warning}

    return app


def _is_admitted(request: Request, token: str | None) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    is_known = scheme.lower() == "bearer" and compare_digest(given.encode(), (token or "").encode())
    return token is None or is_known


def _predicted(
    network: ExportedNetwork, kind: str, body: bytes, most: int, scale: InputScale
) -> list[Prediction]:
    if not body:
        raise InvalidInput(FieldError("", "the body is empty", ", ".join((JSON, *KINDS))))
    if kind == JSON:
        return network.predict_arrays("examples", _from_json(body), most, on_examples=scale.look)
    name = _file_name(kind, body)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(body)
        return list(network.predict(path, most=most, on_examples=scale.look))


def _file_name(kind: str, body: bytes) -> str:
    if kind == OCTETS:
        return "examples.npz" if body.startswith(ZIP) else "examples.npy"
    if kind not in KINDS:
        message = f"the body is {kind[:80] or 'of no kind'}"
        raise InvalidInput(FieldError("/Content-Type", message, ", ".join((JSON, OCTETS, *KINDS))))
    return KINDS[kind]


def _from_json(body: bytes) -> NDArray[Any]:
    try:
        given = json.loads(body)
        examples = np.asarray(given["examples"], dtype=np.float64)
    except (KeyError, TypeError) as error:
        raise InvalidInput(FieldError("/examples", "is missing, or holds no numbers")) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(FieldError("/examples", f"cannot be read: {first_line(error)}")) from error
    if not np.isfinite(examples).all():
        raise InvalidInput(FieldError("/examples", "holds numbers that are not finite"))
    return examples
