"""Record an example of each operation: `make examples` writes nas_service/api/examples.json.

A server is started on an empty data folder, a worker searches digits through it, and a person asks for
everything; the exchange of each operation that says most is written down. What a short search never does (a
measurement by another device, giving up) is said to the server by hand.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import numpy as np
import uvicorn

from nas_service.app import create_app
from nas_service.settings import Settings

TARGET = Path(__file__).resolve().parents[2] / "nas_service" / "api" / "examples.json"
API = "/api/v1"
SPEC = {
    "name": "digits-small",
    "dataset": "digits",
    "space": {"family": "two_conv", "override": {"depth": [1, 2]}},
    "objectives": [{"metric": "accuracy"}, {"metric": "params"}],
    "constraints": {"params": {"max": 20000}, "latency_ms": {"max": 50}},
    "training": {"epochs": 3},
    "budget": {"trials": 6},
}
ARCHITECTURE = {
    "stages": [
        {
            "branches": [
                [{"op": "conv", "channels": 8, "kernel": 3}],
                [{"op": "conv", "channels": 8, "kernel": 5}],
            ],
            "channels": 16,
            "downsample": "max",
        }
    ]
}
# Of long lists so many items say enough.
ITEMS = 2
LONGEST_TEXT = 300
CHECKPOINT = b"checkpoint"
SHA = hashlib.sha256(CHECKPOINT).hexdigest()
Message = MutableMapping[str, Any]


class Recorder:
    """ASGI middleware that keeps the first good exchange of each operation."""

    def __init__(self, app: Any, policies: Any, kept: dict[str, Any]) -> None:
        self._app, self._policies, self._kept = app, policies, kept

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked, told = bytearray(), {"status": 0, "body": bytearray(), "kind": ""}

        async def reading() -> Message:
            message = await receive()
            asked.extend(message.get("body", b""))
            return message

        async def writing(message: Message) -> None:
            if message["type"] == "http.response.start":
                told["status"] = message["status"]
                told["kind"] = dict(message["headers"]).get(b"content-type", b"").decode()
            told["body"] += message.get("body", b"")
            await send(message)

        await self._app(scope, reading, writing)
        self._keep(scope, bytes(asked), told)

    def _keep(self, scope: Message, asked: bytes, told: dict[str, Any]) -> None:
        place = self._policies.find(scope["method"], scope["path"])
        name = getattr(place.route, "name", None) if place else None
        good = 200 <= told["status"] < 300 and name and getattr(place.route, "include_in_schema", False)
        if not good or not name:
            return
        kind = told["kind"].partition(";")[0]
        example: dict[str, Any] = {
            "path": place.path.match(scope["path"]).groupdict(),
            "query": dict(parse_qsl(scope["query_string"].decode())),
            "status": told["status"],
        }
        if asked.strip() and _is_json(scope):
            example["body"] = trimmed(json.loads(asked))
        if kind == "application/json" and told["body"]:
            example["answer"] = trimmed(json.loads(bytes(told["body"])))
        before = self._kept.get(name)
        if before is None or _says_more(example, before):
            self._kept[name] = example


def _is_json(scope: Message) -> bool:
    return dict(scope["headers"]).get(b"content-type", b"").startswith(b"application/json")


def _says_more(example: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether an exchange shows what an earlier one left empty, such as work instead of none."""

    def told(answer: Any) -> int:
        if isinstance(answer, dict):
            return sum(value not in (None, [], {}) for value in answer.values()) + len(
                answer.get("items", "x")
            )
        return len(answer) if isinstance(answer, list) else int(answer is not None)

    return told(example.get("answer")) > told(before.get("answer"))


def trimmed(value: Any, depth: int = 0) -> Any:
    """Shorten long listings and texts; what describes one network stays whole."""
    if isinstance(value, dict):
        return {
            name: trimmed(item, depth + (name not in ("items", "front", "answer")))
            for name, item in value.items()
        }
    if isinstance(value, list):
        of_objects = bool(value) and isinstance(value[0], dict) and depth < 2
        return [trimmed(item, depth + 1) for item in (value[:ITEMS] if of_objects else value)]
    if isinstance(value, str):
        if value.startswith(("nas_", "nw_")):
            return value[:4] + "example"
        return value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]}..."
    return value


def record() -> dict[str, Any]:
    """Return an example by operation."""
    kept: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), database_url=None, port=0)
        app = create_app(settings)
        recorder = Recorder(app, app.state.policies, kept)
        server = uvicorn.Server(uvicorn.Config(recorder, port=0, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        token = (Path(folder) / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        try:
            address = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=address, headers=headers, timeout=60, trust_env=False) as http:
                go(http, Path(folder), token)
        finally:
            server.should_exit = True
            thread.join()
    return dict(sorted(kept.items()))


def go(http: httpx.Client, folder: Path, token: str) -> None:
    """Say to a server whatever can be said to it."""
    study = http.post(f"{API}/studies", json=SPEC).json()["study"]
    http.post(f"{API}/studies/{study}/trials", json=ARCHITECTURE)
    environment = {
        **os.environ,
        "NAS_HOME": str(folder / "worker"),
        "NAS_TOKEN": token,
        "NAS_TIMING_NOISE_LIMIT": "1000",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "workers", "--server", str(http.base_url), "--name", "laptop-1"]
    worker = subprocess.Popen(command, env=environment)
    try:
        wait(http, f"{API}/studies/{study}", worker)
        first = http.get(f"{API}/studies/{study}/front").json()["front"][0]["trial"]
        export = http.post(f"{API}/trials/{first}:export", json={"formats": ["onnx", "card"]}).json()["id"]
        wait(http, f"{API}/jobs/{export}", worker)
        look(http, study, first, export)
    finally:
        worker.terminate()
        worker.wait()
    change(http, study, first)
    serve(http, study)


def wait(http: httpx.Client, address: str, worker: subprocess.Popen[bytes]) -> None:
    """Wait until a study or job has ended."""
    while http.get(address).json()["state"] in ("waiting", "running"):
        if worker.poll() is not None:
            raise SystemExit(f"the worker ended with code {worker.returncode}; {address} goes on")
        time.sleep(0.5)


def look(http: httpx.Client, study: int, trial: int, job: int) -> None:
    """Read everything there is, by the interface's own list."""
    shown = http.get(f"{API}/trials/{trial}").json()
    files = http.get(f"{API}/jobs/{job}").json()["artifacts"]
    http.post(f"{API}/tokens", json={"name": "ann", "role": "viewer", "expires_days": 30})
    http.post(f"{API}/architectures:describe", json={"input_shape": [1, 8, 8], "classes": 10, **ARCHITECTURE})
    http.post(f"{API}/studies", params={"validate_only": "true", "samples": 200}, json=SPEC)
    known = {
        "study_id": study,
        "trial_id": trial,
        "number": shown["number"],
        "job_id": job,
        "sha256": shown["artifacts"]["weights"],
        "kind": "weights",
        "worker_id": 1,
    }
    names = {"families": "two_conv", "datasets": "digits", "jobs": next(iter(files))}
    query = {
        "studies:find": {"name": "digits-small"},
        "trials": {"filter": "accuracy>0.1", "order_by": "accuracy"},
    }
    for path, operations in http.get(f"{API}/openapi.json").json()["paths"].items():
        if "get" in operations and "stream" not in path and "/{sha256}/content" not in path:
            parts = path.split("/")
            values = {**known, "name": names.get(parts[3] if len(parts) > 3 else "", "")}
            http.get(path.format(**values), params=query.get(parts[-1], {}))


def change(http: httpx.Client, study: int, trial: int) -> None:
    """Use every verb."""
    etag = http.get(f"{API}/studies/{study}").headers["etag"]
    budget = {"budget": {"trials": 8}}
    http.patch(f"{API}/studies/{study}", json=budget, headers={"If-Match": etag})
    for verb in ("pause", "resume", "cancel"):
        http.post(f"{API}/studies/{study}:{verb}")
    copy = http.post(f"{API}/studies/{study}:clone", json={"training": {"epochs": 9}}).json()["study"]
    http.post(f"{API}/studies/{copy}:drain")
    http.delete(f"{API}/studies/{copy}")
    waiting = http.post(f"{API}/trials/{trial}:export", json={"formats": ["onnx"]}).json()["id"]
    http.post(f"{API}/jobs/{waiting}:cancel")
    http.post(f"{API}/trials/{trial}:retrain", json={"epochs": 27})
    http.post(f"{API}/studies/{study}:confirm", json={"top": 1, "seeds": 2})
    http.post(f"{API}/tokens/2:revoke")
    folder = Path(tempfile.mkdtemp())
    np.savez(folder / "shapes.npz", x=np.zeros((40, 8, 8), dtype=np.uint8), y=np.arange(40) % 4)
    http.post(
        f"{API}/datasets",
        params={"filename": "shapes.npz"},
        content=(folder / "shapes.npz").read_bytes(),
        headers={"Content-Type": "application/octet-stream"},
    )


def serve(http: httpx.Client, study: int) -> None:
    """Say what workers say when something goes otherwise than in a short search."""
    copy = http.post(f"{API}/studies/{study}:clone").json()["study"]
    worker = http.post(
        f"{API}/workers:register",
        json={"name": "pi4-1", "host": "pi4", "pid": 812, "device": "pi4", "measures_only": True},
    ).json()["worker_id"]
    trainer = http.post(
        f"{API}/workers:register", json={"name": "laptop-2", "host": "laptop", "pid": 4711}
    ).json()["worker_id"]
    http.post(f"{API}/studies/{copy}/trials", json=ARCHITECTURE)
    work = http.post(f"{API}/leases:acquire", json={"worker_id": trainer, "study_id": copy}).json()
    lease = work.get("lease")
    if lease:
        sha256 = http.put(
            f"{API}/artifacts/{SHA}", content=CHECKPOINT, headers={"Content-Type": "application/octet-stream"}
        )
        at = f"{API}/leases/{lease['trial_id']}"
        http.post(f"{at}:heartbeat", json=lease)
        if sha256.is_success:
            http.post(f"{at}:checkpoint", json={"lease": lease, "checkpoint": {"epoch": 1, "sha256": SHA}})
        http.post(f"{at}:release", json=lease)
    network = http.get(f"{API}/studies/{study}/trials/0").json()
    http.post(
        f"{API}/measurements:request",
        json={
            "device": "pi4",
            "architecture": network["architecture"],
            "network_hash": network["architecture_hash"],
        },
    )
    asked = http.post(f"{API}/measurements:acquire", json={"worker_id": worker}).json()
    request = (asked.get("request") or {}).get("id")
    if request:
        http.post(
            f"{API}/measurements/requests/{request}:answer",
            json={"worker_id": worker, "reason": "the device was switched off"},
        )
    http.post(f"{API}/studies/{copy}:cancel")
    network = http.get(f"{API}/studies/{study}/front").json()["front"][0]
    http.post(f"{API}/trials/{network['trial']}:export", json={"formats": ["card"]})
    job = http.post(f"{API}/leases:acquire", json={"worker_id": trainer}).json().get("job_lease")
    if job:
        http.post(f"{API}/jobs/{job['job_id']}:release", json=job)
    http.post(f"{API}/workers/{trainer}:draining")
    http.post(f"{API}/workers/{trainer}:leave")
    http.post(f"{API}/studies/{copy}:give_up", json={"reason": "200 candidates in a row broke a limit"})


def main() -> None:
    """Write the examples down."""
    examples = record()
    TARGET.write_text(
        json.dumps(examples, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(f"{len(examples)} examples, {TARGET.stat().st_size} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
