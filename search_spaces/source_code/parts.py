"""The named parts of a graph: network > stage > branch > operation, as the names of its nodes say."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from search_spaces.graph import INPUT, Graph


@dataclass
class Part:
    """Layers that share the beginning of their names; it runs as a whole.

    Members are the indices of nodes and parts in it, in running order.
    """

    path: tuple[str, ...]
    members: list["int | Part"] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path[-1]

    def nodes(self) -> Iterator[int]:
        """Yield all nodes in it, those of inner parts too."""
        for member in self.members:
            if isinstance(member, Part):
                yield from member.nodes()
            else:
                yield member

    def inputs(self, graph: Graph) -> list[int]:
        """Return the nodes outside that it reads, in the order of reading; `INPUT` is the network's input."""
        inside = set(self.nodes())
        read = (source for node in self.nodes() for source in graph.nodes[node].inputs)
        return list(dict.fromkeys(source for source in read if source not in inside))

    def outputs(self, graph: Graph) -> list[int]:
        """Return the nodes that are read outside, or that end the network, in running order."""
        inside = set(self.nodes())
        read_outside = {
            source
            for index, node in enumerate(graph.nodes)
            if index not in inside
            for source in node.inputs
            if source in inside
        }
        last = len(graph.nodes) - 1
        return sorted(read_outside | ({last} & inside))


def parts_of(graph: Graph) -> Part:
    """Return the whole network as a part."""
    root = Part(())
    known: dict[tuple[str, ...], Part] = {(): root}
    for index, node in enumerate(graph.nodes):
        path = tuple(node.name.split("."))[:-1]
        for depth in range(1, len(path) + 1):
            if path[:depth] not in known:
                known[path[:depth]] = Part(path[:depth])
                known[path[: depth - 1]].members.append(known[path[:depth]])
        known[path].members.append(index)
    for part in known.values():
        _put_in_order(part, graph)
    return root


def _put_in_order(part: Part, graph: Graph) -> None:
    """Let each member stand behind what it reads; a branch may end after another has begun.

    Raises:
        ValueError: Two members wait for each other.
    """
    waiting, done = list(part.members), set(part.inputs(graph)) | {INPUT}
    part.members.clear()
    while waiting:
        ready = next((member for member in waiting if _needs(member, graph) <= done), None)
        if ready is None:
            raise ValueError(f"the members of {'.'.join(part.path) or 'the network'} wait for each other")
        waiting.remove(ready)
        part.members.append(ready)
        done |= set(ready.nodes()) if isinstance(ready, Part) else {ready}


def _needs(member: int | Part, graph: Graph) -> set[int]:
    return set(member.inputs(graph)) if isinstance(member, Part) else set(graph.nodes[member].inputs)
