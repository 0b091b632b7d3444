"""A worker that only measures: what it answers, what it outlives, and what it does without."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from nas_service.ledger.protocol import LedgerUnavailable
from nas_service.ledger.sql import SqlLedger
from nas_service.measurements import Measurement, MeasurementRequest
from nas_service.service import Service
from nas_service.trials import WorkerInfo
from search_spaces import Architecture
from search_spaces.deployment import deployed
from workers.cli import main
from workers.latency import measure
from workers.measuring import MeasuringWorker, versions
from workers.noise import Noise

BOARD = WorkerInfo(name="board", host="there", pid=1, device="pi4", measures_only=True, versions=versions())


def quick(architecture: Architecture) -> Measurement:
    return measure(architecture, "pi4", time_cap_s=0.05)


@contextmanager
def serving(ledger: SqlLedger, noise: Noise | None = None) -> Iterator[MeasuringWorker]:
    """A worker that measures from a thread for as long as this is open."""
    worker = MeasuringWorker(ledger, BOARD, quick, noise or Noise(lambda: None))
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield worker
    worker.patience.ends.set()
    thread.join()


def ask(ledger: SqlLedger, architecture: Architecture, network_hash: str | None = None) -> MeasurementRequest:
    return ledger.request_measurement(
        "pi4", architecture.to_dict(), network_hash or deployed(architecture).hash
    )


def until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not happen in time")


def test_a_request_is_measured_under_the_device_s_own_name_and_stored(
    ledger: SqlLedger, service: Service, multi_scale: Architecture
) -> None:
    ask(ledger, multi_scale)
    with serving(ledger):
        until(lambda: ask(ledger, multi_scale).state == "measured")
    measurement = ask(ledger, multi_scale).measurement
    assert measurement is not None
    assert (measurement.device, measurement.runtime) == ("pi4", "onnxruntime")
    assert 0 < measurement.low_ms <= measurement.median_ms <= measurement.high_ms
    assert ledger.known_measurement(deployed(multi_scale).hash, "pi4") == measurement
    assert [worker.state for worker in service.workers()] == ["stopped"]


def test_what_cannot_be_measured_fails_with_its_reason_and_the_worker_goes_on(
    ledger: SqlLedger, multi_scale: Architecture
) -> None:
    broken = ledger.request_measurement("pi4", {"stages": []}, "0" * 64)
    other = ask(ledger, multi_scale, "1" * 64)
    ask(ledger, multi_scale)
    with serving(ledger):
        until(lambda: ask(ledger, multi_scale).state == "measured")
    assert [broken.state, other.state] == ["waiting", "waiting"]
    answers = [
        ledger.request_measurement("pi4", {"stages": []}, "0" * 64),
        ask(ledger, multi_scale, "1" * 64),
    ]
    assert [answer.state for answer in answers] == ["failed", "failed"]
    assert "needs the field input_shape" in str(answers[0].reason)
    assert "another network" in str(answers[1].reason)


def test_a_noisy_machine_leaves_requests_alone_and_serves_them_once_it_is_quiet(
    ledger: SqlLedger, service: Service, multi_scale: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.noise.NOISY_AGAIN_S", 0.0)
    is_quiet = threading.Event()
    ask(ledger, multi_scale)
    with serving(ledger, Noise(lambda: None if is_quiet.is_set() else "31 % apart")):
        until(lambda: [worker.noise for worker in service.workers()] == ["31 % apart"])
        assert ask(ledger, multi_scale).state == "waiting"
        assert not ask(ledger, multi_scale).is_served
        is_quiet.set()
        until(lambda: ask(ledger, multi_scale).state == "measured")
        assert [worker.noise for worker in service.workers()] == [None]


class CutOff(SqlLedger):
    """A real ledger whose answers get lost at first."""

    failures = 4

    def next_measurement(self, worker_id: int) -> MeasurementRequest | None:
        self._fail()
        return super().next_measurement(worker_id)

    def answer_measurement(self, request_id: int, worker_id: int, answer: Measurement | str) -> None:
        super().answer_measurement(request_id, worker_id, answer)
        self._fail()

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise LedgerUnavailable("cut off")


def test_an_outage_is_outlived(service: Service, multi_scale: Architecture) -> None:
    ledger = CutOff(service.engine, settings=service.settings)
    ask(ledger, multi_scale)
    with serving(ledger):
        until(lambda: ask(ledger, multi_scale).state == "measured")
    assert len(ledger.measurements("pi4")) == 1


def test_its_process_loads_neither_torch_nor_optuna_nor_scikit_learn(tmp_path: object) -> None:
    program = f"""
import sys
from workers.cli import main
import workers.measuring, workers.latency
from search_spaces import RandomTrial, resolve_space
from nas_service.ledger import http
import nas_service.ledger.sql
workers.measuring.MeasuringWorker.run = lambda worker: worker._measure(
    resolve_space("multi_scale").sample(RandomTrial(0), (1, 8, 8), 10)
)
try:
    main(["--measure-only", "--device", "pi4", "--home", {str(tmp_path)!r}])
except SystemExit as ending:
    assert ending.code == 0
print(" ".join(name for name in sys.modules if "." not in name))
"""
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(output.stdout.split())
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "optuna", "sklearn", "scipy", "pandas"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--measure-only"], "--measure-only needs --device NAME"),
        (["--device", "pi4"], "--device needs --measure-only"),
        (["--server", "localhost:8000"], "'localhost:8000' is no address; allowed: http://HOST:PORT"),
        (["--measure-only", "--device", "cpu"], "give this machine another name"),
        (["--measure-only", "--device", "Pi 4"], "is no device; allowed:"),
        (["--measure-only", "--device", "pi4", "--study", "1"], "serves all studies"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        main(arguments)
    assert ending.value.code == 2
    assert message in capsys.readouterr().err
