"""A study of any size, written straight into the tables: what a search leaves behind, without the search.

Architectures, parameters and distributions are drawn from the family by Optuna's random sampler, so that
rows have the size that they have in life. So many distinct ones are drawn once and used again and again under
made-up hashes: drawing 100,000 would take minutes and change no row's size. Accuracy and latency follow the
costs with noise; of a hundred trials 66 are complete, 12 pruned, 20 infeasible and 2 failed.
"""

import random
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from math import log10
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from sqlalchemy import Engine, insert, update

from nas_service.constraints import violations
from nas_service.store.engine import writing
from nas_service.store.models import EpochRow, EventRow, StudyRow, TrialRow, table
from nas_service.studies import StudySpec
from search_spaces import analyse, resolve_space

STUDY, TRIAL, EPOCH, EVENT = table(StudyRow), table(TrialRow), table(EpochRow), table(EventRow)
DISTINCT = 1000
ROWS_A_STATEMENT = 2000
TRIALS_PER_SECOND = 30
# Of every hundred trials, by their number modulo 100.
STATES = (*["complete"] * 66, *["pruned"] * 12, *["infeasible"] * 20, *["failed"] * 2)
RUNGS = {"complete": (1, 3, 9), "pruned": (1, 3), "infeasible": (), "failed": (1,)}

Row = dict[str, Any]


def fill(engine: Engine, study_id: int, count: int, *, seed: int = 0) -> None:
    """Add ended trials to a study without any, with learning curves (at rungs alone) and events."""
    with writing(engine) as connection:
        study = connection.execute(STUDY.select().where(STUDY.c.id == study_id)).mappings().one()
        spec = StudySpec.model_validate(study["spec"])
        drawn = _drawn(spec, tuple(study["input_shape"]), study["classes"], min(count, DISTINCT), seed)
        ended = dict.fromkeys(("complete", "pruned", "infeasible", "failed"), 0)
        for rows in _batches(_trials(study, spec, drawn, count, seed)):
            ids = list(
                connection.execute(
                    insert(TRIAL).returning(TRIAL.c.id, sort_by_parameter_order=True), rows
                ).scalars()
            )
            connection.execute(insert(EPOCH), list(_epochs(ids, rows)))
            connection.execute(insert(EVENT), list(_events(ids, rows)))
            for row in rows:
                ended[row["state"]] += 1
        counters = {"revision": count, "next_number": count, "next_ordinal": count}
        connection.execute(update(STUDY).where(STUDY.c.id == study_id).values(**counters, **ended))
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def _drawn(
    spec: StudySpec, input_shape: tuple[int, ...], classes: int, count: int, seed: int
) -> list[tuple[Row, dict[str, float]]]:
    """Return what proposals write of so many distinct architectures, each with its exact costs."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = resolve_space(spec.space)
    found = []
    for number in range(count):
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed * DISTINCT + number))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = study.ask()
            architecture = space.sample(trial, input_shape, classes)
        row = {
            "params": trial.params,
            "distributions": {name: distribution_to_json(d) for name, d in trial.distributions.items()},
            "architecture": architecture.to_dict(),
        }
        found.append((row, {name: float(v) for name, v in analyse(architecture).metrics().items()}))
    return found


def _trials(
    study: Any, spec: StudySpec, drawn: list[tuple[Row, dict[str, float]]], count: int, seed: int
) -> Iterator[Row]:
    chance = random.Random(seed)
    # All have finished before whatever finishes from now on, as in life.
    begun: datetime = study["created_at"] - timedelta(seconds=count / TRIALS_PER_SECOND + 10)
    for number in range(count):
        proposed, costs = drawn[number % len(drawn)]
        state = STATES[chance.randrange(len(STATES))]
        metrics, latency = _figures(costs, state, chance)
        started = begun + timedelta(seconds=number / TRIALS_PER_SECOND)
        yield {
            **proposed,
            "study_id": study["id"],
            "number": number,
            "ordinal": number,
            "revision": number + 1,
            "state": state,
            "reason": None if state == "complete" else f"ended as {state}",
            "space_version": 1,
            "attributes": {},
            "architecture_hash": f"{study['id']:08x}{number:056x}",
            "metrics": metrics,
            "violations": _broken(spec, metrics, latency, state),
            "timings": {
                "proposal_s": 0.004,
                "latency_s": 0.21,
                "training_s": 4.2,
                "trained_examples": 38_000.0,
            },
            "latency": latency,
            "seed": number,
            "attempt": 1,
            "worker": f"node{number % 16}-{number % 64}",
            "report_id": f"filled-{study['id']}-{number}",
            "versions": {"python": "3.11", "torch": "2.13", "optuna": "5.0", "nas_service": "0.1.0"},
            "artifacts": {},
            "created_at": started,
            "started_at": started,
            "finished_at": started + timedelta(seconds=2 + chance.random()),
        }


def _figures(
    costs: dict[str, float], state: str, chance: random.Random
) -> tuple[dict[str, float], dict[str, Any] | None]:
    if state == "infeasible":
        return costs, None
    latency_ms = (0.05 + costs["macs"] / 4e6) * chance.uniform(0.9, 1.3)
    accuracy = min(0.995, 0.55 + 0.08 * log10(costs["params"]) + chance.gauss(0.0, 0.03))
    measured = {"median_ms": latency_ms, "low_ms": latency_ms * 0.98, "high_ms": latency_ms * 1.02}
    latency = {
        **measured,
        "p90_ms": latency_ms * 1.1,
        "p99_ms": latency_ms * 1.3,
        "device": "cpu",
        "rounds": 40,
    }
    qualities = {"accuracy": accuracy, "error": 1 - accuracy, "f1_macro": accuracy - 0.01}
    return {**costs, **qualities, "latency_ms": latency_ms}, latency


def _broken(spec: StudySpec, metrics: dict[str, float], latency: Row | None, state: str) -> dict[str, float]:
    found = violations(metrics, spec.constraints, latency)
    if state == "infeasible":
        return {name: max(0.05, value) for name, value in found.items()}
    return {name: min(-0.01, value) for name, value in found.items()}


def _epochs(ids: list[int], rows: list[Row]) -> Iterator[Row]:
    for trial_id, row in zip(ids, rows, strict=True):
        accuracy = row["metrics"].get("accuracy", 0.5)
        for epoch in RUNGS[row["state"]]:
            share = 1 - 0.5 / epoch
            losses = {"train_loss": 2.0 / epoch, "validation_loss": 2.2 / epoch}
            yield {
                "trial_id": trial_id,
                "epoch": epoch,
                "attempt": 1,
                **losses,
                "accuracy": accuracy * share,
                "seconds": 0.4,
            }


def _events(ids: list[int], rows: list[Row]) -> Iterator[Row]:
    for trial_id, row in zip(ids, rows, strict=True):
        data = {"trial": trial_id, "number": row["number"], "state": row["state"]}
        yield {
            "study_id": row["study_id"],
            "kind": "trial.finished",
            "at": row["finished_at"],
            "data": data,
        }


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == ROWS_A_STATEMENT:
            yield batch
            batch = []
    if batch:
        yield batch
