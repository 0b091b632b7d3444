"""A short search over every family, launched over the API, with a real worker."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import torch

from nas_service.ledger.sql import SqlLedger
from nas_service.trials import WorkerInfo
from search_spaces import families
from workers.worker import Worker

TRIALS = 4


@pytest.mark.slow
@pytest.mark.parametrize("family", families.names())
def test_a_search_has_no_failed_trial(
    family: str, create: Callable[..., int], http: httpx.Client, ledger: SqlLedger, tmp_path: Path
) -> None:
    """Latency is an objective, so each candidate is also written and run as an ONNX file."""
    study = create(
        space=family,
        constraints={"params": {"max": 60_000}, "macs": {"max": 2_000_000}},
        budget={"trials": TRIALS},
        training={"epochs": 1},
    )
    torch.set_num_threads(1)
    Worker(
        ledger, WorkerInfo(name="worker", host="here", pid=1), tmp_path, study_id=study, until_finished=True
    ).run()
    answer = http.get(f"/api/v1/studies/{study}").json()
    assert answer["state"] == "finished", answer["reason"]
    counts = answer["trials"]
    assert (counts["failed"], counts["complete"] + counts["pruned"]) == (0, TRIALS)
    front = http.get(f"/api/v1/studies/{study}/front").json()["front"]
    assert front
