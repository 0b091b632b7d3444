"""Limits on latency are judged by the statistic that they name."""

import pytest

from nas_service.constraints import violations
from nas_service.ledger.proposals import broken_limits
from nas_service.studies import Constraint

MEASURED = {"median_ms": 1.0, "low_ms": 0.9, "high_ms": 1.1, "p90_ms": 1.5, "p99_ms": 3.0}


@pytest.mark.parametrize(("at", "excess"), [("median", 0.1), ("p90", 0.5), ("p99", 2.0)])
def test_a_latency_limit_is_applied_to_its_statistic_and_the_median_to_its_upper_end(
    at: str, excess: float
) -> None:
    limit = Constraint.model_validate({"max": 1.0, "at": at})
    found = violations({"latency_ms": 1.0}, {"latency_ms": limit}, MEASURED)
    assert found == {"latency_ms": pytest.approx(excess)}


def test_a_median_without_an_interval_is_taken_as_it_is() -> None:
    limits = {"latency_ms": Constraint(max=2.0)}
    assert violations({"latency_ms": 1.0}, limits, {"median_ms": 1.0}) == {"latency_ms": -0.5}


def test_without_a_measurement_the_figure_itself_is_judged() -> None:
    assert violations({"latency_ms": 3.0}, {"latency_ms": Constraint(max=2.0)}) == {"latency_ms": 0.5}


def test_a_limit_broken_hugely_is_told_without_an_exponent() -> None:
    told = broken_limits({"params": 15_000.0, "macs": 0.25, "model_bytes": -1.0})
    assert told == "breaks the limit on params by 15,000 times its bound, macs by 25 %"
