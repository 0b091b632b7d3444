"""Two Ray nodes in two network namespaces, a study across both, and one of them lost: `make test-ray`."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import PATIENCE_S, Cluster, Link
from machines import eventually
from test_kills import in_training, is_finished, launch

from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.views import TrialView

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not os.environ.get("NAS_TEST_RAY"), reason="takes minutes; run by: make test-ray"),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and the command ip"),
]
TRIALS = 8
EPOCHS = 30
LEASE_S = 6.0


@dataclass(frozen=True)
class TwoNodes:
    """A running cluster: the head's node "alpha" in one namespace, "beta" in the other."""

    cluster: Cluster
    link: Link

    def join(self, name: str, *arguments: str) -> None:
        """Start a node in the second namespace."""
        self.cluster.join(name, self.link.head_address, *arguments, namespace=self.link.node)

    def good_token(self) -> tuple[str, ...]:
        """Return the options that let a node in."""
        home = self.cluster.home
        return (
            *("--server", f"http://{self.link.head_address}:8000", "--token-file", str(home / "token")),
            *("--ray-token-file", str(home / "ray-token")),
        )


@pytest.fixture
def nodes(service: Service, settings: Settings, tmp_path: Path) -> Iterator[TwoNodes]:
    try:
        link = Link.made(os.getpid())
    except OSError as error:
        pytest.skip(f"no network namespaces here: {error}")
    cluster = Cluster(settings.data_home, tmp_path, LEASE_S)
    try:
        cluster.up(
            *("--host", link.head_address, "--behind-proxy"),
            *("--ray-address", link.head_address, "--slots", "1"),
            namespace=link.head,
        )
        yield TwoNodes(cluster, link)
    finally:
        cluster.end()
        link.remove()


def trains_on(service: Service, study: int, node: str) -> TrialView | None:
    """Return a trial that a node's worker has trained for some epochs."""
    trial = in_training(service, study, epochs=3)
    if trial is not None and str(trial.worker).startswith(f"{node}/"):
        return trial
    return None


def is_taken_over(service: Service, lost: TrialView) -> bool:
    trial = service.trial(lost.id)
    return trial.attempt > lost.attempt and trial.state != "waiting"


def workers_of(service: Service, study: int) -> set[str]:
    return {str(trial.worker).partition("/")[0] for trial in service.trials(study, state="complete").items}


def run_across_both(nodes: TwoNodes, service: Service) -> tuple[int, str, TrialView]:
    """Let a study run on both nodes; return it, the other node's name and a trial that it trains."""
    head = eventually(lambda: nodes.cluster.files.status(), PATIENCE_S)
    alpha = head.nodes[0]  # type: ignore[attr-defined]
    nodes.join("beta", *nodes.good_token())
    nodes.cluster.until(2, *sorted((alpha, "beta")))
    eventually(lambda: sum(worker.is_alive for worker in service.workers()) == 2, PATIENCE_S)
    study = launch(service, trials=TRIALS, epochs=EPOCHS)
    eventually(lambda: workers_of(service, study) >= {alpha, "beta"}, PATIENCE_S)
    lost = eventually(lambda: trains_on(service, study, "beta"), PATIENCE_S)
    assert isinstance(lost, TrialView)
    return study, alpha, lost


def finish(
    service: Service,
    study: int,
    lost: TrialView,
    started: float,
    fault: str,
    check_rows: Callable[[int, int], None],
) -> None:
    """Wait for the study's end, print the times, and check the rows."""
    eventually(lambda: is_taken_over(service, lost), PATIENCE_S)
    taken_over = time.monotonic() - started
    eventually(lambda: is_finished(service, study), PATIENCE_S)
    finished = time.monotonic() - started
    print(  # noqa: T201
        f"\n{fault}: lost trial runs again after {taken_over:.1f} s (lease {LEASE_S:.0f} s), "
        f"study of {TRIALS} trials done after {finished:.1f} s"
    )
    after = service.trial(lost.id)
    assert after.state == "complete"
    assert after.params == lost.params
    check_rows(study, TRIALS)


def test_a_study_survives_the_death_of_a_node(
    nodes: TwoNodes, service: Service, check_rows: Callable[[int, int], None]
) -> None:
    study, alpha, lost = run_across_both(nodes, service)
    started = time.monotonic()
    assert nodes.link.kill(nodes.link.node) > 3
    finish(service, study, lost, started, "kill -9 of all processes of a node", check_rows)
    nodes.cluster.until(1, alpha)


def test_a_study_survives_a_node_that_is_cut_off_and_the_node_comes_back(
    nodes: TwoNodes, service: Service, check_rows: Callable[[int, int], None]
) -> None:
    study, alpha, lost = run_across_both(nodes, service)
    started = time.monotonic()
    nodes.link.cut()
    finish(service, study, lost, started, "link down", check_rows)
    nodes.cluster.until(1, alpha)
    print(f"link down: the cluster knew the node was gone after {time.monotonic() - started:.1f} s at most")  # noqa: T201
    healed = time.monotonic()
    nodes.link.heal()
    nodes.cluster.until(2, *sorted((alpha, "beta")))
    print(f"link up: the node was back after {time.monotonic() - healed:.1f} s")  # noqa: T201


def test_a_machine_without_the_token_cannot_join(nodes: TwoNodes, tmp_path: Path) -> None:
    status = eventually(lambda: nodes.cluster.files.status(), PATIENCE_S)
    (tmp_path / "wrong").write_text("0" * 64)
    server = ("--server", f"http://{nodes.link.head_address}:8000")
    for name, options, told in (
        ("wrong-token", ("--ray-token-file", str(tmp_path / "wrong")), "refuses the Ray token"),
        ("no-token", (), "no Ray token"),
    ):
        nodes.join(name, *server, *options)
        assert nodes.cluster.processes[-1].wait(timeout=PATIENCE_S) == 1
        assert told in nodes.cluster.log(name).splitlines()[-1]
    assert nodes.cluster.files.status() == status
