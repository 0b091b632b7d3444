"""Timing a network in short bursts between probes of the reference network."""

from time import perf_counter

import numpy as np

from workers.latency.estimate import DISTURBED, Round, Times, estimate
from workers.latency.reference import Reference
from workers.latency.runtime import Run

WARM_UP_RUNS = 5
WARM_UP_S = 0.01
# Long enough to be warm again after the reference, short enough that few disturbances begin and end within.
BURST_S = 0.0015
MIN_RUNS, MAX_RUNS = 2, 20
# The estimate is looked at after each so many rounds: fewer may agree by chance.
ROUNDS_A_LOOK = 15
# Disturbed rounds that are timed all the same, so that there is a figure where no other comes.
KEPT_DISTURBED = 15


def take_rounds(run: Run, reference: Reference, time_cap_s: float) -> list[Round]:
    """Return rounds of a network, warm: until their estimate is as narrow as wanted, or the time is up.

    After some disturbed rounds the network waits for the reference to run undisturbed before its next burst.
    """
    started = perf_counter()
    runs = warm_up(run)
    rounds: list[Round] = []
    disturbed = 0
    before = reference.probe()
    while not rounds or perf_counter() - started < time_cap_s:
        if disturbed >= KEPT_DISTURBED and before > DISTURBED * reference.undisturbed_s:
            before = reference.probe()
            continue
        times = burst(run, runs)
        after = reference.probe()
        rounds.append(Round(times, before, after))
        disturbed += rounds[-1].is_disturbed(reference.undisturbed_s)
        before = after
        if len(rounds) % ROUNDS_A_LOOK == 0 and not estimate(rounds, reference.learn()).is_noisy:
            break
    return rounds


def warm_up(run: Run) -> int:
    """Run until warm; return how many runs make a burst."""
    started, runs, shortest = perf_counter(), 0, float("inf")
    while runs < WARM_UP_RUNS or perf_counter() - started < WARM_UP_S:
        shortest = min(shortest, float(burst(run, 1)[0]))
        runs += 1
    return min(MAX_RUNS, max(MIN_RUNS, round(BURST_S / shortest)))


def burst(run: Run, runs: int) -> Times:
    """Return the seconds of each of some runs in a row."""
    times = np.empty(runs)
    for index in range(runs):
        started = perf_counter()
        run()
        times[index] = perf_counter() - started
    return times
