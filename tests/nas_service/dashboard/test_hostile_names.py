"""S13: markup in every name that anybody can give is text on every page: no element, no script."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from playwright.sync_api import Page

from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.trials import EpochReport, Outcome, WorkerInfo

pytestmark = pytest.mark.browser

EVIL = '<img class=evil src=x onerror="window.pwned=1"><svg class=evil onload="window.pwned=1">'
BREAKOUTS = (
    "\"'></td><b class=evil>",
    "</script><script class=evil>window.pwned=1</script>",
    "{{7*7}}${7*7}",
    "</title>",
)


@pytest.fixture
def hostile_study(service: Service, ledger: SqlLedger, new_search: Callable[..., Any], tmp_path: Path) -> int:
    """A study whose every text, and whose data set's classes and workers' fields, are markup."""
    classes = [EVIL, *BREAKOUTS]
    images = np.random.default_rng(0).integers(0, 255, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "evil.npz", x=images, y=np.array(classes)[np.arange(60) % len(classes)])
    service.add_dataset(tmp_path / "evil.npz", "evil")
    search = new_search(name=EVIL + "".join(BREAKOUTS))
    search.end("complete", 0.9, 1.0)
    for state in ("failed", "pruned", "infeasible"):
        lease = search.reserve()
        ledger.report(lease, EpochReport(epoch=1, train_loss=1.0, validation_loss=1.0, accuracy=0.5))
        outcome = {
            "report_id": uuid4().hex,
            "state": state,
            "reason": EVIL,
            "error": f"{EVIL}\n{BREAKOUTS[1]}",
        }
        more = {"versions": {EVIL: EVIL}, "metrics": {"accuracy": 0.5}}
        ledger.complete(lease, Outcome.model_validate({**outcome, **more}))
    for number, text in enumerate((EVIL, *BREAKOUTS)):
        ledger.register(
            WorkerInfo(name=f"{number}{text}"[:100], host=text, pid=1, versions={text: text}, noise=text)
        )
    search.reserve()
    study: int = search.study
    return study


def test_no_page_makes_an_element_of_a_name(page: Page, hostile_study: int, service: Service) -> None:
    trials = service.trials(hostile_study).items
    pages = [
        "/studies",
        f"/studies/{hostile_study}?show=dominated,infeasible,pruned",
        f"/studies/{hostile_study}?show={EVIL}&state=failed",
        f"/studies/new?clone={hostile_study}",
        "/studies/new?dataset=evil",
        "/datasets",
        "/datasets/evil",
        "/workers",
        "/families",
        "/describe",
        *(f"/trials/{trial.id}" for trial in trials),
    ]
    seen = ""
    for path in pages:
        page.goto(path)
        for plot in page.locator("[data-figure]").all():
            plot.and_(page.locator("[data-ready]")).wait_for(state="attached")
        assert page.locator(".evil, img[src=x]").count() == 0, path
        assert page.evaluate("window.pwned") is None, path
        seen += page.locator("body").inner_text()
    assert EVIL in seen
    assert "{{7*7}}" in seen


def test_an_event_with_markup_makes_no_element(
    page: Page, hostile_study: int, ledger: SqlLedger, service: Service
) -> None:
    page.goto(f"/studies/{hostile_study}")
    page.locator("#live[data-state=live]").wait_for()
    running = service.trials(hostile_study, state="running").items
    assert running
    service.cancel(hostile_study)
    page.locator("#status .state", has_text="cancelled").first.wait_for()
    assert page.locator(".evil, img[src=x]").count() == 0
    assert page.evaluate("window.pwned") is None
