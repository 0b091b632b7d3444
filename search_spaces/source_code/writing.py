"""Write a network as a Python module of plain torch, as a person would."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from textwrap import indent

from search_spaces.architecture import Architecture
from search_spaces.graph import INPUT, Graph
from search_spaces.layers.layer import Source
from search_spaces.lowering import lower
from search_spaces.source_code.definitions import definitions
from search_spaces.source_code.parts import Part, parts_of
from search_spaces.wording import summary

LINE = 110
STEP = "    "
# Layers whose name a variable would hide from the reader.
VARIABLES = {"sum": "total"}
NAMED = '''\
def named(**layers: nn.Module) -> nn.Sequential:
    """Return layers that run one behind the other, each under its name."""
    return nn.Sequential(OrderedDict(layers))
'''
LOADING = '''\
WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(path: str | Path = WEIGHTS) -> Network:
    """Return the trained network, ready for inference."""
    content = Path(path).read_bytes()
    size = int.from_bytes(content[:8], "little")
    network = Network()
    state = network.state_dict()
    for name, entry in json.loads(content[8 : 8 + size]).items():
        if name != "__metadata__":
            first, last = (8 + size + offset for offset in entry["data_offsets"])
            flat = torch.frombuffer(bytearray(content[first:last]), dtype=state[name].dtype)
            state[name] = flat.reshape(entry["shape"])
    network.load_state_dict(state)
    return network.eval()
'''


def write_source(architecture: Architecture, preamble: Sequence[str] = ()) -> str:
    """Return a module with a class `Network` and `load`; its logits have the bits of the torch module's.

    Its parameters carry the names of that module's state dict.

    Args:
        architecture: What to write.
        preamble: Top-level statements that stand in front of `load`, such as a preprocessing.
    """
    graph = lower(architecture)
    writer = _Writer(graph)
    root = parts_of(graph)
    classes = writer.network(root, _said(architecture))
    helpers = definitions(writer.needed)
    if any("named(" in text for text in classes):
        helpers.insert(0, NAMED)
    body = "\n\n\n".join(text.strip("\n") for text in (*helpers, *classes, *preamble, LOADING))
    return f"{_header(architecture, body)}\n\n{body}\n"


def _said(architecture: Architecture) -> str:
    """Return the network's docstring: a line a stage."""
    count, _, stages = summary(architecture).partition(": ")
    return "\n".join([f"{count}, one behind the other, and the head.", "", *stages.split(" → "), ""])


def _header(architecture: Architecture, body: str) -> str:
    lines = [
        f'"""A network of {len(architecture.stages)} stages for inputs {architecture.input_shape} and '
        f"{architecture.classes} classes.",
        "",
        f"Architecture {architecture.hash}.",
        "Shapes in comments: B examples, then channels, then the map.",
        '"""',
        "",
        "import json",
    ]
    lines += ["from collections import OrderedDict"] if "OrderedDict(" in body else []
    lines += ["from pathlib import Path", "", "import torch"]
    lines += ["import torch.nn.functional as F"] if " F." in body or "(F." in body else []
    return "\n".join([*lines, "from torch import nn", ""])


@dataclass
class _Writer:
    graph: Graph
    # Definitions that the classes need: file and name.
    needed: list[tuple[str, str]] = field(default_factory=list)

    def network(self, root: Part, said: str) -> list[str]:
        """Return the classes of all parts, inner ones first, the network last."""
        return [*self._inner_classes(root), self._class(root, "Network", said)]

    def _inner_classes(self, part: Part) -> Iterator[str]:
        for member in part.members:
            if isinstance(member, Part) and not self._is_chain(member):
                yield from self._inner_classes(member)
                yield self._class(member, _class_name(member), "")

    def _class(self, part: Part, name: str, said: str) -> str:
        inputs, outputs = part.inputs(self.graph), part.outputs(self.graph)
        came, leaves = (" and ".join(map(self._shape, nodes)) for nodes in (inputs, outputs))
        docstring = said or f"{came} to {leaves}."
        layers = [line for member in part.members for line in self._construction(member)]
        names = self._argument_names(part, inputs)
        typed = ", ".join(f"{argument}: torch.Tensor" for argument in names.values())
        head = [f"class {name}(nn.Module):", indent(f'"""{docstring}"""', STEP), ""]
        if layers:
            head += [f"{STEP}def __init__(self) -> None:", f"{STEP * 2}super().__init__()"]
            head += [indent(line, STEP * 2) for line in layers] + [""]
        returned = ", ".join(["torch.Tensor"] * len(outputs))
        returned = returned if len(outputs) == 1 else f"tuple[{returned}]"
        head.append(f"{STEP}def forward(self, {typed}) -> {returned}:")
        return "\n".join([*head, *(STEP * 2 + line for line in self._statements(part, names))]) + "\n"

    def _construction(self, member: int | Part) -> list[str]:
        """Return the line that makes a member in `__init__`; none where an expression does its work."""
        if isinstance(member, Part):
            made = self._chain(member) if self._is_chain(member) else f"{_class_name(member)}()"
            return [_fitted(f"self.{member.name} = ", made)]
        source = self._source(member)
        return [_fitted(f"self.{self._name(member)} = ", source.text)] if source.is_module else []

    def _chain(self, part: Part) -> str:
        layers = [
            f"{member.name}={self._chain(member)}"
            if isinstance(member, Part)
            else f"{self._name(member)}={self._source(member).text}"
            for member in part.members
        ]
        if len(layers) == 1 and "\n" not in layers[0]:
            return f"named({layers[0]})"
        return "named(\n" + "".join(indent(f"{layer},\n", STEP) for layer in layers) + ")"

    def _is_chain(self, part: Part) -> bool:
        """Whether a part is layers one behind the other, each a module."""
        inputs = part.inputs(self.graph)
        if len(inputs) != 1 or not part.path:
            return False
        before = inputs[0]
        for member in part.members:
            if isinstance(member, Part):
                fits = self._is_chain(member) and member.inputs(self.graph) == [before]
                before = max(member.outputs(self.graph))
            else:
                fits = self.graph.nodes[member].inputs == (before,) and self._source(member).is_module
                before = member
            if not fits:
                return False
        return part.outputs(self.graph) == [before]

    def _statements(self, part: Part, names: dict[int, str]) -> Iterator[str]:
        """Yield the lines of `forward`; what only the next line reads, alone, is called x where x is free."""
        steps = [self._step(member) for member in part.members]
        results = part.outputs(self.graph)
        last_use = {source: place for place, (_, inputs, _) in enumerate(steps) for source in inputs}
        last_use |= dict.fromkeys(results, len(steps))
        holder = next((node for node, name in names.items() if name == "x"), None)
        for place, (member, inputs, outputs) in enumerate(steps):
            value = self._value(member, [names[source] for source in inputs])
            is_free = holder is None or last_use.get(holder, -1) <= place
            follower = steps[place + 1][1] if place + 1 < len(steps) else results
            if is_free and outputs == follower:
                names[outputs[0]], holder = "x", outputs[0]
            else:
                names |= {node: self._label(member, node, outputs) for node in outputs}
            left = ", ".join(names[node] for node in outputs)
            yield f"{left} = {value}  # {', '.join(map(self._shape, outputs))}"
        yield f"return {', '.join(names[node] for node in results)}"

    def _argument_names(self, part: Part, inputs: list[int]) -> dict[int, str]:
        """Name what `forward` takes, in the order of the call: x where it is one, else by its origin."""
        if len(inputs) == 1:
            return {inputs[0]: "x"}
        depth = len(part.path) - 1
        return {
            node: "x" if node == INPUT else self.graph.nodes[node].name.split(".")[depth] for node in inputs
        }

    def _step(self, member: int | Part) -> tuple[int | Part, list[int], list[int]]:
        """Return a member with the nodes that it reads and those that come out of it."""
        if isinstance(member, Part):
            return member, member.inputs(self.graph), member.outputs(self.graph)
        return member, list(self.graph.nodes[member].inputs), [member]

    def _label(self, member: int | Part, node: int, outputs: list[int]) -> str:
        if not isinstance(member, Part):
            return VARIABLES.get(self._name(node), self._name(node))
        return member.name if node == outputs[-1] else f"{member.name}_{self._name(node)}"

    def _value(self, member: int | Part, inputs: list[str]) -> str:
        if isinstance(member, Part):
            return f"self.{member.name}({', '.join(inputs)})"
        source = self._source(member)
        if source.is_module:
            return f"self.{self._name(member)}({', '.join(inputs)})"
        return source.text.format(*inputs, all=", ".join(inputs))

    def _source(self, node: int) -> Source:
        place = self.graph.nodes[node]
        source = place.layer.source(place.input_shapes)
        if source.definition and source.definition not in self.needed:
            self.needed.append(source.definition)
        return source

    def _name(self, node: int) -> str:
        return self.graph.nodes[node].name.split(".")[-1]

    def _shape(self, node: int) -> str:
        shape = self.graph.input_shape if node == INPUT else self.graph.nodes[node].shape
        return f"(B, {', '.join(map(str, shape))})"


def _class_name(part: Part) -> str:
    return "".join(word.capitalize() for name in part.path for word in name.split("_"))


def _fitted(start: str, value: str) -> str:
    """Return one line, or the arguments of a call on lines of their own where it would be too long."""
    if "\n" in value or len(STEP * 2 + start + value) <= LINE:
        return start + value
    opening = value.index("(") + 1
    return f"{start}{value[:opening]}\n{STEP}{value[opening:-1]}\n)"
