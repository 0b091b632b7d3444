"""How well latency is predicted: on the device that was measured, and on another from ten measurements.

Random architectures of the default space are measured in ONNX Runtime ("cpu") and in torch ("cpu-torch",
which stands in for a new device); see `benchmarks.latency_samples`. Two questions, each over 20 random draws:

- same device: measured on 200, predicted on 100 that it never saw;
- new device: ten measurements in torch, the predictor of ONNX Runtime as prior, 100 that neither saw.

    taskset -c 1 python -m benchmarks.predictor [--quick] [--samples FILE] [--family F --input 1 28 28]

What the file of samples holds is not measured again; it is kept beside the results.
"""

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression

from benchmarks.latency_samples import Population, measured
from benchmarks.report import RESULTS, conditions, print_table, write
from search_spaces.cost import layer_costs
from search_spaces.graph import Graph
from workers.prediction import LatencyPredictor

Array = NDArray[np.float64]
# The predictor was designed on the first networks; it is judged on the others, which played no part in that.
DESIGNED_ON, UNSEEN, FITTED, FEW = 320, 100, 200, 10
NETWORKS = DESIGNED_ON + UNSEEN
LEVELS = (0.5, 0.8, 0.9, 0.95)
DEVICE, NEW_DEVICE = "cpu", "cpu-torch"


@dataclass(frozen=True)
class Split:
    """Which networks are fitted on and which are unseen."""

    fitted: list[int]
    unseen: list[int]


@dataclass(frozen=True)
class Score:
    """How good a way of predicting is on unseen networks, over several draws."""

    question: str
    predictor: str
    draws: int
    spearman: float
    worst_spearman: float
    # Relative errors; None for what only ranks.
    within_10_percent: float | None = None
    median_error: float | None = None
    worst_median_error: float | None = None


@dataclass(frozen=True)
class Coverage:
    """How many of the unseen latencies an interval held."""

    question: str
    level: float
    held: float
    least_held: float
    # Half of the interval's width, relative to the prediction; median.
    half_width: float


class Bench:
    """The networks and what they took."""

    def __init__(self, graphs: list[Graph], milliseconds: dict[str, Array], draws: int) -> None:
        self.graphs, self.milliseconds, self.draws = graphs, milliseconds, draws
        costs = [layer_costs(graph) for graph in graphs]
        self.counts = {
            "parameters": np.array([sum(each.params for each in cost) for cost in costs], dtype=float),
            "MACs": np.array([sum(each.macs for each in cost) for cost in costs], dtype=float),
        }

    def same_device(self) -> tuple[list[Score], list[Coverage], float]:
        """Return scores and coverages on the measured device, and the seconds a fit took."""
        times, splits = self.milliseconds[DEVICE], [self._split(seed) for seed in range(self.draws)]
        started = perf_counter()
        fits = [self._fit(split.fitted, times) for split in splits]
        seconds = (perf_counter() - started) / len(fits)
        return *self._judged("same device", DEVICE, splits, fits), seconds

    def new_device(self) -> tuple[list[Score], list[Coverage]]:
        """Return scores and coverages on the other device."""
        splits, fits = [], []
        for seed in range(self.draws):
            split = self._split(seed)
            prior = self._fit(split.fitted, self.milliseconds[DEVICE])
            few = split.fitted[:FEW]
            fits.append(self._fit(few, self.milliseconds[NEW_DEVICE], prior))
            splits.append(Split(few, split.unseen))
        return self._judged(f"new device, {FEW} measured", NEW_DEVICE, splits, fits)

    def _judged(
        self, question: str, device: str, splits: list[Split], fits: list[LatencyPredictor]
    ) -> tuple[list[Score], list[Coverage]]:
        times = self.milliseconds[device]
        ours = [self._predicted(fit, split) for fit, split in zip(fits, splits, strict=True)]
        scores = [_ranked(question, name, counts, times, splits) for name, counts in self.counts.items()]
        if device == NEW_DEVICE:
            scores.append(_ranked(question, DEVICE, self.milliseconds[DEVICE], times, splits))
        linear = [_linear(self.counts["MACs"], times, split) for split in splits]
        scores.append(_score(question, "linear in MACs", linear, times, splits))
        scores.append(_score(question, "LatencyPredictor", ours, times, splits))
        return scores, [self._coverage(question, level, fits, splits, times) for level in LEVELS]

    def _coverage(
        self, question: str, level: float, fits: list[LatencyPredictor], splits: list[Split], times: Array
    ) -> Coverage:
        held, widths = [], []
        for fit, split in zip(fits, splits, strict=True):
            answers = fit.predict_all([self.graphs[index] for index in split.unseen], level=level)
            truth = times[split.unseen].tolist()
            pairs = zip(answers, truth, strict=True)
            held.append(mean(each.low_ms <= ms <= each.high_ms for each, ms in pairs))
            widths += [(each.high_ms - each.low_ms) / 2 / each.median_ms for each in answers]
        return Coverage(question, level, mean(held), min(held), float(np.median(widths)))

    def _fit(
        self, chosen: list[int], times: Array, prior: LatencyPredictor | None = None
    ) -> LatencyPredictor:
        return LatencyPredictor.fit([self.graphs[index] for index in chosen], times[chosen], prior=prior)

    def _predicted(self, fit: LatencyPredictor, split: Split) -> Array:
        return np.array([each.median_ms for each in fit.predict_all([self.graphs[i] for i in split.unseen])])

    def _split(self, seed: int) -> Split:
        order = np.random.default_rng(seed).permutation(DESIGNED_ON).tolist()
        return Split(order[:FITTED], list(range(DESIGNED_ON, len(self.graphs))))


def main() -> None:
    """Measure what is missing, then judge and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one pass and three draws")
    parser.add_argument("--samples", type=Path, default=RESULTS / "latency_samples.json", metavar="FILE")
    parser.add_argument("--family", default="multi_scale")
    parser.add_argument("--input", type=int, nargs="+", default=[1, 28, 28])
    options = parser.parse_args()
    torch.set_num_threads(1)
    passes, draws = (1, 3) if options.quick else (3, 20)
    networks = Population(options.family, tuple(options.input), NETWORKS).networks()
    times = measured(networks, options.samples, passes=passes)
    bench = Bench(
        [network.graph for network in networks.values()],
        {device: np.array([row[name] for name in networks]) for device, row in times.items()},
        draws,
    )
    _report(bench, options.samples, f"{options.family} at {'x'.join(map(str, options.input))}")


def _ranked(question: str, name: str, values: Array, times: Array, splits: list[Split]) -> Score:
    rhos = [_spearman(values[split.unseen], times[split.unseen]) for split in splits]
    return Score(question, name, len(splits), mean(rhos), min(rhos))


def _score(question: str, name: str, predicted: list[Array], times: Array, splits: list[Split]) -> Score:
    truths = [times[split.unseen] for split in splits]
    pairs = list(zip(predicted, truths, strict=True))
    errors = [np.abs(one / truth - 1) for one, truth in pairs]
    rhos = [_spearman(one, truth) for one, truth in pairs]
    medians = [float(np.median(each)) for each in errors]
    within = mean(float((each <= 0.1).mean()) for each in errors)
    return Score(question, name, len(splits), mean(rhos), min(rhos), within, mean(medians), max(medians))


def _linear(macs: Array, times: Array, split: Split) -> Array:
    line = LinearRegression().fit(macs[split.fitted, None], times[split.fitted])
    predicted: Array = line.predict(macs[split.unseen, None])
    return predicted


def _spearman(one: Array, other: Array) -> float:
    return float(spearmanr(one, other).statistic)


def _predict_ms(bench: Bench) -> float:
    """Return the median time of a prediction, the network's amounts of work included."""
    fit = LatencyPredictor.fit(bench.graphs[:FITTED], bench.milliseconds[DEVICE][:FITTED])
    times = []
    for graph in bench.graphs[FITTED:]:
        started = perf_counter()
        fit.predict(graph)
        times.append(perf_counter() - started)
    return 1000 * median(times)


def _report(bench: Bench, samples: Path, population: str) -> None:
    scores, coverages, fit_seconds = bench.same_device()
    more_scores, more_coverages = bench.new_device()
    scores += more_scores
    coverages += more_coverages
    headers = ["question", "predictor", "Spearman", "worst", "within 10 %", "median error"]
    print_table(headers, [_row(score) for score in scores])
    headers = ["question", "level", "held", "least", "half width"]
    rows = [
        [each.question, *_percents(each.level, each.held, each.least_held, each.half_width)]
        for each in coverages
    ]
    print_table(headers, rows)
    speed = {"fit_seconds": round(fit_seconds, 3), "predict_ms": round(_predict_ms(bench), 3)}
    print_table(list(speed), [[str(value) for value in speed.values()]])
    content = {
        "conditions": conditions("numpy", "scikit-learn", "onnxruntime", "torch"),
        "population": population,
        "measured": len(bench.graphs),
        "samples": samples.name,
        "scores": [_rounded(asdict(score)) for score in scores],
        "coverages": [_rounded(asdict(coverage)) for coverage in coverages],
        **speed,
    }
    name = "predictor" if samples.parent == RESULTS else f"predictor_{samples.stem}"
    print(write(name, content))  # noqa: T201


def _row(score: Score) -> list[str]:
    rank = [f"{score.spearman:.3f}", f"{score.worst_spearman:.3f}"]
    if score.within_10_percent is None or score.median_error is None:
        return [score.question, score.predictor, *rank, "", ""]
    return [score.question, score.predictor, *rank, *_percents(score.within_10_percent, score.median_error)]


def _percents(*parts: float) -> list[str]:
    return [f"{100 * part:.1f} %" for part in parts]


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


if __name__ == "__main__":
    main()
