"""The page of one trial: what its network answered, why it ended, and where to go from it."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from evaluations import make_details, stored
from httpx import Client
from playwright.sync_api import Page, expect

from nas_service.dashboard.trial_figures import confusion
from nas_service.dashboard.trial_words import why_it_ended
from nas_service.evaluation import EvaluationDetails
from nas_service.studies import Objective, StudySpec, Training
from nas_service.trials import Outcome
from nas_service.views import EvaluationView, Rival, RungPlace, TrialView

PLACE = RungPlace(
    epoch=3,
    reached=27,
    place=21,
    kept=9,
    ahead=(Rival(trial=5, number=12, figures={"accuracy": 0.971, "params": 8120.0}),),
)


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(base_url=address, trust_env=False) as client:
        yield client


@pytest.fixture
def answered(new_search: Callable[..., Any]) -> Callable[..., int]:
    """Completes a trial that keeps an evaluation and says its id."""

    def complete(details: EvaluationDetails) -> int:
        search = new_search()
        lease = search.reserve()
        sha256 = search.ledger.put_artifact(stored(details))
        metrics = {"accuracy": details.accuracy, "latency_ms": 0.4}
        search.ledger.complete(
            lease,
            Outcome(
                report_id=uuid4().hex,
                state="complete",
                metrics=metrics,
                violations={"latency_ms": -0.9},
                artifacts={"evaluation": sha256},
            ),
        )
        return int(lease.trial_id)

    return complete


def test_a_trial_shows_how_it_answers(client: Client, answered: Callable[..., int]) -> None:
    trial = answered(make_details())
    page = client.get(f"/trials/{trial}").text
    assert "247 of 250" in page
    assert "8 taken for 1" in page
    assert "+0.0" not in page
    assert "−58.8" in page
    assert f'href="/api/v1/trials/{trial}/files/evaluation"' in page
    figure = client.get(f"/figures/trials/{trial}/confusion.json").json()["figure"]
    assert figure["data"][0]["text"][8][1] == "2"


def test_misclassified_examples_are_pictures_that_a_browser_keeps(
    client: Client, answered: Callable[..., int]
) -> None:
    path = f"/fragments/trials/{answered(make_details())}/mistakes"
    first = client.get(path)
    assert first.text.count('src="data:image/png;base64,') == 3
    assert first.text.index("example 7") < first.text.index("example 4") < first.text.index("example 99")
    known = {"If-None-Match": first.headers["etag"]}
    assert client.get(path, headers=known).status_code == 304
    pair = client.get(f"{path}?true=8&predicted=1", headers=known)
    assert pair.status_code == 200
    assert pair.text.count("<img") == 2
    assert "None of these" in client.get(f"{path}?true=0&predicted=77").text


def test_places_that_the_data_set_lacks_have_no_picture(client: Client, answered: Callable[..., int]) -> None:
    details = make_details()
    (first, *_) = details.misclassified
    lost = details.model_copy(update={"misclassified": (first.model_copy(update={"index": 10**9}),)})
    page = client.get(f"/fragments/trials/{answered(lost)}/mistakes").text
    assert "<img" not in page
    assert "example 1000000000" in page


def test_a_trial_without_an_evaluation_says_why(client: Client, mixed_search: Any) -> None:
    page = client.get(f"/trials/{mixed_search.end('complete', 0.9, 0.5)}").text
    assert "None: its worker kept none, as workers of earlier versions did." in page
    page = client.get(f"/trials/{mixed_search.end('pruned', 0.9, 0.5)}").text
    assert "None: it is pruned, and only complete trials keep one." in page


def trial_of(**changes: Any) -> TrialView:
    values = {
        "id": 1,
        "study_id": 1,
        "number": 0,
        "ordinal": 0,
        "state": "pruned",
        "architecture": {},
        "architecture_hash": "",
        "created_at": "2026-01-01T00:00:00Z",
    }
    return TrialView.model_validate({**values, **changes})


@pytest.mark.parametrize(
    ("changes", "places", "expected"),
    [
        (
            {},
            [PLACE.model_copy(update={"epoch": 1, "place": 2}), PLACE],
            [
                "Stopped at the rung of epoch 3: of the 27 that had reached it by then it stood at "
                "place 21, and the best 9 went on.",
                "Better in every objective there: #12 (accuracy 97.10 %, parameters 8,120).",
                "Rungs passed: epoch 1 (place 2 of 27).",
            ],
        ),
        (
            {"state": "complete"},
            [PLACE.model_copy(update={"epoch": 1, "kept": 27}), PLACE.model_copy(update={"place": 2})],
            [
                "Trained to the end, 3 epochs.",
                "Rungs passed: epoch 1 (place 21 of 27, most hardly better than guessing), "
                "epoch 3 (place 2 of 27).",
            ],
        ),
        (
            {},
            [PLACE.model_copy(update={"kept": 27, "ahead": ()})],
            [
                "Stopped at the rung of epoch 3: of the 27 that had reached it by then it stood at "
                "place 21, and all went on."
            ],
        ),
        ({"reason": "diverged in epoch 3"}, [], ["diverged in epoch 3."]),
        ({"state": "complete"}, [], ["Trained to the end, 3 epochs."]),
        ({"state": "running"}, [], ["In training: 3 of 27 epochs done."]),
        ({"state": "failed", "reason": "out of memory"}, [], ["Failed behind 3 epochs: out of memory."]),
    ],
)
def test_an_ending_is_told_in_words(
    changes: dict[str, Any], places: list[RungPlace], expected: list[str]
) -> None:
    spec = StudySpec(
        dataset="digits",
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        training=Training(epochs=27),
    )
    assert why_it_ended(trial_of(**changes), spec, places, 3) == expected


def test_names_of_classes_are_text_in_the_matrix() -> None:
    names = tuple(f"<b>{number}</b>" for number in range(10))
    view = EvaluationView(**dict(make_details()), trial=1, dataset="digits", class_names=names)
    assert "<b>" not in str(confusion(view))


@pytest.mark.browser
def test_the_page_is_for_everybody(page: Page, answered: Callable[..., int]) -> None:
    trial = answered(make_details())
    for scheme, width in (("light", 1280), ("dark", 390)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"/trials/{trial}")
        expect(page.locator(".gallery img")).to_have_count(3)
        for plot in page.locator("[data-figure]").all():
            plot.and_(page.locator("[data-ready]")).wait_for(state="attached")
        page.get_by_text("As a table").click()
        found = Axe().run(page).response["violations"]
        serious = [
            f"{v['id']}: {v['nodes'][0]['html'][:160]}"
            for v in found
            if v["impact"] in ("serious", "critical")
        ]
        assert serious == []
        assert page.locator("html").evaluate("page => page.scrollWidth - page.clientWidth") == 0
    page.get_by_role("link", name="8 taken for 1").click()
    expect(page.locator(".gallery img")).to_have_count(2)
