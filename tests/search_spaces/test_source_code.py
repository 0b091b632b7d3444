"""The file of plain torch computes the same bits, needs nothing of ours, and is clean code."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from search_spaces import Architecture, RandomTrial, SearchSpaceError, families
from search_spaces.lowering import lower
from search_spaces.modules import build
from search_spaces.source_code import write_source
from search_spaces.source_code.parts import parts_of

SHAPES = [(1, 28, 28), (3, 64), (1, 12, 12, 12)]
ALLOWED = {"json", "collections", "pathlib", "torch", "torch.nn.functional"}


def sampled(family: str, shape: tuple[int, ...], seed: int) -> Architecture:
    try:
        return families.get(family).space.sample(RandomTrial(seed), shape, 10)
    except SearchSpaceError as error:
        pytest.skip(f"{family} has no networks for {shape}: {error}")


def module_of(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__file__": "model.py", "__name__": "model"}
    exec(compile(text, "model.py", "exec"), names)
    return names


@pytest.mark.parametrize("shape", SHAPES, ids=["images", "signals", "volumes"])
@pytest.mark.parametrize("family", families.names())
def test_logits_have_the_bits_of_the_torch_module(family: str, shape: tuple[int, ...]) -> None:
    for seed in range(3):
        architecture = sampled(family, shape, seed)
        ours = build(architecture, seed=seed).eval()
        theirs = module_of(write_source(architecture))["Network"]()
        theirs.load_state_dict(ours.state_dict())
        x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            assert torch.equal(theirs.eval()(x), ours(x))


@pytest.mark.parametrize("family", families.names())
def test_nothing_but_torch_and_the_standard_library_is_imported(family: str) -> None:
    tree = ast.parse(write_source(sampled(family, SHAPES[0], 1)))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= ALLOWED


def test_the_file_loads_the_weights_beside_it_without_this_project(tmp_path: Path) -> None:
    architecture = sampled("multi_scale", SHAPES[0], 3)
    network = build(architecture, seed=1).eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors", metadata={"architecture": "x"})
    (tmp_path / "model.py").write_text(write_source(architecture))
    x = torch.randn(2, 1, 28, 28)
    torch.save(x, tmp_path / "x.pt")
    code = (
        "import sys, torch, model\n"
        "x = torch.load('x.pt', weights_only=True)\n"
        "torch.save(model.load()(x).detach(), 'logits.pt')\n"
        "ours = ('search_spaces', 'nas_service', 'workers')\n"
        "assert not [name for name in sys.modules if name.startswith(ours)]"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        check=True,
        env={"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    with torch.no_grad():
        assert torch.equal(torch.load(tmp_path / "logits.pt", weights_only=True), network(x))


def test_code_is_formatted_and_clean(tmp_path: Path) -> None:
    for family in families.names():
        for number, shape in enumerate(SHAPES):
            (tmp_path / f"{family}_{number}.py").write_text(
                write_source(families.get(family).space.sample(RandomTrial(5), shape, 10))
                if _takes(family, shape)
                else ""
            )
    options = ["--isolated", "--line-length", "110", "--target-version", "py311", str(tmp_path)]
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["format", "--check"], ["check", "--select", "E,F,I,N,A,W,UP,B"]):
        done = subprocess.run([ruff, *command, *options], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def _takes(family: str, shape: tuple[int, ...]) -> bool:
    try:
        families.get(family).space.sample(RandomTrial(5), shape, 10)
    except SearchSpaceError:
        return False
    return True


@pytest.mark.parametrize("family", families.names())
def test_parts_hold_each_layer_once_and_in_an_order_that_runs(family: str) -> None:
    graph = lower(sampled(family, SHAPES[0], 2))
    order = list(parts_of(graph).nodes())
    assert sorted(order) == list(range(len(graph.nodes)))
    places = {node: place for place, node in enumerate(order)}
    for node in order:
        assert all(places.get(source, -1) < places[node] for source in graph.nodes[node].inputs)
