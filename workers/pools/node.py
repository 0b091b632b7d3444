"""One machine of a cluster: its slots, how Ray is started on it, and what its actors are told."""

import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from nas_service.errors import ServiceError
from nas_service.processes import Slot
from workers.pools.fate import sharing_fate

NODE_VARIABLE = "NAS_RAY_NODE"
# A custom resource of Ray: one unit a slot.
SLOT_RESOURCE = "nas_slot"
# Workers pass nothing through Ray's object store; this is about the least it takes.
OBJECT_STORE_BYTES = 80_000_000
# Ports that other nodes must reach, beside the head's own and those of actors (10002 to 19999).
OPEN_PORTS = ("--node-manager-port", "6380", "--object-manager-port", "6381")
# Ray gives out parts of a GPU in steps of this.
GPU_STEPS = 10_000
# Where a node's own environment must not reach Ray: the database's password above all.
HIDDEN_VARIABLES = ("NAS_DATABASE_URL", "RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", NODE_VARIABLE)
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Node:
    """What one machine offers to a cluster."""

    # Unique in the cluster; its workers are called name/1, name/2, ...
    name: str
    slots: int
    # How many GPUs its slots share evenly; 0 where they train on processor cores.
    gpus: int
    # Address of the server that its workers pull from.
    server: str
    # File with the token of its workers; None: NAS_TOKEN.
    token_file: str | None
    # Data folder of the node: locks, logs, cache, spool.
    home: str

    @classmethod
    def from_environment(cls) -> Self:
        """Return the node that this process runs on."""
        return cls(**json.loads(os.environ[NODE_VARIABLE]))

    @property
    def run_folder(self) -> Path:
        """The folder of locks."""
        return Path(self.home) / "run"

    @property
    def leaving_path(self) -> Path:
        """A file that is there while the node leaves: no worker is started then."""
        return self.run_folder / f"ray-{self.name}.leaving"

    @property
    def workers_sharing(self) -> int:
        """Among how many workers a GPU, or the memory of a machine without one, is divided."""
        return -(-self.slots // self.gpus) if self.gpus else self.slots

    def worker_slot(self, number: int) -> Slot:
        """Describe the worker process of a slot; it ends with the process that starts it."""
        log = Path(self.home) / "logs" / f"ray-{self.name}-{number}.log"
        token = ("--token-file", self.token_file) if self.token_file else ()
        return Slot(
            name=f"ray-{self.name}-{number}",
            command=sharing_fate(
                *(sys.executable, "-m", "workers", "--server", self.server, *token),
                *("--name", f"{self.name}/{number}", "--workers-here", str(self.workers_sharing)),
            ),
            folder=self.run_folder,
            environment={
                "NAS_HOME": self.home,
                "OMP_NUM_THREADS": "1",
                "NAS_NODE": self.name,
                "NAS_SLOT": str(number),
            },
            log=log,
        )

    def worker_slots(self) -> Iterator[Slot]:
        """Describe the worker processes of all slots."""
        return (self.worker_slot(number + 1) for number in range(self.slots))


@contextmanager
def ray_folder(node: Node) -> Iterator[str]:
    """Give Ray a folder for its sockets and logs; removed in the end, or at the next start after a kill.

    It is not in the data folder: paths of sockets may have 107 bytes, of which Ray needs about 70.
    """
    note = node.run_folder / f"ray-{node.name}.folder"
    if note.exists():
        shutil.rmtree(note.read_text(), ignore_errors=True)
    folder = tempfile.mkdtemp(prefix="nas-ray-")
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        note.unlink(missing_ok=True)


def gpu_share(slots: float, gpus: float) -> float:
    """Return the part of a GPU that each of a node's slots takes, in Ray's steps, rounded down."""
    return int(gpus * GPU_STEPS / slots) / GPU_STEPS if slots else 0.0


def ray_version() -> str:
    """Return the installed Ray's version, without importing it; raises `ServiceError` where there is none."""
    try:
        found = find_spec("ray") and version("ray")
    except PackageNotFoundError:
        found = None
    if not found:
        raise ServiceError('Ray is not installed here; run: pip install "ray>=2.60,<3"')
    return str(found)


def node_environment(
    node: Node, ray_token_file: Path, environment: Mapping[str, str], *, on_loopback: bool = False
) -> dict[str, str]:
    """Return the environment of everything of Ray on a node, token authentication included.

    Args:
        node: The machine.
        ray_token_file: File with the cluster's token.
        environment: What this process was given.
        on_loopback: Keep Ray from listening anywhere else.
    """
    kept = {name: value for name, value in environment.items() if name not in HIDDEN_VARIABLES}
    paths = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    own = {
        "NAS_HOME": node.home,
        NODE_VARIABLE: json.dumps(asdict(node)),
        "PYTHONPATH": os.pathsep.join(paths),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(ray_token_file),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Workers are drained before Ray is told to end: it need not wait for them once more.
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        # Actors without a GPU keep CUDA_VISIBLE_DEVICES as the node has it; Ray warns where this is unsaid.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    # Ray's only switch that makes all its processes listen on 127.0.0.1 alone.
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"} if on_loopback else {}
    return {**kept, **own, **loopback}


def start_command(node: Node, *place: str) -> list[str]:
    """Return the command that runs Ray on a node until this process ends.

    Args:
        node: The machine; none of its cores are offered, since workers are counted by slots.
        place: Options of `ray start` that make it a head, or join one.
    """
    return sharing_fate(
        *(sys.executable, "-m", "ray.scripts.scripts", "start", *place, "--block"),
        *("--node-name", node.name, "--num-cpus", "0", "--num-gpus", str(node.gpus)),
        *("--resources", json.dumps({SLOT_RESOURCE: node.slots})),
        *("--object-store-memory", str(OBJECT_STORE_BYTES)),
        *("--include-log-monitor", "false", "--disable-usage-stats"),
    )


def ensure_ray_token(path: Path) -> None:
    """Make the cluster's token, 256 random bits for its owner alone, where there is none yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
