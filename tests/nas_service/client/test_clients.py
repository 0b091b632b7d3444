"""`Client` and `AsyncClient` against a real server, each step of a person's way once with either."""

import asyncio
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas_service.client import AsyncClient, AsyncStudy, AsyncTrial, Client, Study, Trial, calls
from nas_service.client.feeds import Pages
from nas_service.client.plans import itself
from nas_service.errors import InvalidInput, MissingPackage, NotFound, Unavailable
from nas_service.jobs import JobOutcome
from nas_service.ledger.sql import SqlLedger
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.trials import Outcome, WorkerInfo

FIELDS: dict[str, Any] = {
    "dataset": "digits",
    "constraints": {"params": {"max": 20_000}},
    "training": {"epochs": 3},
    "budget": {"trials": 5},
}


@pytest.fixture
def address(service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    monkeypatch.delenv("NAS_TOKEN", raising=False)
    with serving(settings.model_copy(update={"port": 0})) as address:
        monkeypatch.setenv("NAS_SERVER", address)
        yield address


@pytest.mark.parametrize(
    ("blocking", "awaited"), [(Client, AsyncClient), (Study, AsyncStudy), (Trial, AsyncTrial)]
)
def test_both_have_the_same_methods(blocking: type, awaited: type) -> None:
    def methods(owner: type) -> dict[str, list[str]]:
        found = inspect.getmembers(owner, inspect.isfunction)
        return {name: list(inspect.signature(method).parameters) for name, method in found if name[0] != "_"}

    assert methods(blocking) == methods(awaited)
    for name, method in inspect.getmembers(blocking, inspect.isfunction):
        assert name[0] == "_" or method.__doc__, name


def test_a_person_s_way(address: str, service: Service, finished_study: int) -> None:
    with Client() as client:
        study = client.search(FIELDS, name="mine")
        assert (study.name, study.state) == ("mine", "running")
        assert client.study("mine").id == client.study(study.id).id == study.id
        assert study.pause().state == "paused"
        assert study.resume().drain().state == "finished"
        assert study.wait().is_over
        assert [event.data["state"] for event in study.events() if event.kind == "study.state"][-1] == (
            "finished"
        )
        assert [each.id for each in client.studies()] == [study.id, finished_study]
        study.delete()
        with pytest.raises(NotFound):
            study.refresh()
        finished = client.study(finished_study)
        assert finished.front() == service.front(finished_study)
        best = next(finished.trials(state="complete", order_by="accuracy"))
        assert (
            best.metrics
            == service.trials(finished_study, state="complete", order_by="accuracy").items[0].metrics
        )
        assert finished.trial(best.number).details().id == best.id
        assert client.preflight(FIELDS, samples=20).sampled == 20
        pages = Pages(lambda token: calls.trials(finished_study, page_size=5, page_token=token), itself)
        sizes = []
        while (items := client.run(pages.more())) is not None:
            sizes.append(len(items))
        accurate = finished.trials(conditions="accuracy>0.5", order_by="-accuracy")
        assert all(trial.metrics["accuracy"] > 0.5 for trial in accurate)
        assert (sum(sizes), set(sizes[:-1])) == (len(list(finished.trials())), {5})


def test_the_same_way_awaited(address: str, service: Service, finished_study: int) -> None:
    async def go() -> None:
        async with AsyncClient() as client:
            study = await client.search(FIELDS, name="mine")
            assert (await client.study("mine")).id == study.id
            assert (await (await study.pause()).cancel()).state == "cancelled"
            assert (await study.wait()).is_over
            assert [each.id async for each in client.studies()] == [study.id, finished_study]
            kinds = [event.kind async for event in study.events()]
            assert kinds[-1] == "study.state"
            finished = await client.study(finished_study)
            assert await finished.front() == service.front(finished_study)
            numbers = [trial.number async for trial in finished.trials()]
            assert numbers == list(range(len(numbers)))
            with pytest.raises(NotFound):
                await client.trial(10**6)

    asyncio.run(go())


def test_waiting_longer_than_wanted_says_what_it_waits_for(address: str) -> None:
    with Client() as client, pytest.raises(TimeoutError, match="worker"):
        client.search(FIELDS).wait(timeout_s=0.0)


def test_a_spec_may_lie_in_a_file_and_name_a_file(address: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "shapes.npz", x=np.zeros((40, 8, 8), dtype=np.uint8), y=np.arange(40) % 4)
    (tmp_path / "spec.yaml").write_text(f"dataset: {tmp_path / 'shapes.npz'}\nbudget: {{trials: 3}}\n")
    with Client() as client:
        study = client.search(tmp_path / "spec.yaml", training={"epochs": 2})
        assert (study.spec.dataset, study.spec.budget.trials, study.spec.training.epochs) == ("shapes", 3, 2)
        assert study.name == "shapes-multi_scale"
        with pytest.raises(InvalidInput, match="epoch"):
            client.search(FIELDS, training={"epoch": 2})

    async def upload() -> str:
        async with AsyncClient() as client:
            return (await client.add_dataset(tmp_path / "shapes.npz", "again")).name

    assert asyncio.run(upload()) == "again"


def test_a_file_of_a_trial_arrives_whole_or_not_at_all(
    address: str,
    service: Service,
    ledger: SqlLedger,
    settings: Settings,
    tmp_path: Path,
    make_proposal: Callable[..., Any],
) -> None:
    content = json.dumps({"layers": 3}).encode()
    with Client() as client:
        study = client.search(FIELDS)
        worker = ledger.register(WorkerInfo(name="w", host="here", pid=1)).worker_id
        reserved = ledger.reserve(study.id, worker, [make_proposal(1)])
        sha256 = ledger.put_artifact(content)
        ledger.complete(
            reserved.leases[0],
            Outcome(
                report_id="only-one",
                state="complete",
                metrics={"accuracy": 0.9},
                artifacts={"architecture": sha256, "weights": sha256},
            ),
        )
        trial = study.trial(0)
        path = trial.download("architecture", tmp_path)
        assert path.read_bytes() == content

        async def again() -> Path:
            async with AsyncClient() as other:
                return await (await other.trial(trial.id)).download("architecture", tmp_path / "b.json")

        assert asyncio.run(again()).read_bytes() == content
        with pytest.raises(NotFound, match="there is: architecture, weights"):
            trial.download("evaluation", tmp_path)
        study.cancel()

        async def export() -> list[Path]:
            async with AsyncClient() as other:
                handle = await other.trial(trial.id)
                exporting = asyncio.create_task(
                    handle.export(tmp_path / "out", poll_s=0.01, formats=["card"])
                )
                while (work := ledger.next_work(worker)).job_lease is None:
                    await asyncio.sleep(0.01)
                outcome = JobOutcome(report_id="exported", state="complete", artifacts={"card.md": sha256})
                ledger.complete_job(work.job_lease, outcome)
                return await exporting

        assert [path.read_bytes() for path in asyncio.run(export())] == [content]
        (settings.artifacts_folder / sha256).write_bytes(b"{}")
        with pytest.raises(Unavailable):
            trial.download("architecture", tmp_path / "c.json")
        assert sorted(each.name for each in tmp_path.iterdir() if "json" in each.suffix) == ["b.json"]
        assert not list(tmp_path.glob(".part*"))


def test_a_front_is_drawn_and_tabled(
    address: str, finished_study: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with Client() as client:
        study = client.study(finished_study)
        front = study.front("params", "accuracy")
        figure = study.plot_front("params", "accuracy")
        assert figure.data[-1].name == "front"
        assert set(figure.data[-1].x) == {member.values["params"] for member in front.front}
        assert "&lt;img" in study._repr_html_()
        assert "<th>latency_ms</th>" in front._repr_html_()
        for needs_pandas in (study.to_pandas, front.to_pandas):
            with pytest.raises(MissingPackage, match="pip install pandas"):
                needs_pandas()
