"""The process that reads what others sent: `python -m nas_service.reading_process JOB`.

It limits itself before it looks at the file, and leaves two files in the job's folder: the canonical one, and
`answer.json` with what the catalogue keeps or what is wrong. Only numpy, Pillow and safetensors are loaded.
"""

import importlib.util
import json
import resource
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

ANSWER = "answer.json"
# What the interpreter and the libraries map by themselves.
OWN_BYTES = 512 * 1024**2


def main() -> int:
    """Read the data set of the job in the first argument; 0 also where it was refused."""
    job = json.loads(sys.argv[1])
    limit_process(int(job["memory_bytes"]), int(job["seconds"]), int(job["file_bytes"]))
    folder = Path(job["folder"])
    answer = read(Path(job["path"]), job["name"], folder, int(job["memory_bytes"]))
    (folder / ANSWER).write_text(json.dumps(answer), encoding="ascii")
    return 0


def limit_process(memory_bytes: int, seconds: int, file_bytes: int) -> None:
    """Let allocations beyond `memory_bytes` fail, and end the process after `seconds`."""
    address_space = memory_bytes + OWN_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Should whoever started it be gone, nobody else would end it.
    signal.alarm(seconds)


def read(path: Path, name: str | None, folder: Path, memory_bytes: int) -> dict[str, Any]:
    """Return the answer: `dataset` and `sha256`, or `errors`."""
    skip_initialisation("search_spaces")
    from nas_service.datasets.dataset import save_dataset, summarised
    from nas_service.datasets.reading import read_dataset
    from nas_service.errors import FieldError, InvalidInput

    try:
        dataset = read_dataset(path, name)
        return {"dataset": asdict(summarised(dataset)), "sha256": save_dataset(dataset, folder)}
    except InvalidInput as error:
        found = error.errors
    except MemoryError:
        allowed = f"{memory_bytes // 1024**2} MiB while it is read"
        found = (FieldError("", f"{path.name} needs more memory than it is given", allowed),)
    return {"errors": [asdict(error) for error in found]}


def skip_initialisation(package: str) -> None:
    """Make a package's modules importable without its `__init__`: the errors alone are wanted."""
    spec = importlib.util.find_spec(package)
    if spec is not None and package not in sys.modules:
        sys.modules[package] = importlib.util.module_from_spec(spec)


if __name__ == "__main__":
    sys.exit(main())
