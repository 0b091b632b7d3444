"""What every ledger must keep of latency measurements and of requests to named devices."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from ledger_contract import join, make_spec, outcome
from sqlalchemy import update

from nas_service.ledger.protocol import Ledger, LedgerRefused
from nas_service.measurements import Measurement, MeasurementRequest
from nas_service.service import Service
from nas_service.store.engine import writing
from nas_service.store.models import MeasurementRequestRow, WorkerRow, table
from nas_service.studies import Constraint, StudySpec
from nas_service.trials import Proposal, WorkerInfo
from search_spaces import RandomTrial, resolve_space
from search_spaces.deployment import deployed

ARCHITECTURE = resolve_space("multi_scale").sample(RandomTrial(0), (1, 8, 8), 10)
NETWORK = ARCHITECTURE.to_dict()
HASH = deployed(ARCHITECTURE).hash


def measured(**changes: Any) -> Measurement:
    figures = dict.fromkeys(("median_ms", "low_ms", "high_ms", "min_ms", "p90_ms", "p99_ms"), 0.5)
    values: dict[str, Any] = {
        "device": "cpu",
        "runtime": "onnxruntime",
        "runtime_version": "1.23.0",
        "machine": "a board",
        "network_hash": HASH,
        **figures,
    }
    return Measurement(**{**values, **changes})


def serve(ledger: Ledger, name: str = "board", **changes: Any) -> int:
    """Join as a worker that measures on pi4 alone."""
    values: dict[str, Any] = {"device": "pi4", "measures_only": True, "versions": {"onnxruntime": "1.23.0"}}
    information = WorkerInfo(name=name, host="there", pid=1, **{**values, **changes})
    return ledger.register(information).worker_id


def timed_on(device: str) -> StudySpec:
    """A study that limits the latency on a device."""
    return make_spec(device=device, constraints={"latency_ms": Constraint(max=2.0)})


def taken(ledger: Ledger, worker: int) -> MeasurementRequest:
    request = ledger.next_measurement(worker)
    assert request is not None
    return request


class MeasurementContract:
    """Run by subclasses that provide the fixtures `ledger` and `service` (on the same data)."""

    @pytest.fixture
    def change(self, service: Service) -> Callable[..., None]:
        """Return what changes all rows of a table, as time or a vanished worker would have."""

        def set_values(row: Any, **values: Any) -> None:
            with writing(service.engine) as connection:
                connection.execute(update(table(row)).values(values))

        return set_values

    def test_a_stored_measurement_is_found_by_version_and_machine(
        self, ledger: Ledger, service: Service
    ) -> None:
        worker = join(ledger)
        for version, machine, median in (("1", "here", 0.3), ("2", "here", 0.4), ("2", "there", 0.5)):
            measurement = measured(runtime_version=version, machine=machine, median_ms=median)
            ledger.store_measurement(NETWORK, measurement, worker)
        assert ledger.known_measurement(HASH, "cpu", "1") == measured(
            runtime_version="1", machine="here", median_ms=0.3
        )
        assert ledger.known_measurement(HASH, "cpu", "2", "here") == measured(
            runtime_version="2", machine="here", median_ms=0.4
        )
        newest = ledger.known_measurement(HASH, "cpu")
        assert newest is not None
        assert newest.median_ms == 0.5
        assert ledger.known_measurement(HASH, "cpu-torch") is None
        assert ledger.known_measurement("0" * 64, "cpu") is None
        assert ledger.known_measurement(HASH, "cpu", "3") is None

    def test_a_measurement_stored_again_stays_as_it_was(self, ledger: Ledger) -> None:
        worker = join(ledger)
        ledger.store_measurement(NETWORK, measured(median_ms=0.3), worker)
        ledger.store_measurement(NETWORK, measured(median_ms=0.9), worker)
        kept = ledger.measurements("cpu")
        assert [(item.measurement.median_ms, item.worker) for item in kept] == [(0.3, "worker")]
        assert kept[0].architecture == NETWORK

    def test_a_noisy_measurement_makes_way_for_a_quiet_one_and_not_the_other_way_round(
        self, ledger: Ledger
    ) -> None:
        worker = join(ledger)
        for median, is_noisy in ((0.9, True), (0.8, True), (0.4, False), (0.5, False), (0.7, True)):
            ledger.store_measurement(NETWORK, measured(median_ms=median, is_noisy=is_noisy), worker)
        kept = [
            (item.measurement.median_ms, item.measurement.is_noisy) for item in ledger.measurements("cpu")
        ]
        assert kept == [(0.4, False)]

    def test_measurements_come_in_pages_by_id(self, ledger: Ledger) -> None:
        worker = join(ledger)
        for place in range(5):
            ledger.store_measurement(NETWORK, measured(machine=f"machine {place}"), worker)
        first = ledger.measurements("cpu", limit=3)
        rest = ledger.measurements("cpu", since_id=first[-1].id)
        machines = [item.measurement.machine for item in first + rest]
        assert machines == [f"machine {place}" for place in range(5)]
        assert ledger.measurements("cuda") == []

    def test_a_prediction_is_never_stored(self, ledger: Ledger) -> None:
        with pytest.raises(LedgerRefused, match="predicted"):
            ledger.store_measurement(NETWORK, measured(is_predicted=True), join(ledger))
        assert ledger.measurements("cpu") == []

    def test_a_worker_that_never_joined_stores_nothing(self, ledger: Ledger) -> None:
        with pytest.raises(LedgerRefused, match="register"):
            ledger.store_measurement(NETWORK, measured(), 999)

    def test_two_that_ask_for_one_network_share_the_request_and_its_answer(self, ledger: Ledger) -> None:
        first = ledger.request_measurement("pi4", NETWORK, HASH)
        assert first.state == "waiting"
        assert ledger.request_measurement("pi4", NETWORK, HASH).id == first.id
        board = serve(ledger)
        request = taken(ledger, board)
        assert (request.id, request.state, request.architecture) == (first.id, "measuring", NETWORK)
        assert ledger.next_measurement(board) is None
        result = measured(device="pi4")
        ledger.answer_measurement(request.id, board, result)
        answered = ledger.request_measurement("pi4", NETWORK, HASH)
        assert (answered.state, answered.measurement) == ("measured", result)
        assert ledger.known_measurement(HASH, "pi4") == result

    def test_requests_go_to_workers_of_their_device_alone(self, ledger: Ledger) -> None:
        ledger.request_measurement("jetson", NETWORK, HASH)
        assert ledger.next_measurement(serve(ledger)) is None
        with pytest.raises(LedgerRefused, match="measures only"):
            ledger.next_measurement(join(ledger))
        with pytest.raises(LedgerRefused):
            ledger.next_measurement(999)

    @pytest.mark.parametrize("device", ["cpu", "Pi 4", "../etc"])
    def test_only_a_named_device_can_be_asked(self, device: str, ledger: Ledger) -> None:
        with pytest.raises(LedgerRefused, match=r"is no device|measures for itself"):
            ledger.request_measurement(device, NETWORK, HASH)

    def test_the_request_of_a_dead_worker_goes_to_the_next_and_the_late_answer_changes_nothing(
        self, ledger: Ledger, change: Callable[..., None]
    ) -> None:
        late, prompt = serve(ledger, "late"), serve(ledger, "prompt")
        ledger.request_measurement("pi4", NETWORK, HASH)
        request = taken(ledger, late)
        assert ledger.next_measurement(prompt) is None
        change(MeasurementRequestRow, lease_expires_at=1.0)
        assert taken(ledger, prompt).id == request.id
        ledger.answer_measurement(request.id, late, "too late")
        ledger.answer_measurement(request.id, late, measured(device="pi4", median_ms=0.9))
        assert ledger.request_measurement("pi4", NETWORK, HASH).state == "measuring"
        assert ledger.known_measurement(HASH, "pi4") is None
        ledger.answer_measurement(request.id, prompt, measured(device="pi4", median_ms=0.4))
        ledger.answer_measurement(request.id, late, "too late")
        known = ledger.request_measurement("pi4", NETWORK, HASH).measurement
        assert known is not None
        assert known.median_ms == 0.4

    def test_a_worker_that_rejoins_or_leaves_lets_go_of_its_request(self, ledger: Ledger) -> None:
        ledger.request_measurement("pi4", NETWORK, HASH)
        request = taken(ledger, serve(ledger))
        board = serve(ledger)
        assert taken(ledger, board).id == request.id
        ledger.leave(board)
        assert taken(ledger, serve(ledger, "other")).id == request.id

    def test_a_request_that_loses_three_workers_fails(
        self, ledger: Ledger, change: Callable[..., None]
    ) -> None:
        board = serve(ledger)
        ledger.request_measurement("pi4", NETWORK, HASH)
        for _ in range(3):
            taken(ledger, board)
            change(MeasurementRequestRow, lease_expires_at=1.0)
        assert ledger.next_measurement(board) is None
        request = ledger.request_measurement("pi4", NETWORK, HASH)
        assert (request.state, request.reason) == ("failed", "lost 3 workers")

    def test_a_failure_is_told_for_a_while_and_then_tried_again(
        self, ledger: Ledger, change: Callable[..., None]
    ) -> None:
        board = serve(ledger)
        ledger.request_measurement("pi4", NETWORK, HASH)
        ledger.answer_measurement(taken(ledger, board).id, board, "no memory")
        told = ledger.request_measurement("pi4", NETWORK, HASH)
        assert (told.state, told.reason) == ("failed", "no memory")
        change(MeasurementRequestRow, answered_at=1.0)
        again = ledger.request_measurement("pi4", NETWORK, HASH)
        assert (again.id, again.state, again.reason) == (told.id, "waiting", None)

    def test_a_device_with_a_newer_runtime_measures_again(self, ledger: Ledger) -> None:
        board = serve(ledger)
        ledger.request_measurement("pi4", NETWORK, HASH)
        ledger.answer_measurement(taken(ledger, board).id, board, measured(device="pi4"))
        assert ledger.request_measurement("pi4", NETWORK, HASH).state == "measured"
        serve(ledger, versions={"onnxruntime": "1.24.0"})
        assert ledger.request_measurement("pi4", NETWORK, HASH).state == "waiting"

    @pytest.mark.parametrize("wrong", [{"device": "jetson"}, {"device": "pi4", "network_hash": "0" * 64}])
    def test_an_answer_must_be_of_what_was_asked(self, wrong: dict[str, Any], ledger: Ledger) -> None:
        board = serve(ledger)
        ledger.request_measurement("pi4", NETWORK, HASH)
        request = taken(ledger, board)
        with pytest.raises(LedgerRefused, match="asks for"):
            ledger.answer_measurement(request.id, board, measured(**wrong))
        with pytest.raises(LedgerRefused, match="no request"):
            ledger.answer_measurement(999, board, "nothing")

    def test_many_workers_take_each_request_once(self, ledger: Ledger) -> None:
        hashes = [f"{place:064x}" for place in range(12)]
        for network_hash in hashes:
            ledger.request_measurement("pi4", NETWORK, network_hash)
        served: list[str] = []

        def work(worker: int) -> None:
            while (request := ledger.next_measurement(worker)) is not None:
                served.append(request.network_hash)
                result = measured(device="pi4", network_hash=request.network_hash)
                ledger.answer_measurement(request.id, worker, result)

        workers = [serve(ledger, f"board-{place}") for place in range(4)]
        threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(served) == hashes
        assert len(ledger.measurements("pi4")) == 12

    def test_a_study_of_a_named_device_waits_until_a_quiet_worker_of_it_is_alive(
        self, ledger: Ledger, service: Service, change: Callable[..., None]
    ) -> None:
        study = service.create_study(timed_on("pi4")).study
        trainer = join(ledger)
        assert ledger.next_work(trainer).kind == "idle"
        assert service.study(study).reason == (
            "no live worker with device pi4; start one there with: "
            "nas-worker --measure-only --device pi4 --server URL"
        )
        serve(ledger, noise="timings of one network differ by 40 %")
        assert ledger.next_work(trainer).kind == "idle"
        assert "too noisy (board: timings of one network differ by 40 %)" in service.study(study).reason
        board = serve(ledger)
        assert ledger.next_work(trainer).kind == "propose"
        change(WorkerRow, heartbeat_at=1.0)
        assert ledger.next_work(trainer).kind == "idle"
        assert ledger.next_measurement(board) is None
        assert ledger.next_work(trainer).kind == "propose"
        ledger.leave(board)
        assert ledger.next_work(trainer).kind == "idle"

    def test_trials_that_wait_for_a_device_are_not_taken_over_while_it_is_away(
        self, ledger: Ledger, service: Service, make_proposal: Callable[..., Proposal]
    ) -> None:
        study = service.create_study(timed_on("pi4")).study
        trainer, board = join(ledger), serve(ledger)
        lease = ledger.reserve(study, trainer, [make_proposal(1)]).leases[0]
        ledger.leave(board)
        ledger.release(lease)
        assert ledger.next_work(trainer).kind == "idle"
        assert "no live worker with device pi4" in service.study(study).reason
        serve(ledger)
        assert ledger.next_work(trainer).kind == "run"

    def test_a_trial_may_be_given_back_more_often_than_it_may_be_lost(
        self, ledger: Ledger, service: Service, make_proposal: Callable[..., Proposal]
    ) -> None:
        study = service.create_study(make_spec()).study
        worker = join(ledger)
        lease = ledger.reserve(study, worker, [make_proposal(1)]).leases[0]
        for attempt in range(2, 7):
            ledger.release(lease)
            ledger.release(lease)
            taken_over = ledger.next_work(worker).lease
            assert taken_over is not None
            assert taken_over.attempt == attempt
            lease = taken_over
        ledger.complete(lease, outcome(1))
        assert service.study(study).trials.complete == 1

    def test_a_noisy_worker_gets_no_study_whose_latency_it_would_measure(
        self, ledger: Ledger, service: Service
    ) -> None:
        timed = service.create_study(timed_on("cpu")).study
        noisy = ledger.register(WorkerInfo(name="noisy", host="here", pid=1, noise="busy")).worker_id
        assert ledger.next_work(noisy).kind == "idle"
        assert service.study(timed).reason == (
            "no worker can measure latency on cpu, for the machine is too noisy (noisy: busy)"
        )
        untimed = service.create_study(make_spec()).study
        work = ledger.next_work(noisy)
        assert work.study is not None
        assert work.study.id == untimed
        quiet = ledger.next_work(join(ledger, "quiet"), study_id=timed)
        assert quiet.kind == "propose"
        assert "proposing" in service.study(timed).reason

    def test_a_study_on_cuda_goes_to_workers_that_have_it(self, ledger: Ledger, service: Service) -> None:
        study = service.create_study(timed_on("cuda")).study
        assert ledger.next_work(join(ledger)).kind == "idle"
        assert service.study(study).reason == "no live worker has the device cuda"
        with_cuda = WorkerInfo(name="gpu", host="there", pid=1, device="cuda")
        assert ledger.next_work(ledger.register(with_cuda).worker_id).kind == "propose"

    def test_devices_are_listed_with_what_is_known_of_them(self, ledger: Ledger, service: Service) -> None:
        trainer = join(ledger)
        ledger.store_measurement(NETWORK, measured(), trainer)
        ledger.request_measurement("jetson", NETWORK, HASH)
        serve(ledger, noise="busy")
        cpu, jetson, pi4 = service.devices()
        assert (cpu.name, cpu.runtimes, cpu.measurements, cpu.workers_alive) == (
            "cpu",
            ["onnxruntime 1.23.0"],
            1,
            1,
        )
        assert (jetson.name, jetson.waiting, jetson.workers_alive) == ("jetson", 1, 0)
        assert (pi4.name, pi4.noise, pi4.workers_alive) == ("pi4", "busy", 1)
