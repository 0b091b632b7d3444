"""What folding keeps and what it saves: logits, layers, multiply-accumulates, and latency on request.

Exactness: random stages, half of the default space and half of one made of sums, each trained for a few steps
behind the stages before it on real digits; folded logits must equal unfolded ones. Reach: which stages of the
default space fold into one kernel, and how many layers remain.

Latency, which is all that is measured with `--study-front`: the architectures of a file before and after, in
turns, so that what slows the machine slows both; one thread, batch 1; a ratio is the median over rounds.

    python -m benchmarks.folding [--quick] [--study-front FILE.json]
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime
import torch
from sklearn.datasets import load_digits

from benchmarks.report import conditions, print_table, write
from search_spaces import Architecture, RandomTrial, SearchSpace, analyse, resolve_space
from search_spaces.cost import layer_costs
from search_spaces.modules import build
from search_spaces.modules.folding import fold
from search_spaces.modules.network import Network
from search_spaces.onnx_model import graph_to_onnx
from search_spaces.wording import is_foldable

SUMS: dict[str, Any] = {
    "depth": [1, 2],
    "stage": {
        "branches": [1, 2, 3, 4],
        "branch": {
            "operation": ["conv", "depthwise_separable", "igc", "bottleneck", "shuffle_unit", "identity"],
            "kernel": [1, 3, 5],
            "shape": ["square", "column", "row", "column_row"],
            "groups": [1, 2, 4],
            "dilation": [1, 2],
        },
        "width": [8, 16, 32],
        "fusion": ["add", "weighted", "weighted_free", "weighted_sigmoid"],
        "connection": ["none", "residual", "weighted"],
        "downsample": ["none", "max", "avg", "stride"],
    },
}
FOLDINGS: dict[str, dict[str, Any]] = {
    "never": {"merge": "never"},
    "cheaper": {"merge": "cheaper"},
    "always": {"merge": "always"},
    "concat": {"merge": "always", "concat": True},
    "dense": {"merge": "cheaper", "dense": True},
}
STEPS, BATCH, COMPARED, TOLERANCE = 20, 64, 128, 1e-4
RUNS_A_ROUND = 20
Run = Callable[[], object]


@dataclass(frozen=True)
class Saving:
    """Layers and MACs over many samples, folded in one way."""

    folding: str
    layers_before: float
    layers: float
    # Of the folded to the unfolded networks, in all.
    macs_ratio: float


@dataclass(frozen=True)
class LatencyRatio:
    """Median latency of one architecture in one runtime, before and after."""

    architecture: str
    runtime: str
    folding: str
    before_ms: float
    after_ms: float
    # Median over rounds of after to before.
    ratio: float
    spread: float


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples, a third of the rounds")
    parser.add_argument(
        "--study-front", type=Path, help="JSON list of architectures whose latency to compare"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.study_front:
        _report_latencies(_latencies(options.study_front, 7 if options.quick else 21))
    else:
        count, samples = (30, 500) if options.quick else (300, 5000)
        _report(_exactness(count), _reach(samples), _savings(count))


def _exactness(count: int) -> dict[str, Any]:
    """Return the largest difference of logits for each folding, over trained stages."""
    digits = load_digits()
    images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float32)
    labels = torch.tensor(digits.target)
    spaces = [resolve_space("multi_scale"), SearchSpace.from_dict(SUMS)]
    largest, foldable = dict.fromkeys(FOLDINGS, 0.0), 0
    for seed in range(count):
        architecture = _up_to_a_stage(spaces[seed % 2].sample(RandomTrial(seed), (1, 8, 8), 10), seed)
        foldable += is_foldable(architecture.stages[-1])
        network = _trained(architecture, images, labels, seed)
        with torch.no_grad():
            logits = network(images[:COMPARED])
            for name, choices in FOLDINGS.items():
                difference = float((fold(network, **choices)(images[:COMPARED]) - logits).abs().max())
                largest[name] = max(largest[name], difference)
    assert max(largest.values()) <= TOLERANCE, largest
    return {
        "stages": count,
        "foldable": foldable,
        "steps": STEPS,
        "images": COMPARED,
        "largest_difference": largest,
    }


def _up_to_a_stage(architecture: Architecture, seed: int) -> Architecture:
    """Return the network cut behind one of its stages."""
    last = seed // 2 % len(architecture.stages) + 1
    shape, classes = architecture.input_shape, architecture.classes
    return Architecture(shape, classes, architecture.stages[:last], architecture.head)


def _trained(architecture: Architecture, images: torch.Tensor, labels: torch.Tensor, seed: int) -> Network:
    network = build(architecture, seed=seed)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        chosen = torch.randint(len(images), (BATCH,), generator=generator)
        loss = torch.nn.functional.cross_entropy(network(images[chosen]), labels[chosen])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return network.eval()


def _reach(samples: int) -> dict[str, float]:
    """Return which shares of the default space's samples fold into one kernel a stage."""
    space = resolve_space("multi_scale")
    networks = [space.sample(RandomTrial(seed), (1, 28, 28), 10).stages for seed in range(samples)]
    stages = [stage for network in networks for stage in network]
    several = [stage for stage in stages if len(stage.branches) > 1]
    return {
        "samples": samples,
        "foldable_stages": mean(map(is_foldable, stages)),
        "foldable_stages_of_several_branches": mean(map(is_foldable, several)),
        "linear_stages": mean(stage.is_linear for stage in stages),
        "architectures_with_a_foldable_stage": mean(any(map(is_foldable, each)) for each in networks),
        "architectures_whose_stages_all_fold": mean(all(map(is_foldable, each)) for each in networks),
    }


def _savings(samples: int) -> list[Saving]:
    space = resolve_space("multi_scale")
    before: list[tuple[int, int]] = []
    after: dict[str, list[tuple[int, int]]] = {name: [] for name in FOLDINGS}
    for seed in range(samples):
        network = build(space.sample(RandomTrial(seed), (1, 28, 28), 10), seed=seed).eval()
        before.append(_size(network))
        for name, choices in FOLDINGS.items():
            after[name].append(_size(fold(network, **choices)))
    layers, macs = (list(column) for column in zip(*before, strict=True))
    return [
        Saving(
            name, mean(layers), mean(size[0] for size in sizes), sum(size[1] for size in sizes) / sum(macs)
        )
        for name, sizes in after.items()
    ]


def _size(network: Network) -> tuple[int, int]:
    return len(network.graph.nodes), sum(cost.macs for cost in layer_costs(network.graph))


def _latencies(front: Path, rounds: int) -> list[LatencyRatio]:
    ratios = []
    for data in json.loads(front.read_text(encoding="utf-8")):
        architecture = Architecture.from_dict(data)
        network = build(architecture, seed=0).eval()
        folded = {name: fold(network, **choices) for name, choices in FOLDINGS.items()}
        for runtime, ready in {"torch": _in_torch, "onnxruntime": _in_onnx}.items():
            runs = {name: ready(each) for name, each in {"before": network, **folded}.items()}
            ratios += list(_compared(architecture.hash[:8], runtime, runs, rounds))
        macs = analyse(architecture).macs
        print(f"{architecture.hash[:8]}, {macs:,} MACs: measured", flush=True)  # noqa: T201
    return ratios


def _in_torch(network: Network) -> Run:
    example = torch.randn((1, *network.graph.input_shape), generator=torch.Generator().manual_seed(0))

    @torch.inference_mode()
    def run() -> object:
        return network(example)

    return run


def _in_onnx(network: Network) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    session = onnxruntime.InferenceSession(graph_to_onnx(network.graph, state), options)
    shape = (1, *network.graph.input_shape)
    feed = {"input": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
    return lambda: session.run(None, feed)


def _compared(name: str, runtime: str, runs: dict[str, Run], rounds: int) -> Iterator[LatencyRatio]:
    """Yield a ratio for each folding; each round runs all, in turns that start one further each time."""
    times: dict[str, list[float]] = {contender: [] for contender in runs}
    order = list(runs)
    for _ in range(rounds + 1):
        for contender in order:
            times[contender].append(_round_ms(runs[contender]))
        order = order[1:] + order[:1]
    before = times["before"][1:]
    for folding in FOLDINGS:
        # The first round warms up.
        after = times[folding][1:]
        ratios = [one / other for one, other in zip(after, before, strict=True)]
        low, high = np.quantile(ratios, [0.25, 0.75])
        yield LatencyRatio(
            name, runtime, folding, median(before), median(after), median(ratios), float(high - low) / 2
        )


def _round_ms(run: Run) -> float:
    times = []
    for _ in range(RUNS_A_ROUND):
        started = perf_counter()
        run()
        times.append(perf_counter() - started)
    return 1000 * median(times)


def _report(exact: dict[str, Any], reach: dict[str, float], savings: list[Saving]) -> None:
    headers = ["folding", "largest difference", "layers before", "layers", "MACs"]
    rows = [
        [
            row.folding,
            f"{exact['largest_difference'][row.folding]:.1e}",
            f"{row.layers_before:.1f}",
            f"{row.layers:.1f}",
            f"x{row.macs_ratio:.3f}",
        ]
        for row in savings
    ]
    print_table(headers, rows)
    print_table(["of the default space", "share"], [[name, f"{value:.4g}"] for name, value in reach.items()])
    content = {
        "conditions": conditions("torch", "numpy", "scikit-learn"),
        "exactness": exact,
        "reach": {name: round(value, 4) for name, value in reach.items()},
        "savings": [_rounded(row.__dict__) for row in savings],
    }
    print(write("folding", content))  # noqa: T201


def _report_latencies(latencies: list[LatencyRatio]) -> None:
    medians = _medians(latencies)
    headers = ["runtime", "folding", "architectures", "latency, median", "best", "worst"]
    print_table(headers, [[str(value) for value in row.values()] for row in medians])
    content = {
        "conditions": conditions("torch", "onnxruntime", "numpy"),
        "medians": medians,
        "latencies": [_rounded(row.__dict__) for row in latencies],
    }
    print(write("folding_latency", content))  # noqa: T201


def _medians(latencies: list[LatencyRatio]) -> list[dict[str, Any]]:
    rows = []
    for runtime, folding in dict.fromkeys((row.runtime, row.folding) for row in latencies):
        ratios = [row.ratio for row in latencies if (row.runtime, row.folding) == (runtime, folding)]
        row = {"runtime": runtime, "folding": folding, "architectures": len(ratios)}
        rows.append(_rounded({**row, "median": median(ratios), "best": min(ratios), "worst": max(ratios)}))
    return rows


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


if __name__ == "__main__":
    main()
