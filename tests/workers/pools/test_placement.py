"""Which slots hold a worker."""

from workers.pools.node import gpu_share
from workers.pools.placement import Member, chosen_places

ALPHA = Member("a1", "alpha", slots=2, gpu_share=0.5)
BETA = Member("b1", "beta", slots=2, gpu_share=0.0)


def test_every_slot_gets_a_worker_by_default() -> None:
    places = chosen_places([ALPHA, BETA], None)
    assert sorted(places) == ["alpha/1", "alpha/2", "beta/1", "beta/2"]
    assert places["alpha/2"].gpu_share == 0.5
    assert places["beta/1"].node_id == "b1"


def test_fewer_workers_than_slots_are_spread_over_the_nodes() -> None:
    assert list(chosen_places([ALPHA, BETA], 2)) == ["alpha/1", "beta/1"]


def test_no_worker_moves_to_a_node_that_joins() -> None:
    held = ["alpha/1", "alpha/2"]
    assert sorted(chosen_places([ALPHA, BETA], 2, held)) == held
    assert sorted(chosen_places([ALPHA, BETA], 3, held)) == [*held, "beta/1"]


def test_more_workers_than_slots_wait_for_nodes() -> None:
    assert sorted(chosen_places([ALPHA], 5)) == ["alpha/1", "alpha/2"]
    assert len(chosen_places([ALPHA, BETA], 5)) == 4


def test_of_two_nodes_of_one_name_one_gets_workers() -> None:
    places = chosen_places([ALPHA, Member("a2", "alpha", slots=4, gpu_share=1.0)], None)
    assert {place.node_id for place in places.values()} == {"a1"}


def test_a_head_without_slots_gets_no_worker() -> None:
    assert chosen_places([Member("h", "head", slots=0, gpu_share=0.0)], None) == {}


def test_parts_of_a_gpu_never_exceed_it() -> None:
    for slots in range(1, 17):
        assert slots * gpu_share(slots, 1.0) <= 1.0
        assert slots * gpu_share(slots, 1.0) > 0.99
    assert gpu_share(4, 2.0) == 0.5
    assert gpu_share(4, 0.0) == gpu_share(0, 0.0) == 0.0
