"""How well latency is predicted: on the device that was measured, and on another from ten measurements.

Random architectures of the default space are measured in ONNX Runtime ("cpu") and in torch ("cpu-torch",
which stands in for a new device); see `benchmarks.latency_samples`. Two questions, each over 20 random draws
of what is measured, and over five sets of 100 networks that no draw and no design ever saw:

- same device: measured on 200, predicted on 100;
- new device: ten measurements in torch, the predictor of ONNX Runtime as prior, predicted on 100.

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
# A rank correlation of one hundred is itself uncertain by about 0.01, so there are several sets of them.
DESIGNED_ON, UNSEEN, SETS, FITTED, FEW = 320, 100, 5, 200, 10
NETWORKS = DESIGNED_ON + UNSEEN * SETS
LEVELS = (0.5, 0.8, 0.9, 0.95)
DEVICE, NEW_DEVICE = "cpu", "cpu-torch"


@dataclass(frozen=True)
class Split:
    """Which networks are fitted on and which are unseen."""

    fitted: list[int]
    unseen: list[int]


@dataclass(frozen=True)
class Score:
    """How good a way of predicting is on unseen networks, over several draws and sets."""

    question: str
    predictor: str
    # Means over draws and sets; the worst of a single draw on a single set; means over draws, a set each.
    spearman: float
    worst_spearman: float
    spearman_by_set: list[float]
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
        times, fitted = self.milliseconds[DEVICE], [self._drawn(seed) for seed in range(self.draws)]
        started = perf_counter()
        fits = [self._fit(chosen, times) for chosen in fitted]
        seconds = (perf_counter() - started) / len(fits)
        return *self._judged("same device", DEVICE, fitted, fits), seconds

    def new_device(self) -> tuple[list[Score], list[Coverage]]:
        """Return scores and coverages on the other device."""
        few, fits = [], []
        for seed in range(self.draws):
            fitted = self._drawn(seed)
            prior = self._fit(fitted, self.milliseconds[DEVICE])
            few.append(fitted[:FEW])
            fits.append(self._fit(few[-1], self.milliseconds[NEW_DEVICE], prior))
        return self._judged(f"new device, {FEW} measured", NEW_DEVICE, few, fits)

    def _judged(
        self, question: str, device: str, fitted: list[list[int]], fits: list[LatencyPredictor]
    ) -> tuple[list[Score], list[Coverage]]:
        """Judge each fit on each set: of splits and predictions the sets of one draw follow each other."""
        times = self.milliseconds[device]
        splits = [Split(chosen, unseen) for chosen in fitted for unseen in _unseen()]
        fits = [fit for fit in fits for _ in range(SETS)]
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

    def _drawn(self, seed: int) -> list[int]:
        chosen: list[int] = np.random.default_rng(seed).permutation(DESIGNED_ON)[:FITTED].tolist()
        return chosen


def _unseen() -> list[list[int]]:
    """Return the networks of each set."""
    firsts = range(DESIGNED_ON, NETWORKS, UNSEEN)
    return [list(range(first, first + UNSEEN)) for first in firsts]


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
    return Score(question, name, mean(rhos), min(rhos), _by_set(rhos))


def _score(question: str, name: str, predicted: list[Array], times: Array, splits: list[Split]) -> Score:
    truths = [times[split.unseen] for split in splits]
    pairs = list(zip(predicted, truths, strict=True))
    errors = [np.abs(one / truth - 1) for one, truth in pairs]
    rhos = [_spearman(one, truth) for one, truth in pairs]
    medians = [float(np.median(each)) for each in errors]
    within = mean(float((each <= 0.1).mean()) for each in errors)
    by_set = _by_set(rhos)
    return Score(question, name, mean(rhos), min(rhos), by_set, within, mean(medians), max(medians))


def _by_set(rhos: list[float]) -> list[float]:
    return [round(mean(rhos[number::SETS]), 4) for number in range(SETS)]


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
    headers = ["question", "predictor", "Spearman", "worst", "by set", "within 10 %", "median error"]
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
        "draws": bench.draws,
        "unseen": {"sets": SETS, "networks_each": UNSEEN},
        "samples": samples.name,
        "scores": [_rounded(asdict(score)) for score in scores],
        "coverages": [_rounded(asdict(coverage)) for coverage in coverages],
        **speed,
    }
    name = "predictor" if samples.parent == RESULTS else f"predictor_{samples.stem}"
    print(write(name, content))  # noqa: T201


def _row(score: Score) -> list[str]:
    sets = " ".join(f"{rho:.3f}" for rho in score.spearman_by_set)
    rank = [f"{score.spearman:.3f}", f"{score.worst_spearman:.3f}", sets]
    if score.within_10_percent is None or score.median_error is None:
        return [score.question, score.predictor, *rank, "", ""]
    return [score.question, score.predictor, *rank, *_percents(score.within_10_percent, score.median_error)]


def _percents(*parts: float) -> list[str]:
    return [f"{100 * part:.1f} %" for part in parts]


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


if __name__ == "__main__":
    main()
