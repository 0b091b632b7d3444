"""Why a study that is followed does not go on: said once for each reason."""

import pytest

from nas_service.cli.waiting import PATIENCE_S, WaitingNews
from nas_service.reasons import NO_WORKER, PROPOSING
from nas_service.service import Service
from nas_service.studies import StudySpec
from nas_service.views import StudyView


@pytest.fixture
def study(service: Service) -> StudyView:
    return service.create_study(StudySpec(name="waits", dataset="digits", device="foo"))


def said(
    study: StudyView, reasons: list[str], capsys: pytest.CaptureFixture[str], *, has_own_workers: bool = False
) -> list[str]:
    """Return the lines that come of reasons, each of which stands for two looks."""
    times = iter(range(0, 1000, int(PATIENCE_S)))
    news = WaitingNews(has_own_workers=has_own_workers, now=lambda: float(next(times)))
    for reason in reasons:
        for _ in range(2):
            news.tell(study.model_copy(update={"reason": reason}))
    return capsys.readouterr().err.splitlines()


def test_a_reason_is_said_once_until_another_comes(
    study: StudyView, capsys: pytest.CaptureFixture[str]
) -> None:
    noisy = ["too noisy: 31 %", "too noisy: 32 %"]
    assert said(study, [study.reason, study.reason, *noisy, study.reason], capsys) == [
        f"study {study.study} waits: {reason}" for reason in (study.reason, noisy[0], study.reason)
    ]


def test_what_goes_on_is_not_said(study: StudyView, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(study, [PROPOSING, "2 trials running on 2 workers"], capsys) == []


def test_that_no_worker_is_alive_is_no_news_while_ours_start(
    study: StudyView, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(study, [NO_WORKER], capsys, has_own_workers=True) == []
    assert said(study, [NO_WORKER], capsys) == [f"study {study.study} waits: {NO_WORKER}"]


def test_what_passes_at_once_is_not_said(study: StudyView, capsys: pytest.CaptureFixture[str]) -> None:
    news = WaitingNews(has_own_workers=False, now=lambda: 0.0)
    for _ in range(3):
        news.tell(study)
    assert capsys.readouterr().err == ""
