"""Searches of one data set by several samplers, each for the same time on the same machine, then confirmed.

    python -m benchmarks.duel DATA --minutes 45 --samplers auto nsga2

`auto` searches as the product does by default; the others as they come: without early stopping, every
candidate trained to the end. All have the same space, limits, recipe, epochs and workers, and all are spared
what breaks a limit. Members of each front are trained again from scratch with several seeds and tested once.
What is told is the hypervolume of (error, log10 of parameters), by validation as searched and by the test
part as confirmed. Each sampler's study is kept in the work folder: what is there is not searched again, and a
confirmation that was interrupted goes on.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import conditions, print_table, write
from benchmarks.searching import IDEAL, REFERENCE, relative_hypervolume
from benchmarks.served import Served, served
from nas_service.client import Client, Study
from nas_service.studies import StudySpec

POLL_S = 2.0


def main() -> None:
    arguments = _arguments()
    arguments.work.mkdir(parents=True, exist_ok=True)
    results = {}
    # All search on the machine as it is now; who confirms first has no bearing on what is found.
    for sampler in arguments.samplers:
        _search(sampler, arguments)
    for sampler in arguments.samplers:
        file = arguments.work / f"{sampler}.json"
        if not file.exists():
            file.write_text(json.dumps(_confirmed(sampler, arguments)), encoding="utf-8")
        results[sampler] = json.loads(file.read_text(encoding="utf-8"))
    rows = [
        [
            name,
            result["trained"],
            result["members"],
            *(f"{result[form]:.4f}" for form in ("searched", "confirmed")),
        ]
        for name, result in results.items()
    ]
    print_table(
        ["sampler", "trained", "members", "searched", "confirmed"], [[str(c) for c in row] for row in rows]
    )
    content = {"minutes": arguments.minutes, "reference": REFERENCE, "ideal": IDEAL, "samplers": results}
    write(arguments.name, {**conditions("torch", "optuna", "onnxruntime"), **content})


def _spec(sampler: str, dataset: str, arguments: argparse.Namespace) -> dict[str, Any]:
    limits = {"params": {"max": arguments.max_params}, "latency_ms": {"max": arguments.max_latency_ms}}
    augmentation = {"crop_padding": 4, "horizontal_flip": True} if arguments.augment else {}
    return {
        "name": f"duel-{sampler}",
        "dataset": dataset,
        "objectives": [{"metric": "accuracy"}, {"metric": "params"}],
        "constraints": {name: limit for name, limit in limits.items() if limit["max"]},
        "search": {"sampler": sampler, "seed": arguments.seed},
        "training": {
            "epochs": arguments.epochs,
            "early_stopping": "pareto" if sampler == "auto" else "none",
            "recipe": {"augmentation": augmentation},
        },
        "budget": {"trials": None, "minutes": arguments.minutes},
    }


def _search(sampler: str, arguments: argparse.Namespace) -> None:
    """Search for the whole time; a search that was interrupted cannot go on, one that ended is kept."""
    with _installed(sampler, arguments) as (home, client):
        study = next(iter(client.studies()), None)
        if study is None:
            # What an earlier search had found is not what this one will find.
            (arguments.work / f"{sampler}.json").unlink(missing_ok=True)
            dataset = client.add_dataset(Path(arguments.data)).name
            client.search(_spec(sampler, dataset, arguments)).wait(poll_s=POLL_S)
            return
        if study.refresh().state != "finished":
            raise SystemExit(f"{home} holds a search that was interrupted; remove it and start again")
        if study.spec != StudySpec.model_validate(_spec(sampler, study.spec.dataset, arguments)):
            raise SystemExit(f"{home} holds another search than this one; remove it, or name another --work")


def _confirmed(sampler: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Confirm what was found, or go on with that, and return the figures."""
    with _installed(sampler, arguments) as (_, client):
        study = next(iter(client.studies()))
        front = study.front()
        _confirm(study, arguments.seeds)
        return _figures(study, front.rows())


@contextmanager
def _installed(sampler: str, arguments: argparse.Namespace) -> Iterator[tuple[Path, Client]]:
    """Yield a sampler's own data folder and a client of its server, with workers beside it."""
    home = arguments.work / f"home-{sampler}"
    home.mkdir(exist_ok=True)
    with (
        served(home, f"sqlite:///{home / 'nas.db'}") as server,
        _workers(server, home, arguments.workers),
        Client(server.address, token=server.token) as client,
    ):
        yield home, client


def _confirm(study: Study, seeds: int) -> None:
    view = study.confirmation()
    if not view.members:
        view = study.confirm(top=None, seeds=seeds)
    while view.is_under_way:
        time.sleep(POLL_S)
        view = study.confirmation()


def _figures(study: Study, rows: list[dict[str, Any]]) -> dict[str, Any]:
    params = {row["number"]: row["params"] for row in rows}
    confirmation = study.confirmation()
    found = []
    for member in confirmation.members:
        mean = member.confirmed.mean[confirmation.quality] if member.confirmed else None
        deviation = member.confirmed.deviation if member.confirmed else {}
        found.append(
            {
                "number": member.number,
                "params": params[member.number],
                "searched": member.searched,
                "confirmed": mean,
                "deviation": deviation.get(confirmation.quality),
            }
        )
    counts = study.refresh().counts
    trained = [trial.view for trial in study.trials() if trial.state in ("complete", "pruned")]
    broken = Counter(name for view in trained for name, excess in view.violations.items() if excess > 0)
    return {
        "spec": study.spec.model_dump(mode="json"),
        "trained": counts.complete + counts.pruned,
        "complete": counts.complete,
        "pruned": counts.pruned,
        "infeasible": counts.infeasible,
        "failed": counts.failed,
        # Of what was trained, how many break which limit.
        "trained_beyond": dict(broken),
        "members": len(found),
        "searched": _volume([(row["searched"], row["params"]) for row in found]),
        "confirmed": _volume([(row["confirmed"], row["params"]) for row in found if row["confirmed"]]),
        "front": found,
    }


def _volume(rows: list[tuple[float, float]]) -> float:
    return relative_hypervolume(np.array([(1.0 - accuracy, np.log10(params)) for accuracy, params in rows]))


@contextmanager
def _workers(server: Served, home: Path, count: int) -> Iterator[None]:
    environment = {**os.environ, "NAS_TOKEN": server.token, "NAS_HOME": str(home / "workers")}
    command = [sys.executable, "-m", "workers", "--server", server.address, "--workers-here", str(count)]
    processes = [subprocess.Popen([*command, "--name", f"w{n}"], env=environment) for n in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="a file or folder with a data set")
    parser.add_argument("--samplers", nargs="+", default=["auto", "nsga2"])
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--max-params", type=float, default=150_000)
    parser.add_argument("--max-latency-ms", type=float, default=1.5)
    parser.add_argument("--augment", action="store_true", help="flips and crops of photographs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="duel", help="of the file in benchmarks/results")
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "nas-duel")
    return parser.parse_args()


if __name__ == "__main__":
    main()
