"""Measured latencies of random architectures, kept in a file so that measuring can be resumed.

Networks are measured folded, batch 1, on one thread, in ONNX Runtime ("cpu") and in torch ("cpu-torch"),
eight at a time in turns. A shared host runs at two speeds, a third apart, that change within milliseconds to
seconds. Only the faster one is reproducible, so a pass keeps the shortest run of many short bursts, and of
several passes, minutes apart, the shortest counts. How far the passes differ is how exact the figures are.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime
import torch

from search_spaces import RandomTrial, resolve_space
from search_spaces.deployment import DeployedNetwork, deployed
from search_spaces.modules.network import Network

CLASSES = 10
BLOCK, ROUNDS, RUNS, BURST_S = 8, 24, 4, 0.0015
Run = Callable[[], object]
# Milliseconds by device, pass and network.
Samples = dict[str, list[dict[str, float]]]


@dataclass(frozen=True)
class Population:
    """Random architectures, of which no two are deployed as the same network."""

    family: str
    input_shape: tuple[int, ...]
    count: int

    def networks(self) -> dict[str, DeployedNetwork]:
        """Return the networks by their seed."""
        space, found = resolve_space(self.family), dict[str, DeployedNetwork]()
        for seed in range(4 * self.count):
            network = deployed(space.sample(RandomTrial(seed), self.input_shape, CLASSES))
            found.setdefault(network.hash, network)
            if len(found) == self.count:
                break
        return {str(number): network for number, network in enumerate(found.values())}


def measured(networks: dict[str, DeployedNetwork], path: Path, *, passes: int) -> dict[str, dict[str, float]]:
    """Return milliseconds by device and network, the shortest of all passes; measures what the file lacks.

    Args:
        networks: What to measure, by name.
        path: The file that is read first and written after each block.
        passes: How often each network is measured.
    """
    samples: Samples = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for number in range(passes):
        for block in _missing(networks, samples, number):
            _keep(samples, number, _block_ms(block))
            path.write_text(json.dumps(samples) + "\n", encoding="utf-8")
    return {
        device: {name: min(each[name] for each in rows[:passes]) for name in networks}
        for device, rows in samples.items()
    }


def _missing(
    networks: dict[str, DeployedNetwork], samples: Samples, number: int
) -> Iterator[dict[str, DeployedNetwork]]:
    rows = samples.get("cpu", [])
    known = rows[number] if number < len(rows) else {}
    names = [name for name in networks if name not in known]
    for first in range(0, len(names), BLOCK):
        yield {name: networks[name] for name in names[first : first + BLOCK]}


def _keep(samples: Samples, number: int, times: dict[tuple[str, str], float]) -> None:
    for (device, name), milliseconds in times.items():
        rows = samples.setdefault(device, [])
        rows.extend({} for _ in range(number + 1 - len(rows)))
        rows[number][name] = round(milliseconds, 5)


def _block_ms(block: dict[str, DeployedNetwork]) -> dict[tuple[str, str], float]:
    runs: dict[tuple[str, str], Run] = {}
    for name, network in block.items():
        runs["cpu", name], runs["cpu-torch", name] = _in_onnx(network), _in_torch(network)
    rounds = [{key: _shortest_ms(run) for key, run in runs.items()} for _ in range(ROUNDS)]
    return {key: min(times[key] for times in rounds) for key in runs}


def _shortest_ms(run: Run) -> float:
    times: list[float] = []
    while len(times) < RUNS or sum(times) < BURST_S:
        started = perf_counter()
        run()
        times.append(perf_counter() - started)
    return 1000 * min(times)


def _example(network: DeployedNetwork) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    shape = (1, *network.graph.input_shape)
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _in_onnx(network: DeployedNetwork) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(network.to_onnx(), options, providers=["CPUExecutionProvider"])
    feed = {"input": _example(network)}
    return lambda: session.run(None, feed)


def _in_torch(network: DeployedNetwork) -> Run:
    module = Network(network.graph)
    state = {name: torch.from_numpy(np.asarray(value)) for name, value in network.state.items()}
    module.load_state_dict(state)
    module.eval()
    example = torch.from_numpy(_example(network))

    @torch.inference_mode()
    def run() -> object:
        return module(example)

    return run
