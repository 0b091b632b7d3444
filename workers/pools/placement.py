"""Which slots of a cluster hold a worker: values in, values out."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """A living node of the cluster, as Ray knows it."""

    id: str
    name: str
    slots: int
    gpu_share: float


@dataclass(frozen=True, slots=True)
class Place:
    """One slot of a node."""

    node_id: str
    node: str
    number: int
    gpu_share: float

    @property
    def worker(self) -> str:
        """The name of the worker, and of the actor, that holds it."""
        return f"{self.node}/{self.number}"


def chosen_places(
    members: Iterable[Member], wanted: int | None, held: Collection[str] = ()
) -> dict[str, Place]:
    """Return the slots that should hold a worker, by the worker's name.

    Workers that run stay where they are; others are spread over the nodes, first slots first. Of two nodes of
    one name only the first counts: two workers of one name would take each other's trials.

    Args:
        members: Living nodes.
        wanted: How many workers; None for one in every slot. What exceeds the slots waits for more nodes.
        held: Names of workers that run.
    """
    named = {member.name: member for member in sorted(members, key=lambda member: member.id, reverse=True)}
    places = sorted(
        (place for member in named.values() for place in _places(member)),
        key=lambda place: (place.worker not in held, place.number, place.node),
    )
    return {place.worker: place for place in places[:wanted]}


def _places(member: Member) -> Iterator[Place]:
    for number in range(1, member.slots + 1):
        yield Place(member.id, member.name, number, member.gpu_share)
