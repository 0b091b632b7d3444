"""The figures of all trials of a study as arrays: what fronts, orders and plots are made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nas_service.metrics import METRICS
from nas_service.trials import Arm, TrialState

STATES: tuple[TrialState, ...] = ("waiting", "running", "complete", "pruned", "infeasible", "failed")
ARMS: tuple[Arm, ...] = ("search", "random", "enqueued")
NAMES = tuple(METRICS)
_PLACES = {state: place for place, state in enumerate(STATES)}


@dataclass(frozen=True, slots=True)
class Batch:
    """The figures of some trials, an entry a trial each; what they mean stands at `Columns`."""

    numbers: list[int]
    ids: list[int]
    states: list[TrialState]
    feasible: list[bool]
    excluded: list[bool]
    arms: list[Arm]
    finished: list[float] | NDArray[np.float64]
    metrics: list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Columns:
    """One array a figure; row n is trial number n, for numbers have no holes and rows are never taken away.

    About 130 bytes a trial. Values are never changed: `changed` returns others.
    """

    # The study's revision whose trials these are, or somewhat newer.
    revision: int
    ids: NDArray[np.int64]
    # Places in `STATES`.
    states: NDArray[np.int8]
    # Whether it keeps every limit.
    feasible: NDArray[np.bool_]
    # Whether the newest space leaves it out.
    excluded: NDArray[np.bool_]
    # Places in `ARMS`.
    arms: NDArray[np.int8]
    # Microseconds since 1970; when it was proposed, where it has not ended.
    finished: NDArray[np.float64]
    # A column a metric, in the order of `NAMES`; NaN where a trial has none.
    metrics: NDArray[np.float64]

    @classmethod
    def empty(cls) -> Self:
        """Return the columns of a study without trials."""
        return cls(
            revision=0,
            ids=np.empty(0, np.int64),
            states=np.empty(0, np.int8),
            feasible=np.empty(0, np.bool_),
            excluded=np.empty(0, np.bool_),
            arms=np.empty(0, np.int8),
            finished=np.empty(0),
            metrics=np.empty((0, len(NAMES))),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def values(self, name: str) -> NDArray[np.float64]:
        """Return a metric's column."""
        return self.metrics[:, NAMES.index(name)]

    def are(self, *states: TrialState) -> NDArray[np.bool_]:
        """Mark the trials in any of some states."""
        return np.isin(self.states, [STATES.index(state) for state in states])

    def changed(self, revision: int, batches: Iterable[Batch]) -> "Columns":
        """Return the columns at a later revision, with some trials in place of what was known of them.

        Args:
            revision: Read before the trials.
            batches: All trials that changed since the revision of these columns, and every new one.
        """
        parts = [_arrays(batch) for batch in batches if batch.numbers]
        if not parts:
            return replace(self, revision=revision)
        places, *news = (np.concatenate(column) for column in zip(*parts, strict=True))
        size = max(len(self), int(places.max()) + 1)
        olds: Sequence[NDArray[Any]] = (
            self.ids,
            self.states,
            self.feasible,
            self.excluded,
            self.arms,
            self.finished,
            self.metrics,
        )
        columns = (_placed(old, new, places, size) for old, new in zip(olds, news, strict=True))
        return Columns(revision, *columns)

    def ordered(
        self,
        name: str,
        *,
        among: NDArray[np.bool_] | None = None,
        behind: int | None,
        limit: int,
        worst_first: bool = False,
    ) -> list[int]:
        """Return trial numbers by a metric, the best first and those without it last, ties by number.

        Args:
            name: The metric; `number` lists by number.
            among: Marks the trials to list; all where it is None.
            behind: The trial after which the answer starts, wherever that one now stands.
            limit: At most so many.
            worst_first: The other way round; those without the metric still come last.
        """
        if behind is not None and behind >= len(self):
            return []
        keys = self._keys(name, worst_first)
        chosen = np.arange(len(self)) if among is None else np.flatnonzero(among)
        if behind is not None:
            chosen = chosen[_comes_after(keys[chosen], chosen, keys[behind], behind)]
        return [int(number) for number in _first(keys, chosen, limit)]

    def _keys(self, name: str, is_reversed: bool) -> NDArray[np.float64]:
        """Return what trials are sorted by, the first one's smallest."""
        if name == "number":
            keys = np.arange(len(self), dtype=np.float64)
            return -keys if is_reversed else keys
        is_falling = (METRICS[name].goal == "max") is not is_reversed
        return -self.values(name) if is_falling else self.values(name)


def _arrays(batch: Batch) -> tuple[NDArray[Any], ...]:
    # What a trial has no figure of comes as None, and becomes NaN.
    figures = [list(map(metrics.get, NAMES)) for metrics in batch.metrics]
    return (
        np.array(batch.numbers, np.int64),
        np.array(batch.ids, np.int64),
        np.array([_PLACES[state] for state in batch.states], np.int8),
        np.array(batch.feasible, np.bool_),
        np.array(batch.excluded, np.bool_),
        np.array([ARMS.index(arm) for arm in batch.arms], np.int8),
        np.array(batch.finished, np.float64),
        np.array(figures, np.float64),
    )


def _placed(old: NDArray[Any], new: NDArray[Any], places: NDArray[np.int64], size: int) -> NDArray[Any]:
    grown = np.zeros((size, *old.shape[1:]), old.dtype)
    grown[: len(old)] = old
    grown[places] = new
    return grown


def _comes_after(
    keys: NDArray[np.float64], numbers: NDArray[np.int64], key: float, number: int
) -> NDArray[np.bool_]:
    """Mark what stands behind a place; NaN is behind every key."""
    if np.isnan(key):
        return np.isnan(keys) & (numbers > number)
    is_equal = (keys == key) & (numbers > number)
    return np.asarray(is_equal | (keys > key) | np.isnan(keys), np.bool_)


def _first(keys: NDArray[np.float64], chosen: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Return the first of some numbers by key, ties by number, without sorting all of them."""
    if len(chosen) > limit:
        bound = np.partition(keys[chosen], limit - 1)[limit - 1]
        if not np.isnan(bound):
            chosen = chosen[keys[chosen] <= bound]
    # Numbers rise already, and a stable sort leaves ties as they are.
    return chosen[np.argsort(keys[chosen], kind="stable")][:limit]
