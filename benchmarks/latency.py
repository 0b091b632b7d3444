"""Whether latencies taken at different hours agree, with the reference network divided out and without.

Random networks of the default space at 28x28x1 are measured twice, in different orders; during the second
pass a process on the next core works in changing phases. "plain" is the protocol without a reference: the
median over rounds of each round's shortest run, rounds going on until their middle half agrees within 2 % or
0.6 s are up. Both protocols take turns on each network, so the machine does the same to both.

    python -m benchmarks.latency [--quick]
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import mean, median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.disturbance import disturbed, pin
from benchmarks.report import conditions, print_table, write
from search_spaces import Architecture, RandomTrial, resolve_space
from search_spaces.deployment import deployed
from workers.latency import measure, self_test
from workers.latency.device import runtime_of
from workers.latency.rounds import burst, warm_up
from workers.latency.runtime import example_of

NETWORKS, QUICK_NETWORKS = 40, 10
# Of the plain protocol.
ROUNDS, RUNS_A_ROUND, AGREEMENT, PLAIN_CAP_S = 5, 20, 0.02, 0.6
GOAL_TAU, GOAL_DIFFERENCE = 0.95, 0.03


@dataclass(frozen=True)
class Taken:
    """One network's latency in one pass."""

    median_ms: float
    seconds: float
    is_noisy: bool


@dataclass(frozen=True)
class Agreement:
    """How two passes of one protocol agree."""

    protocol: str
    kendall_tau: float
    # Relative, between the two figures of one network.
    median_difference: float
    p90_difference: float
    largest_difference: float
    # Of the second, disturbed pass to the first.
    bias: float
    seconds_a_network: float
    # Of both passes together.
    noisy: int


Protocol = Callable[[Architecture], Taken]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a quarter of the networks")
    count = QUICK_NETWORKS if parser.parse_args().quick else NETWORKS
    cores = os.cpu_count() or 1
    pin(cores - 1)
    tests, architectures = [_self_tested()], _architectures(count)
    first = _pass(architectures, seed=1)
    with disturbed(core=max(0, cores - 2), seed=1):
        tests.append(_self_tested())
        second = _pass(architectures, seed=2)
    passes = {name: (first[name], second[name]) for name in PROTOCOLS}
    agreements = [_agreement(name, *both) for name, both in passes.items()]
    _print(agreements)
    content = {
        "conditions": conditions("onnxruntime", "onnx", "numpy"),
        "networks": count,
        "agreements": [_rounded(asdict(each)) for each in agreements],
        "goals_met": _meets_goals(agreements[0]),
        # Before the first pass, and at the beginning of the second.
        "self_tests": tests,
        # By protocol, a pair for each network.
        "median_ms": {
            name: [[round(each.median_ms, 5) for each in pair] for pair in zip(*both, strict=True)]
            for name, both in passes.items()
        },
    }
    print(write("latency", content))  # noqa: T201


def _self_tested() -> dict[str, Any]:
    started = perf_counter()
    found = self_test()
    return {**asdict(found), "seconds": round(perf_counter() - started, 3)}


def _architectures(count: int) -> list[Architecture]:
    """Return distinct networks."""
    space, seed = resolve_space("multi_scale"), 0
    found: dict[str, Architecture] = {}
    while len(found) < count:
        architecture = space.sample(RandomTrial(seed), (1, 28, 28), 10)
        found[deployed(architecture).hash] = architecture
        seed += 1
    return list(found.values())


def _pass(architectures: list[Architecture], seed: int) -> dict[str, list[Taken]]:
    """Measure all by each protocol, in an order that the seed draws; return them in the given order."""
    taken: dict[str, dict[int, Taken]] = {name: {} for name in PROTOCOLS}
    for index in np.random.default_rng(seed).permutation(len(architectures)):
        for name, protocol in PROTOCOLS.items():
            taken[name][int(index)] = protocol(architectures[index])
    return {name: [figures[index] for index in sorted(figures)] for name, figures in taken.items()}


def _with_reference(architecture: Architecture) -> Taken:
    started = perf_counter()
    measurement = measure(architecture)
    return Taken(measurement.median_ms, perf_counter() - started, measurement.is_noisy)


def _plain(architecture: Architecture) -> Taken:
    started = perf_counter()
    network = deployed(architecture)
    run = runtime_of("cpu").prepare(network, example_of(network))
    warm_up(run)
    shortest, rounds_started = [], perf_counter()
    while True:
        shortest.append(1e3 * float(burst(run, RUNS_A_ROUND).min()))
        low, middle, high = np.quantile(shortest, [0.25, 0.5, 0.75])
        agrees, is_late = (high - low) / 2 < AGREEMENT * middle, perf_counter() - rounds_started > PLAIN_CAP_S
        if len(shortest) >= ROUNDS and (agrees or is_late):
            return Taken(float(middle), perf_counter() - started, not agrees)


PROTOCOLS: dict[str, Protocol] = {"reference": _with_reference, "plain": _plain}


def _agreement(name: str, first: list[Taken], second: list[Taken]) -> Agreement:
    ones, others = ([each.median_ms for each in taken] for taken in (first, second))
    changes = [other / one - 1 for one, other in zip(ones, others, strict=True)]
    differences = [abs(change) for change in changes]
    return Agreement(
        protocol=name,
        kendall_tau=kendall_tau(ones, others),
        median_difference=median(differences),
        p90_difference=float(np.quantile(differences, 0.9)),
        largest_difference=max(differences),
        bias=median(changes),
        seconds_a_network=mean(each.seconds for each in [*first, *second]),
        noisy=sum(each.is_noisy for each in [*first, *second]),
    )


def kendall_tau(ones: list[float], others: list[float]) -> float:
    """Return the share of pairs in the same order less the share in the opposite one; no ties are expected.

    Example:
        >>> kendall_tau([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
        0.3333333333333333
    """
    pairs = list(combinations(range(len(ones)), 2))
    return sum(float(np.sign((ones[i] - ones[j]) * (others[i] - others[j]))) for i, j in pairs) / len(pairs)


def _print(agreements: list[Agreement]) -> None:
    headers = ["protocol", "Kendall tau", "difference, median", "p90", "largest", "bias", "s each", "noisy"]
    print_table(headers, [_row(each) for each in agreements])
    print(  # noqa: T201
        f"goals with the reference: tau >= {GOAL_TAU}, median difference < {GOAL_DIFFERENCE:.0%}: "
        f"{'met' if _meets_goals(agreements[0]) else 'missed'}"
    )


def _meets_goals(agreement: Agreement) -> bool:
    return agreement.kendall_tau >= GOAL_TAU and agreement.median_difference < GOAL_DIFFERENCE


def _row(each: Agreement) -> list[str]:
    shares = [each.median_difference, each.p90_difference, each.largest_difference, each.bias]
    texts = [f"{100 * share:.1f} %" for share in shares]
    return [
        each.protocol,
        f"{each.kendall_tau:.3f}",
        *texts,
        f"{each.seconds_a_network:.2f}",
        str(each.noisy),
    ]


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


if __name__ == "__main__":
    main()
