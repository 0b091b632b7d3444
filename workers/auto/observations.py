"""What a study's trials have shown, as models read it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nas_service.metrics import METRICS
from search_spaces import Architecture, Cost, RandomTrial, analyse
from search_spaces.random_trial import Scalar
from workers.auto.task import Task

# Under these names a trial carries what Optuna has no place for; see `told`.
ARCHITECTURE, HASH, FIGURES, EPOCHS, RUNGS = "architecture", "architecture_hash", "figures", "epochs", "rungs"


@dataclass(frozen=True)
class Observed:
    """One trial; its architecture is drawn when it is first asked for, which takes a millisecond."""

    trial: FrozenTrial
    task: Task
    is_running: bool
    # Trained to the last epoch, within all limits that are not soft.
    is_complete: bool
    # Beyond a soft limit: it stands on no front, but shows what lies there.
    is_beyond: bool
    # By metric what was seen, each with its epoch; exact costs are left out.
    seen: Mapping[str, tuple[tuple[float, float], ...]]

    @property
    def hash(self) -> str:
        """The architecture's."""
        return str(self.trial.user_attrs[HASH])

    @property
    def params(self) -> Mapping[str, Scalar]:
        return self.trial.params

    @cached_property
    def architecture(self) -> Architecture:
        """Drawn again, which is faster than reading it; what a person enqueued has no parameters."""
        if self.trial.params:
            return self.task.draw(RandomTrial(0, fixed=self.trial.params))
        return Architecture.from_dict(self.trial.user_attrs[ARCHITECTURE])

    @cached_property
    def cost(self) -> Cost:
        return analyse(self.architecture)

    def exact(self, metric: str) -> float:
        """Return an exact cost: as it was told, or computed."""
        known = self.trial.user_attrs[FIGURES].get(metric)
        return float(self.cost.metrics()[metric] if known is None else known)


def told(
    architecture: Mapping[str, Any],
    architecture_hash: str,
    figures: Mapping[str, float],
    epochs: float | None,
    rungs: Mapping[int, float],
) -> dict[str, Any]:
    """Return what a trial must carry in its user attributes, for `observed` to read.

    Args:
        architecture: Its description.
        architecture_hash: Of the canonical description.
        figures: Its last figures by metric.
        epochs: How many it was trained for; None for all of them.
        rungs: Its accuracy behind earlier epochs.
    """
    return {
        ARCHITECTURE: architecture,
        HASH: architecture_hash,
        FIGURES: figures,
        EPOCHS: epochs,
        RUNGS: rungs,
    }


def observed(trial: FrozenTrial, task: Task) -> Observed | None:
    """Return what a trial has shown; None for one that is still being drawn, forbidden, or hidden."""
    extra = trial.user_attrs
    if ARCHITECTURE not in extra:
        return None
    reached = float(extra[EPOCHS] or task.epochs)
    broken = {name for name, excess in trial.constraints.items() if excess > 0}
    has_figures = trial.state is TrialState.COMPLETE
    # What a limit rejected that is soft by now was never trained.
    is_judged = broken <= task.soft.keys() and task.uncertain_objectives <= extra[FIGURES].keys()
    return Observed(
        trial=trial,
        task=task,
        is_running=trial.state is TrialState.RUNNING,
        is_complete=has_figures and is_judged and reached >= task.epochs,
        is_beyond=bool(broken),
        seen=_seen(extra, reached) if has_figures else {},
    )


def _seen(extra: Mapping[str, Any], reached: float) -> dict[str, tuple[tuple[float, float], ...]]:
    seen: dict[str, tuple[tuple[float, float], ...]] = {
        name: ((reached, float(value)),)
        for name, value in extra[FIGURES].items()
        if METRICS[name].kind != "cost"
    }
    earlier = {float(epoch): float(value) for epoch, value in extra[RUNGS].items() if float(epoch) < reached}
    for epoch, accuracy in earlier.items():
        for name, value in (("accuracy", accuracy), ("error", 1.0 - accuracy)):
            if name in seen:
                seen[name] = (*seen[name], (epoch, value))
    return seen


class Reader:
    """Reads all trials of a study, each once, and again when its row has changed."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._rows: list[FrozenTrial] = []
        # In the order of the rows, each architecture where it came first.
        self._observed: list[Observed | None] = []
        # Where each architecture came first, by hash.
        self._places: dict[str, int] = {}

    @property
    def trials(self) -> list[Observed]:
        """What the trials have shown, each architecture once."""
        return [trial for trial in self._observed if trial is not None]

    @property
    def known(self) -> Collection[str]:
        """The hashes of all architectures."""
        return self._places.keys()

    def read(self, rows: Sequence[FrozenTrial]) -> None:
        """Take in all rows as they are now."""
        if len(rows) < len(self._rows):
            self._forget_from(len(rows))
        known = len(self._rows)
        changed = [place for place in range(known) if self._rows[place] is not rows[place]]
        self._rows = list(rows)
        self._observed += [None] * (len(rows) - known)
        for place in [*changed, *range(known, len(rows))]:
            self._read_row(place)

    def _read_row(self, place: int) -> None:
        self._observed[place] = None
        trial = observed(self._rows[place], self._task)
        if trial is None:
            return
        first = self._places.setdefault(trial.hash, place)
        if place < first:
            self._observed[first] = None
            self._places[trial.hash] = place
        if place <= first:
            self._observed[place] = trial

    def _forget_from(self, place: int) -> None:
        del self._rows[place:], self._observed[place:]
        self._places = {key: where for key, where in self._places.items() if where < place}
