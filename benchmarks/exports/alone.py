"""Exported files run in processes of their own, as people run them."""

import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor

from workers.export.trained import Trained

# What `pip install torch` brings along; anything else cannot be imported there.
ALONE = """
import sys
WITH_TORCH = {
    "torch", "torchgen", "functorch", "typing_extensions", "sympy", "mpmath", "networkx", "jinja2",
    "markupsafe", "filelock", "fsspec",
}


class OnlyTorch:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in WITH_TORCH | {"model"} | sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{top} is not there", name=top)


sys.meta_path.insert(0, OnlyTorch())
from pathlib import Path
import model
network = model.load()
"""
LOADER = """
import sys
from pathlib import Path
from load import network
"""
ANSWER = """
import torch
torch.set_num_threads(1)
folder, *shape = sys.argv[1:]
x = torch.frombuffer(bytearray(Path(folder, "x").read_bytes()), dtype=torch.float32)
with torch.no_grad():
    logits = network(x.reshape([int(size) for size in shape]))
Path(folder, "logits").write_bytes(bytes(logits.contiguous().untyped_storage()))
"""


def has_equal_bits(trained: Trained, folder: Path, beginning: str) -> bool:
    """Whether a network loaded from a folder's files has the bits of the trained one, on a batch.

    Args:
        trained: What was exported.
        folder: Where to.
        beginning: `ALONE` or `LOADER`: how it is loaded.

    Raises:
        CalledProcessError: It does not run.
    """
    inputs, _ = next(trained.batches(trained.test))
    inputs = inputs.clone(memory_format=torch.contiguous_format)
    (folder / "x").write_bytes(inputs.numpy().tobytes())
    shape = [str(size) for size in inputs.shape]
    command = [sys.executable, "-c", beginning + ANSWER, str(folder), *shape]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    content = bytearray((folder / "logits").read_bytes())
    return torch.equal(_expected(trained, inputs).flatten(), torch.frombuffer(content, dtype=torch.float32))


@torch.no_grad()
def _expected(trained: Trained, inputs: Tensor) -> Tensor:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        answers: Tensor = trained.network(inputs)
        return answers
    finally:
        torch.set_num_threads(threads)
