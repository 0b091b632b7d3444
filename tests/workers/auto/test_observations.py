"""Trials are read once each, and every architecture counts where it came first."""

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas_service.studies import Objective, StudySpec
from workers.auto import Task
from workers.auto.observations import Reader, told

OBJECTIVES = (Objective(metric="accuracy"), Objective(metric="params"))
TASK = Task.from_spec(StudySpec(dataset="digits", objectives=OBJECTIVES), (1, 8, 8), 10)


def row(seed: int, accuracy: float | None) -> FrozenTrial:
    """Return a trial of the architecture of a seed, running if it has no accuracy yet."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    asked = study.ask()
    architecture = TASK.space.sample(asked, TASK.input_shape, TASK.classes)
    figures = {} if accuracy is None else {"accuracy": accuracy}
    return create_trial(
        state=TrialState.RUNNING if accuracy is None else TrialState.COMPLETE,
        values=None if accuracy is None else [accuracy, 1.0],
        params=asked.params,
        distributions=asked.distributions,
        user_attrs=told(architecture.to_dict(), architecture.hash, figures, None, {}),
    )


def seen(reader: Reader) -> list[float | None]:
    """Return what each architecture reached, in the reader's order; None while it trains."""
    return [trial.seen["accuracy"][0][1] if trial.seen else None for trial in reader.trials]


def test_a_row_that_changes_is_read_again_and_keeps_its_place() -> None:
    reader, other = Reader(TASK), row(2, 0.6)
    reader.read([row(1, None), other])
    assert seen(reader) == [None, 0.6]
    reader.read([row(1, 0.5), other, row(3, 0.7)])
    assert seen(reader) == [0.5, 0.6, 0.7]
    assert len(reader.known) == 3


def test_an_architecture_counts_once_where_it_came_first() -> None:
    first, again, drawn = row(1, 0.5), row(1, 0.9), create_trial(state=TrialState.RUNNING)
    at_once, in_steps = Reader(TASK), Reader(TASK)
    at_once.read([first, again])
    # The first one is still being drawn when the second is there already.
    in_steps.read([drawn, again])
    assert seen(in_steps) == [0.9]
    in_steps.read([first, again])
    assert seen(at_once) == seen(in_steps) == [0.5]


def test_rows_that_are_gone_are_forgotten() -> None:
    reader, kept = Reader(TASK), row(1, 0.5)
    reader.read([kept, row(2, 0.6)])
    reader.read([kept])
    assert seen(reader) == [0.5]
    assert len(reader.known) == 1
    reader.read([kept, row(2, 0.8)])
    assert seen(reader) == [0.5, 0.8]
