"""The front that is carried on, against one found anew by comparing all with all."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas_service.columns import Batch, Columns
from nas_service.front import hypervolume
from nas_service.progress import MARGIN, Progress, objectives_of
from nas_service.studies import Constraint, StudySpec
from nas_service.trials import TrialState

NAMES = ("accuracy", "latency_ms", "params")
SPEC = StudySpec(dataset="digits", constraints={"params": Constraint(max=6)})
VALUE = st.one_of(st.integers(0, 8).map(float), st.just(float("nan")))
# state, keeps its limits, excluded, when it finished, its figures
TRIAL = st.tuples(
    st.sampled_from(["running", "complete", "complete", "complete", "pruned", "infeasible"]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([False, False, False, True]),
    st.integers(0, 5),
    st.tuples(VALUE, VALUE, VALUE),
)
Known = dict[int, tuple[TrialState, bool, bool, int, tuple[float, ...]]]


@st.composite
def histories(draw: st.DrawFn) -> list[Known]:
    """Looks at a study: each brings new trials, and may change any that is known."""
    looks, count = [], 0
    for _ in range(draw(st.integers(1, 5))):
        new = draw(st.integers(0, 6))
        changed = draw(st.lists(st.integers(0, count - 1), max_size=3, unique=True)) if count else []
        looks.append({number: draw(TRIAL) for number in [*changed, *range(count, count + new)]})
        count += new
    return looks


def batch(changes: Known) -> Batch:
    return Batch(
        numbers=list(changes),
        ids=[100 + number for number in changes],
        states=[trial[0] for trial in changes.values()],
        feasible=[trial[1] for trial in changes.values()],
        excluded=[trial[2] for trial in changes.values()],
        arms=["search"] * len(changes),
        finished=[float(trial[3]) for trial in changes.values()],
        metrics=[
            {name: value for name, value in zip(NAMES, trial[4], strict=True) if not np.isnan(value)}
            for trial in changes.values()
        ],
    )


def worthy(known: Known) -> list[int]:
    """What counts, in the order in which it finished."""
    counts = [
        number
        for number, (state, feasible, excluded, *_) in known.items()
        if state == "complete" and feasible and not excluded
    ]
    return sorted(counts, key=lambda number: (known[number][3], number))


def minimised(known: Known, number: int) -> np.ndarray:
    accuracy, *others = known[number][4]
    return np.array([-accuracy, *others])


def beats(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((one <= other).all() and (one < other).any())


def front_by_force(known: Known) -> list[int]:
    whole = [number for number in worthy(known) if not np.isnan(known[number][4]).any()]
    points = {number: minimised(known, number) for number in whole}
    return sorted(
        number for number in whole if not any(beats(points[other], points[number]) for other in whole)
    )


def reference_by_force(known: Known) -> list[float]:
    seen = [known[number][4][1] for number in worthy(known) if not np.isnan(known[number][4][1])]
    return [0.0, max(seen) * MARGIN if seen else 1.0, 6.0]


@given(histories())
def test_the_front_carried_on_is_the_front_found_anew_at_every_look(looks: list[Known]) -> None:
    objectives = objectives_of(SPEC, NAMES)
    columns, progress, known = Columns.empty(), Progress(objectives, SPEC), Known()
    for revision, changes in enumerate(looks, start=1):
        known |= changes
        columns = columns.changed(revision, [batch(changes)])
        standing = progress.follow(columns)
        assert list(standing.members) == front_by_force(known)
        assert list(standing.reference_point) == reference_by_force(known)
        assert standing == Progress(objectives, SPEC).follow(columns)
        order = worthy(known)
        values = np.array([known[number][4] for number in order]).reshape(len(order), 3)
        for count, volume in standing.steps:
            found = hypervolume(values[:count], standing.reference_point, ["max", "min", "min"])
            assert np.isclose(volume, found)
        assert [count for count, _ in standing.steps][-1:] == [len(order)] * bool(order)


@given(histories(), st.sampled_from(NAMES), st.integers(1, 4))
def test_pages_by_a_metric_hold_every_trial_once_with_the_best_first(
    looks: list[Known], name: str, size: int
) -> None:
    known = Known()
    for changes in looks:
        known |= changes
    columns = Columns.empty().changed(1, [batch(known)])
    sign = -1.0 if name == "accuracy" else 1.0

    def key(number: int) -> tuple[bool, float, int]:
        value = known[number][4][NAMES.index(name)]
        return np.isnan(value), 0.0 if np.isnan(value) else sign * value, number

    for state in (None, "complete"):
        among = columns.are("complete") if state else None
        found: list[int] = []
        while page := columns.ordered(name, among=among, behind=found[-1] if found else None, limit=size):
            found += page
        assert found == sorted((n for n in known if state in (None, known[n][0])), key=key)


def test_a_look_without_news_keeps_the_columns() -> None:
    columns = Columns.empty().changed(1, [batch({0: ("complete", True, False, 1, (0.5, 1.0, 2.0))})])
    later = columns.changed(2, [])
    assert later.revision == 2
    assert later.metrics is columns.metrics
