"""What another limit would do to the share of a space that is feasible."""

from nas_service.slack import limit_hints
from nas_service.studies import Constraint

COSTS = [{"params": value, "macs": 10 * value} for value in (1000, 2000, 3000, 40_500)]


def test_each_hint_tells_the_share_that_its_bound_would_leave() -> None:
    hints = limit_hints(COSTS, {"params": Constraint(max=1500)}, [True] * 4)
    assert [(hint.metric, hint.max, hint.feasible_share) for hint in hints] == [
        ("params", 2000.0, 0.5),
        ("params", 3000.0, 0.75),
        ("params", 41_000.0, 1.0),
    ]


def test_the_other_limits_and_the_rules_of_the_space_stay() -> None:
    limits = {"params": Constraint(max=500), "macs": Constraint(max=25_000)}
    hints = limit_hints(COSTS, limits, [False, True, True, True])
    assert {(hint.metric, hint.feasible_share) for hint in hints} == {("params", 0.25)}


def test_nothing_is_said_of_lower_bounds_and_of_what_is_measured_later() -> None:
    limits = {"params": Constraint(min=5000), "latency_ms": Constraint(max=1)}
    assert limit_hints(COSTS, limits, [True] * 4) == []
