"""Pages as a client without a browser sees them."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from httpx import Client

from nas_service.dashboard import plotly_script
from nas_service.dashboard.history import trials_of
from nas_service.service import Service

EVIL = '<img src=x onerror="window.pwned=1">'


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(base_url=address, trust_env=False) as client:
        yield client


def test_the_root_leads_to_the_studies(client: Client) -> None:
    answer = client.get("/", follow_redirects=False)
    assert answer.has_redirect_location
    assert answer.headers["location"] == "/studies"


def test_an_empty_service_says_what_to_do_next(client: Client) -> None:
    page = client.get("/studies").text
    assert "No study yet" in page
    assert 'href="/studies/new"' in page
    assert "No worker has joined yet" in client.get("/workers").text


@pytest.mark.parametrize(
    "path", ["/studies", "/studies/new", "/families", "/describe", "/datasets", "/workers"]
)
def test_pages_answer_without_any_study(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/studies/99", 404, "no study 99"),
        ("/studies/abc", 404, "nothing at this address"),
        (f"/studies/{2**70}", 404, "nothing at this address"),
        ("/trials/99", 404, "no trial 99"),
        ("/trials/0", 404, "nothing at this address"),
        ("/fragments/studies/99/status", 404, "99"),
        ("/studies?page_token=nonsense", 422, "page_token"),
    ],
)
def test_a_wrong_address_is_answered_by_a_page_in_words(
    client: Client, path: str, status: int, words: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert words in answer.text


def test_an_address_without_a_route_is_a_page_for_browsers_and_a_problem_for_programs(client: Client) -> None:
    browser = client.get("/nosuch", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert browser.status_code == 404
    assert browser.headers["content-type"].startswith("text/html")
    assert 'class="button primary" href="/studies"' in browser.text
    for path, accept in (("/nosuch", "*/*"), ("/api/v1/nosuch", "text/html")):
        program = client.get(path, headers={"Accept": accept})
        assert program.status_code == 404
        assert program.headers["content-type"] == "application/problem+json"


def test_the_login_page_of_an_open_server_leads_back(client: Client) -> None:
    page = client.get("/login").text
    assert "no token is needed" in page
    assert 'href="/studies"' in page


def test_an_address_of_nothing_leads_to_what_there_is_of_its_kind(client: Client) -> None:
    for path, way in (
        ("/studies/99", "/studies"),
        ("/families/none", "/families"),
        ("/datasets/none", "/datasets"),
    ):
        page = client.get(path).text
        assert f'class="button primary" href="{way}"' in page
        # A page has a button instead of a command.
        assert "see: nas" not in page


def test_a_study_without_workers_says_so(
    client: Client, new_search: Callable[..., Any], service: Service
) -> None:
    search = new_search()
    search.ledger.leave(search.worker)
    assert "no worker is alive" in client.get(f"/studies/{search.study}").text
    figure = client.get(f"/figures/studies/{search.study}/pareto.json").json()
    assert "No worker is alive" in figure["message"]


def test_a_study_with_nothing_feasible_yet_says_so(client: Client, new_search: Callable[..., Any]) -> None:
    search = new_search()
    for _ in range(3):
        search.reserve(is_feasible=False)
    answer = client.get(f"/figures/studies/{search.study}/pareto.json").json()
    assert answer["message"] == "Nothing feasible is fully trained yet. So far: 3 broke a limit."
    assert "No point to show yet" in client.get(f"/studies/{search.study}").text


def test_the_front_of_the_page_is_the_front_of_the_service(
    client: Client, mixed_search: Any, service: Service
) -> None:
    answer = client.get(f"/figures/studies/{mixed_search.study}/pareto.json").json()
    (front,) = [trace for trace in answer["figure"]["data"] if trace["name"] == "front"]
    expected = {member.trial for member in service.front(mixed_search.study).front}
    assert {trial for trial, _ in front["customdata"]} == expected
    assert len(expected) == 3


@pytest.mark.parametrize("axes", [("params", "accuracy"), ("latency_ms", "params"), ("accuracy", "macs")])
def test_only_complete_trials_are_on_the_front_of_any_two_metrics(
    client: Client, mixed_search: Any, service: Service, axes: tuple[str, str]
) -> None:
    query = {"x": axes[0], "y": axes[1], "show": "dominated,infeasible,pruned"}
    answer = client.get(f"/figures/studies/{mixed_search.study}/pareto.json", params=query).json()
    (front,) = [trace for trace in answer["figure"]["data"] if trace["name"] == "front"]
    assert front["customdata"]
    assert {service.trial(trial).state for trial, _ in front["customdata"]} == {"complete"}


def test_the_best_of_the_list_is_feasible_and_complete(
    client: Client, finished_study: int, service: Service
) -> None:
    complete = service.trials(finished_study, state="complete").items
    best = max(trial.metrics["accuracy"] for trial in complete)
    page = client.get("/studies").text
    assert f"{best * 100:.2f} %" in page
    assert "99.99 %" not in page
    assert "100.00 %" not in page


def test_unknown_metrics_fall_back_to_the_studys_own(client: Client, mixed_search: Any) -> None:
    answer = client.get(f"/figures/studies/{mixed_search.study}/pareto.json?x={EVIL}&y=accuracy").json()
    assert answer["figure"]["layout"]["xaxis"]["title"]["text"] == "Latency (ms)"


@pytest.mark.parametrize("state", ["complete", "pruned", "infeasible", "failed"])
def test_trials_are_filtered_by_state(client: Client, mixed_search: Any, state: str) -> None:
    page = client.get(f"/fragments/studies/{mixed_search.study}/trials?state={state}").text
    rows = page.split("<tbody>")[1].count("<tr>")
    assert rows == mixed_search.service.study(mixed_search.study).trials.model_dump()[state]


def test_trials_come_in_pages(client: Client, mixed_search: Any) -> None:
    page = client.get(f"/fragments/studies/{mixed_search.study}/trials").text
    assert "Next page" in page
    assert page.split("<tbody>")[1].count("<tr>") == 20
    token = re.search(r"page_token=([\w-]+)", page)
    assert token
    second = client.get(f"/studies/{mixed_search.study}/trials?page_token={token[1]}").text
    assert f'page_token={token[1]}">' in second.split('id="trials"')[1].split("\n")[0]


def test_every_trial_has_a_page_whatever_its_state(
    client: Client, mixed_search: Any, service: Service
) -> None:
    mixed_search.reserve()
    for trial in service.trials(mixed_search.study).items:
        answer = client.get(f"/trials/{trial.id}")
        assert answer.status_code == 200
        assert trial.state in answer.text


def test_a_failed_trial_shows_its_error(client: Client, mixed_search: Any, service: Service) -> None:
    (failed, _) = service.trials(mixed_search.study, state="failed").items
    assert "loss is not finite" in client.get(f"/trials/{failed.id}").text


def test_names_are_text(client: Client, new_search: Callable[..., Any]) -> None:
    search = new_search(name=EVIL)
    for path in ("/studies", f"/studies/{search.study}", f"/studies/new?clone={search.study}"):
        page = client.get(path).text
        assert EVIL not in page
        assert "&lt;img src=x" in page


def test_no_page_holds_inline_code_or_styles(client: Client, mixed_search: Any) -> None:
    paths = [
        "/studies",
        "/studies/new",
        f"/studies/{mixed_search.study}",
        "/trials/1",
        "/families",
        "/describe?family=multi_scale",
        "/datasets",
    ]
    for path in paths:
        page = client.get(path).text
        for forbidden in ("style=", "<style", "onclick=", "javascript:"):
            assert forbidden not in page, (path, forbidden)
        assert page.count("<script") == page.count("<script src=") + page.count('<script type="module" src=')


def test_plotly_is_served_compressed_from_the_installed_package(client: Client) -> None:
    answer = client.get(plotly_script.address(), headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert int(answer.headers["content-length"]) < 1_600_000
    assert "plotly.js v" in answer.text[:200]
    plain = client.get(plotly_script.address(), headers={"Accept-Encoding": "identity"})
    assert plain.content == answer.content


def test_plotlys_own_style_elements_are_known() -> None:
    assert plotly_script.style_ids()


def test_a_figure_is_not_sent_again_until_it_changes(client: Client, mixed_search: Any) -> None:
    path = f"/figures/studies/{mixed_search.study}/pareto.json"
    first = client.get(path)
    known = {"If-None-Match": first.headers["etag"]}
    assert client.get(path, headers=known).status_code == 304
    assert client.get(f"{path}?x=params", headers=known).status_code == 200
    mixed_search.end("complete", 0.96, 0.2)
    assert client.get(path, headers=known).status_code == 200


def test_a_large_figure_is_compressed(client: Client, mixed_search: Any) -> None:
    path = f"/figures/studies/{mixed_search.study}/pareto.json?x=params&show=dominated,infeasible,pruned"
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == client.get(path, headers={"Accept-Encoding": "identity"}).json()


def test_what_has_ended_is_kept_and_what_is_new_is_seen(service: Service, mixed_search: Any) -> None:
    study = service.study(mixed_search.study)
    count = study.trials.complete + 18
    before = trials_of(service, study, range(count + 1))
    assert [trial.number for trial in before] == list(range(count))
    new = mixed_search.end("complete", 0.96, 0.2)
    after = trials_of(service, study, range(count + 1))
    assert [trial.id for trial in after] == [*(trial.id for trial in before), new]
    # What is kept comes back itself.
    assert after[0] is before[0]


def test_trials_that_the_newest_space_excludes_stay_visible_with_the_reason(
    client: Client, service: Service, finished_study: int
) -> None:
    service.change_space(finished_study, {"depth": 1})
    page = client.get(f"/studies/{finished_study}/trials").text
    assert "(excluded)" in page
    assert "not in version 2 of the space" in page
    assert ", version 2" in page
    trial = service.trials(finished_study, state="complete").items[0]
    assert "Does not count: not in version 2 of the space." in client.get(f"/trials/{trial.id}").text
