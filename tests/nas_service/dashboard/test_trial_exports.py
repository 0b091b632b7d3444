"""The part of a trial's page by which its network is taken away."""

from httpx import Client

from nas_service.confirmations import RetrainRequest
from nas_service.jobs import JobOutcome, JobReport
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.trials import WorkerInfo


def test_exports_are_listed_with_progress_errors_and_a_download(
    address: str, service: Service, ledger: SqlLedger, finished_study: int
) -> None:
    complete, failed = (
        service.trials(finished_study, state=state).items[0] for state in ("complete", "failed")
    )
    worker = ledger.register(WorkerInfo(name="w", host="here", pid=1)).worker_id
    payload = {"formats": ["onnx"], "target": "cpu-onnx"}
    job = service.create_job("export", study_id=finished_study, trial_id=complete.id, payload=payload)
    retraining = service.retrain(complete.id, RetrainRequest(epochs=7))
    with Client(base_url=address, trust_env=False) as http:
        part = f"/fragments/trials/{complete.id}/exports"
        assert 'id="export-form"' in http.get(f"/trials/{complete.id}").text
        assert "Only complete trials left a trained network" in http.get(f"/trials/{failed.id}").text
        assert "waits for a free worker" in http.get(part).text
        lease = ledger.next_work(worker).job_lease
        assert lease is not None
        ledger.report_job(lease, JobReport(progress=0.4, note="writes onnx"))
        assert 'value="0.4"' in http.get(part).text
        assert f"POST /api/v1/jobs/{job.id}:cancel" in http.get(part).text
        sha256 = ledger.put_artifact(b"a network")
        found = {"forms": [], "remarks": ["<b>bold</b>"]}
        outcome = JobOutcome(
            report_id="report-of-export", state="complete", result=found, artifacts={"model.onnx": sha256}
        )
        ledger.complete_job(lease, outcome)
        text = http.get(part).text
        assert f'href="/api/v1/jobs/{job.id}/archive"' in text
        assert "&lt;b&gt;bold" in text
        assert http.get(f"/api/v1/jobs/{job.id}/files/model.onnx").content == b"a network"
        assert 'name="job"' not in http.get(f"/trials/{complete.id}").text
        lease = ledger.next_work(worker).job_lease
        assert lease is not None
        result = {"epochs": 7, "metrics": {"accuracy": 0.75}}
        ledger.complete_job(
            lease, JobOutcome(report_id="report-of-retraining", state="complete", result=result)
        )
        words = f"retrained by job {retraining.id}: 7 epochs, test accuracy 75.00 %"
        assert words in http.get(f"/trials/{complete.id}").text
