"""Whether the analysis is exact: random architectures of every family against the torch modules themselves.

Parameters, buffers, MACs, the shape of each layer and the peak memory are compared with a run of the module
on the meta device, memory by the life of the tensors; the receptive field, smallest and largest along each
axis, with gradients of the module. `--builds` only asks whether any sample fails: each layer of each is
built and run on the meta device, once for all networks that hold it behind maps of the same shapes.

    python -m benchmarks.exactness [--architectures 10000] [--builds 100000] [--processes 2]
"""

import argparse
import multiprocessing
import time
from collections import Counter
from typing import Any

import torch

from benchmarks.report import conditions, print_table, write
from search_spaces import Architecture, RandomTrial, families
from search_spaces.graph import Graph
from search_spaces.layers.layer import Layer, Shape
from search_spaces.lowering import lower
from search_spaces.modules.inspection import COMPARED, differences

# Signals, images and volumes, square and not, some smaller than the largest kernels.
SHAPES = (
    *((1, 128), (6, 2048), (2, 37)),
    *((1, 28, 28), (3, 32, 32), (1, 8, 8), (3, 96, 96), (1, 49, 10), (4, 40, 101), (2, 9, 5)),
    *((1, 12, 12, 12), (1, 28, 28, 28), (2, 9, 16, 7)),
)
CLASSES = 10
CHUNK = 50


def main() -> None:
    """Run both parts, each with a table and a result file; a count of 0 leaves one out."""
    arguments = _arguments()
    if arguments.architectures:
        _compare_all(arguments.architectures, arguments.processes)
    if arguments.builds:
        _build_all(arguments.builds, arguments.processes)


def _compare_all(count: int, processes: int) -> None:
    started = time.perf_counter()
    found = _gathered(_compare, count, processes)
    print_table(
        ["compared", "architectures", "mismatches"],
        [[name, f"{count:,}", f"{found[name]:,}"] for name in COMPARED],
    )
    _keep(
        "exactness", started, {"architectures": count, "mismatches": {name: found[name] for name in COMPARED}}
    )


def _build_all(count: int, processes: int) -> None:
    started = time.perf_counter()
    found = _gathered(_build, count, processes)
    print_table(["built and run", "failed"], [[f"{count:,}", f"{found['failed']:,}"]])
    _keep("builds", started, {"architectures": count, "failed": found["failed"]})


def _keep(name: str, started: float, figures: dict[str, Any]) -> None:
    minutes = round((time.perf_counter() - started) / 60, 1)
    about = {"families": families.names(), "shapes": SHAPES, "minutes": minutes}
    path = write(name, {"conditions": conditions("torch"), **figures, **about})
    print(f"written to {path.name}")  # noqa: T201


def member(number: int) -> Architecture:
    """Return the architecture of a number: families take turns, and so do shapes within each."""
    names = families.names()
    turn, index = divmod(number, len(names))
    shape = SHAPES[(turn + index) % len(SHAPES)]
    return families.get(names[index]).space.sample(RandomTrial(number), shape, CLASSES)


def _compare(numbers: range) -> Counter[str]:
    counts: Counter[str] = Counter()
    for number in numbers:
        architecture = member(number)
        wrong = list(differences(architecture))
        counts.update(wrong)
        if wrong:
            print(number, wrong, architecture.canonical_json())  # noqa: T201
    return counts


def _build(numbers: range) -> Counter[str]:
    counts: Counter[str] = Counter()
    for number in numbers:
        try:
            _run_layers(lower(member(number)))
        except Exception as error:
            print(number, repr(error))  # noqa: T201
            counts["failed"] += 1
    return counts


def _run_layers(graph: Graph) -> None:
    """Build and run each layer on the meta device, and hold it to the shape that the graph says.

    A network runs its layers one after the other and does nothing else, so it runs where they do. Layers
    that have run on maps of these shapes before are not run again.
    """
    for node in graph.nodes:
        key = (node.layer, node.input_shapes)
        if key in _RUN:
            continue
        with torch.device("meta"), torch.inference_mode():
            module = node.layer.module(node.input_shapes).eval()
            output = module(*(torch.empty(1, *shape) for shape in node.input_shapes))
        if tuple(output.shape) != (1, *node.shape):
            raise ValueError(f"{node.name} gives {tuple(output.shape)}, not {node.shape}")
        _RUN.add(key)


_RUN: set[tuple[Layer, tuple[Shape, ...]]] = set()


def _gathered(work: Any, count: int, processes: int) -> Counter[str]:
    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    total: Counter[str] = Counter()
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for counts in pool.imap_unordered(work, chunks):
            total.update(counts)
    return total


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--architectures", type=int, default=10_000)
    parser.add_argument("--builds", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    return parser.parse_args()


if __name__ == "__main__":
    main()
