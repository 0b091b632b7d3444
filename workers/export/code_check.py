"""Proof that the written module computes the bits of what was trained."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from workers.export.trained import Trained
from workers.export.verification import Mismatch

CHECK = """
import sys, torch, model
from safetensors.torch import load_file
torch.set_num_threads(int(sys.argv[2]))
known = load_file(sys.argv[1])
with torch.no_grad():
    assert torch.equal(model.load()(known["x"]), known["logits"]), "the logits differ"
"""


def check_code(trained: Trained, folder: Path) -> None:
    """Run the written module with the written weights in a process of its own: its logits must have the bits.

    Raises:
        Mismatch: They have not, or it does not run.
    """
    inputs, _ = next(trained.batches(trained.test))
    # Bits depend on the order in memory: both sides get the plain one.
    inputs = inputs.clone(memory_format=torch.contiguous_format)
    with torch.no_grad():
        expected = trained.network(inputs)
    with tempfile.TemporaryDirectory() as name:
        save_file({"x": inputs, "logits": expected.contiguous()}, Path(name) / "check")
        command = [sys.executable, "-c", CHECK, str(Path(name) / "check"), str(torch.get_num_threads())]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Mismatch(f"model.py does not compute the bits of what was trained: {last}")
