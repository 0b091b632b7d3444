"""How fast architectures are sampled, validated and analysed: the loop that rejects before training.

Sampling asks a seeded random trial; the architecture checks itself on construction; the analysis gives all
totals, receptive field and peak memory included. One process, one core. No architecture is drawn twice, and
each part is timed apart; the rate is of all together. What was remembered of branches seen before is part of
the method: `cold` is the rate over the first thousand of a fresh process.

    python -m benchmarks.analyser [--architectures 20000]
"""

import argparse
import gc
import multiprocessing
import time
from typing import Any

from benchmarks.report import conditions, print_table, write
from search_spaces import RandomTrial, analyse, families

SHAPE = (3, 32, 32)
CLASSES = 10
COLD = 1_000
BATCH = 500


def main() -> None:
    """Time every family in a process of its own, print a table and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--architectures", type=int, default=20_000)
    count = parser.parse_args().architectures
    results = {}
    for name in families.names():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            results[name] = pool.apply(measure, (name, count))
    rows = [
        [
            name,
            f"{figures['per_second']:,.0f}",
            f"{figures['cold_per_second']:,.0f}",
            f"{figures['sample_us']:.0f}",
            f"{figures['analyse_us']:.0f}",
            f"{figures['stages']:.1f}",
        ]
        for name, figures in results.items()
    ]
    print_table(["family", "per s", "cold per s", "sample us", "analyse us", "stages"], rows)
    content = {"conditions": conditions(), "architectures": count, "shape": SHAPE, "families": results}
    print(f"written to {write('analyser', content).name}")  # noqa: T201


def measure(name: str, count: int) -> dict[str, Any]:
    """Return the rates of one family; the best batch of 500 beside the mean, for machines are shared."""
    space = families.get(name).space
    gc.disable()
    sampling, analysing, batches, stages = 0.0, 0.0, [], 0
    for start in range(0, count, BATCH):
        first = time.perf_counter()
        drawn = [space.sample(RandomTrial(seed), SHAPE, CLASSES) for seed in range(start, start + BATCH)]
        second = time.perf_counter()
        costs = [analyse(architecture) for architecture in drawn]
        third = time.perf_counter()
        sampling, analysing = sampling + second - first, analysing + third - second
        batches.append(third - first)
        stages += sum(len(architecture.stages) for architecture in drawn)
        del costs, drawn
    cold = COLD // BATCH
    return {
        "per_second": count / sum(batches),
        "best_batch_per_second": BATCH / min(batches),
        "cold_per_second": cold * BATCH / sum(batches[:cold]),
        "sample_us": 1e6 * sampling / count,
        "analyse_us": 1e6 * analysing / count,
        "stages": stages / count,
    }


if __name__ == "__main__":
    main()
