"""Searchers on the table: hypervolume against epochs spent, `python -m benchmarks.search`.

Every searcher gets the same answers from the same table (`benchmarks/table`), the same seeds, and free
repeats. Runs are kept in a working file, so that it goes on where it was stopped; figures and a plot are
written from all of them.
"""

import argparse
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from scipy.stats import wilcoxon

from benchmarks.report import RESULTS, conditions, print_table, write
from benchmarks.search_plot import Curve, svg
from benchmarks.searchers import OWN_RUNGS, SEARCHERS, SYNE_TUNE
from benchmarks.searching import EPOCHS, FAR_REFERENCE, IDEAL, REFERENCE, search
from benchmarks.table.answers import Errors, Sight, Table
from benchmarks.table.records import committed_path

# Random search without rungs sets the levels that others are to reach: after so many trials.
LEVELS = (200, 1000)
# Earlier than at the end, so many epochs spent, searchers are compared too.
BEFORE = (90, 180)
# Which share of random's epochs `auto` may take for each.
GOALS = {200: 0.15, 1000: 0.05}
DRAWS = 2000
# What tells a run in the working file from the others.
KEY = ("code", "data", "rows", "sees", "searcher", "has_rungs", "seed", "limit")
# What decides a run beside its key; a change of any of these makes what was run before another run.
DECIDING = (
    "benchmarks/searchers.py",
    "benchmarks/searching.py",
    "benchmarks/syne_tune_searchers.py",
    "benchmarks/table/*.py",
    "nas_service/early_stopping.py",
    "nas_service/front.py",
    "search_spaces/**/*.py",
    "workers/auto/*.py",
    "workers/samplers.py",
)
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Contender:
    """A searcher, with or without early stopping at the rungs."""

    searcher: str
    has_rungs: bool

    @property
    def name(self) -> str:
        return f"{self.searcher} + rungs" if self.has_rungs else self.searcher


def main() -> None:
    arguments = _arguments()
    contenders = [
        Contender(name, rungs)
        for name in arguments.searchers
        for rungs in ((True,) if name in OWN_RUNGS else (False, True))
    ]
    packages = ["optuna", "numpy", "scikit-learn", "scipy"]
    if set(arguments.searchers) & set(SYNE_TUNE):
        if importlib.util.find_spec("syne_tune") is None:
            raise SystemExit("no Syne Tune here: see benchmarks/table/README.md, or name --searchers")
        packages.append("syne-tune")
    if "random" not in arguments.searchers:
        raise SystemExit("--searchers needs random, which sets the levels that others are to reach")
    for name in arguments.data:
        table = Table(name, committed_path(name), sees=arguments.sees)
        runs = _runs(table, contenders, arguments)
        summary = _summary(name, table.errors(), runs, arguments.epochs)
        file = f"search_{name}" if arguments.sees == "features" else f"search_{name}_{arguments.sees}"
        references = {"reference": REFERENCE, "far_reference": FAR_REFERENCE, "ideal": IDEAL}
        content = {**references, "surrogate_sees": arguments.sees, **summary}
        write(file, {**conditions(*packages), **content})
        (RESULTS / f"{file}.svg").write_text(_plot(name, runs, arguments.epochs), encoding="utf-8")


def _runs(
    table: Table, contenders: Sequence[Contender], arguments: argparse.Namespace
) -> dict[Contender, list[dict[str, Any]]]:
    """Return the runs of each contender, one a seed; those that the working file lacks are run."""
    done = {_key(run): run for run in _read(arguments.work) if run.keys() >= set(KEY)}
    random, code = Contender("random", has_rungs=False), _code()
    found: dict[Contender, list[dict[str, Any]]] = {contender: [] for contender in contenders}
    for seed in range(arguments.seeds):
        for contender in contenders:
            epochs = LEVELS[-1] * EPOCHS if contender == random else arguments.epochs
            head = {
                "code": code,
                "data": table.name,
                "rows": len(table),
                "sees": table.sees,
                **asdict(contender),
                "seed": seed,
                "limit": epochs,
            }
            run = done.get(_key(head))
            if run is None:
                result = search(
                    table, contender.searcher, seed=seed, epochs=epochs, has_rungs=contender.has_rungs
                )
                run = {**head, **asdict(result)}
                arguments.work.parent.mkdir(parents=True, exist_ok=True)
                with arguments.work.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(run) + "\n")
            found[contender].append(run)
    return found


def _code() -> str:
    """Return a hash of all that decides a run."""
    files = sorted(path for pattern in DECIDING for path in ROOT.glob(pattern))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def _key(run: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(run[name] for name in KEY)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        yield json.loads(line)


def _summary(
    name: str, errors: Errors, runs: dict[Contender, list[dict[str, Any]]], epochs: int
) -> dict[str, Any]:
    """Print and return what the runs on one data set say."""
    random = runs[Contender("random", has_rungs=False)]
    levels = {trials: float(np.median(_at(random, trials * EPOCHS))) for trials in LEVELS}
    ours = runs.get(Contender("auto", has_rungs=True))
    rows = {contender.name: _row(found, levels, ours, epochs) for contender, found in runs.items()}
    print(f"\n{name}: {errors.rows} rows, surrogate off by {errors.mean_absolute_error:.4f} in accuracy")  # noqa: T201
    print(f"hypervolume of (error, log10 parameters) from {REFERENCE}, 1 down to {IDEAL}")  # noqa: T201
    print_table(
        [
            "searcher",
            f"volume at {epochs}",
            "95 %",
            "from afar",
            *(f"to random's {n}" for n in LEVELS),
            "p",
            *(f"p at {spent}" for spent in _before(epochs)),
            "repeats",
            "ms a proposal",
        ],
        [[title, *_cells(row, epochs)] for title, row in rows.items()],
    )
    return {
        "table": asdict(errors),
        "seeds": len(random),
        "epochs": epochs,
        "random_levels": levels,
        "goals": GOALS,
        "searchers": rows,
    }


def _row(
    found: list[dict[str, Any]],
    levels: dict[int, float],
    ours: list[dict[str, Any]] | None,
    epochs: int,
) -> dict[str, Any]:
    volumes = _at(found, epochs)
    low, high = _interval(volumes)
    proposals = sum(run["trials"] + run["repeats"] for run in found)
    return {
        "median": float(np.median(volumes)),
        "low": low,
        "high": high,
        "far_median": float(np.median(_at(found, epochs, "far_steps"))),
        # Which share of random's epochs it takes to random's level; None where half of the seeds do not come.
        "share_of_random": {trials: _share(found, level, trials) for trials, level in levels.items()},
        "p_against_auto": {
            spent: _paired(_at(ours, spent), _at(found, spent))
            for spent in (epochs, *_before(epochs))
            if ours is not None and ours is not found
        },
        "far_p_against_auto": (
            _paired(_at(ours, epochs, "far_steps"), _at(found, epochs, "far_steps"))
            if ours is not None and ours is not found
            else None
        ),
        "repeat_rate": sum(run["repeats"] for run in found) / proposals,
        "proposal_ms": 1000 * sum(run["proposal_s"] for run in found) / proposals,
        "curve": {spent: float(np.median(_at(found, spent))) for spent in range(45, epochs + 1, 45)},
    }


def _before(epochs: int) -> list[int]:
    return [spent for spent in BEFORE if spent < epochs]


def _cells(row: dict[str, Any], epochs: int) -> list[str]:
    shares = [f"{share:.3f}" if share is not None else "not" for share in row["share_of_random"].values()]
    interval = f"{row['low']:.3f}-{row['high']:.3f}"
    chances = ["< 0.0001" if p < 0.0001 else f"{p:.4f}" for p in row["p_against_auto"].values()]
    chances = chances or [""] * (1 + len(_before(epochs)))
    rest = [f"{row['repeat_rate']:.1%}", f"{row['proposal_ms']:.0f}"]
    return [f"{row['median']:.4f}", interval, f"{row['far_median']:.4f}", *shares, *chances, *rest]


def _at(runs: list[dict[str, Any]], epochs: int, steps: str = "steps") -> list[float]:
    """Return the hypervolume of each run when so many epochs were spent."""
    return [max((volume for spent, volume in run[steps] if spent <= epochs), default=0.0) for run in runs]


def _share(runs: list[dict[str, Any]], level: float, trials: int) -> float | None:
    spent = [
        min((spent for spent, volume in run["steps"] if volume >= level), default=np.inf) for run in runs
    ]
    middle = float(np.median(spent))
    return middle / (trials * EPOCHS) if np.isfinite(middle) else None


def _interval(volumes: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the median."""
    draws = np.random.default_rng(0).choice(np.array(volumes), size=(DRAWS, len(volumes)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return float(low), float(high)


def _paired(ours: Sequence[float], others: Sequence[float]) -> float:
    """Return the p of Wilcoxon's signed-rank test, two-sided, over pairs of equal seeds."""
    if np.allclose(ours, others):
        return 1.0
    return float(wilcoxon(ours, others).pvalue)


def _plot(name: str, runs: dict[Contender, list[dict[str, Any]]], epochs: int) -> str:
    """Return the curves of ours, with and without rungs, and of each other searcher the better one."""
    grid = range(9, epochs + 1, 9)
    curves = []
    best = {
        name: max(
            (contender for contender in runs if contender.searcher == name),
            key=lambda contender: np.median(_at(runs[contender], epochs)),
        )
        for name in dict.fromkeys(contender.searcher for contender in runs)
    }
    for contender, found in runs.items():
        if contender.searcher != "auto" and contender is not best[contender.searcher]:
            continue
        volumes = np.array([_at(found, spent) for spent in grid])
        low, middle, high = np.quantile(volumes, [0.25, 0.5, 0.75], axis=1)
        curves.append(Curve(contender.name, list(grid), list(middle), list(low), list(high)))
    return svg(f"{name}: hypervolume against epochs, median and quartiles", curves)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["mnist", "fsdd-logmel"])
    parser.add_argument("--searchers", nargs="+", default=list(SEARCHERS), choices=SEARCHERS)
    parser.add_argument(
        "--sees",
        default="features",
        choices=get_args(Sight),
        help="what the surrogate behind the table is fitted to",
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=450)
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "nas-table" / "search.jsonl")
    return parser.parse_args()


if __name__ == "__main__":
    main()
