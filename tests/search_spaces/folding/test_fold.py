"""A folded network computes what the network did, in torch and in ONNX Runtime."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from search_spaces import Architecture, RandomTrial, Stage, families, lower, resolve_space
from search_spaces.cost import graph_peak_bytes, layer_costs
from search_spaces.folding import MERGES, fold_graph
from search_spaces.modules import build
from search_spaces.modules.folding import fold
from search_spaces.modules.network import Network
from search_spaces.onnx_model import graph_to_onnx
from search_spaces.wording import is_foldable

TOLERANCE = 1e-4
SHAPES = [(2, 64), (3, 17, 20), (1, 6, 7, 8)]
CHOICES = [{"merge": merge, "concat": concat} for merge in MERGES for concat in (False, True)]
CHOICES += [{"merge": merge, "dense": True} for merge in MERGES]


def trained_like(architecture: Architecture, seed: int) -> Network:
    """Return a network whose norms, weights of sums and biases are all drawn, negative scales among them.

    Norms have seen random examples, as training would have them: what passes through keeps its size.
    """
    network = build(architecture, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if value.is_floating_point() and value.dim() == 1:
            low, high = (0.5, 1.5) if name.endswith("running_var") else (-1.5, 1.5)
            value.copy_(low + (high - low) * torch.rand(value.shape, generator=generator))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randn((32, *architecture.input_shape), generator=generator))
    return network.eval()


def arrays(network: Network) -> dict[str, Any]:
    return {name: value.numpy() for name, value in network.state_dict().items()}


@torch.no_grad()
def deviations(architecture: Architecture, seed: int, **choices: Any) -> tuple[float, float]:
    """Return the largest difference of folded from unfolded logits, by their size: torch, ONNX Runtime."""
    network = trained_like(architecture, seed)
    examples = torch.randn((3, *architecture.input_shape), generator=torch.Generator().manual_seed(seed))
    expected = network(examples).numpy()
    folded = fold(network, **choices)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph_to_onnx(folded.graph, arrays(folded)), options)
    found = [folded(examples).numpy(), session.run(["logits"], {"input": examples.numpy()})[0]]
    size = max(1.0, np.abs(expected).max())
    in_torch, in_onnx = (float(np.abs(logits - expected).max() / size) for logits in found)
    return in_torch, in_onnx


def check_figures(network: Network) -> None:
    """Compare the state with what the layers ask for, and cost the graph."""
    asked = {
        f"{node.name}.{name}": shape
        for node in network.graph.nodes
        for name, shape in node.layer.parameter_shapes(node.input_shapes).items()
    }
    assert {name: tuple(value.shape) for name, value in network.named_parameters()} == asked
    costs = layer_costs(network.graph)
    assert sum(cost.params for cost in costs) == sum(value.numel() for value in network.parameters())
    assert sum(cost.buffers for cost in costs) == sum(value.numel() for value in network.buffers())
    assert graph_peak_bytes(network.graph) > 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", families.names())
def test_samples_of_a_family_fold_exactly(family: str, shape: tuple[int, ...]) -> None:
    space, turn = resolve_space(family), families.names().index(family) + SHAPES.index(shape)
    # Each shape of each family has a third of the choices; they take turns.
    for seed, choices in list(enumerate(CHOICES))[turn % 3 :: 3]:
        architecture = space.sample(RandomTrial(seed), shape, 5)
        assert max(deviations(architecture, seed, **choices)) < TOLERANCE, architecture.canonical_json()


def test_every_choice_folds_exactly(each_description: dict[str, Any]) -> None:
    architecture = Architecture.from_dict(each_description)
    assert max(deviations(architecture, 0, merge="always", concat=True)) < TOLERANCE


@settings(max_examples=15, deadline=None)
@given(
    family=st.sampled_from(families.names()),
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 2**32 - 1),
    choices=st.sampled_from(CHOICES),
)
def test_a_folded_graph_has_the_state_and_cost_of_its_layers(
    family: str, shape: tuple[int, ...], seed: int, choices: dict[str, Any]
) -> None:
    network = trained_like(resolve_space(family).sample(RandomTrial(seed), shape, 5), seed % 100)
    folded = fold(network, **choices)
    check_figures(folded)
    again = fold(folded, **choices)
    assert len(again.graph.nodes) == len(folded.graph.nodes)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_what_is_cheaper_never_takes_more_macs(seed: int) -> None:
    graph = lower(resolve_space("multi_scale").sample(RandomTrial(seed), (3, 17, 20), 5))
    with torch.random.fork_rng(devices=[]):
        state = arrays(Network(graph))
    before, after = (
        sum(cost.macs for cost in layer_costs(each)) for each in (graph, fold_graph(graph, state)[0])
    )
    assert after <= before


def describe(*branches: Any, **fields: Any) -> Architecture:
    stage = {"branches": [list(branch) for branch in branches], "channels": 8, **fields}
    return Architecture.from_dict({"input_shape": [8, 9, 8], "classes": 3, "stages": [stage]})


def conv(kernel: Any = 3, channels: int = 8, **fields: Any) -> dict[str, Any]:
    return {"op": "conv", "channels": channels, "kernel": kernel, **fields}


def test_a_multi_scale_stage_with_a_residual_becomes_one_convolution() -> None:
    branches = [[conv(3)], [conv(5)], [conv(1)], [{"op": "identity"}]]
    architecture = describe(*branches, fusion="weighted", connection="residual", dropout=0.5)
    folded = fold(trained_like(architecture, 0))
    assert [node.layer.kind for node in folded.graph.nodes] == [
        "convolution",
        "activation",
        "global_pool",
        "linear",
    ]
    assert max(deviations(architecture, 0)) < TOLERANCE


def test_interleaved_groups_become_one_convolution() -> None:
    architecture = describe([{"op": "igc", "channels": 8, "kernel": 3}])
    folded = fold(trained_like(architecture, 0), merge="always")
    assert [node.layer.kind for node in folded.graph.nodes][:2] == ["convolution", "activation"]
    assert max(deviations(architecture, 0, merge="always")) < TOLERANCE


def test_the_network_itself_stays_as_it_is() -> None:
    network = trained_like(describe([conv()]), 0).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    draws = torch.get_rng_state()
    folded = fold(network)
    assert network.training
    assert not folded.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), draws)


def test_merging_follows_the_choice() -> None:
    network = trained_like(describe([conv([3, 1]), conv([1, 3])], [conv(3)], fusion="add"), 0)
    counts = {
        merge: sum(node.layer.kind == "convolution" for node in fold(network, merge=merge).graph.nodes)
        for merge in MERGES
    }
    assert counts == {"never": 3, "cheaper": 3, "always": 1}


def test_an_unknown_choice_and_a_missing_entry_are_named() -> None:
    network = trained_like(describe([conv()]), 0)
    with pytest.raises(ValueError, match="merge 'all' is none of cheaper, always, never"):
        fold(network, merge="all")
    state = arrays(network)
    del state["stage1.norm.running_mean"]
    with pytest.raises(ValueError, match=r"the state lacks stage1\.norm\.running_mean"):
        fold_graph(network.graph, state)


FOLDABLE = [
    describe([conv()]).stages[0],
    describe([conv(3)], [conv(5)], fusion="add").stages[0],
    describe([conv(3)], [{"op": "identity"}], fusion="weighted").stages[0],
    describe([conv(3, groups=4, shuffle="before")], [conv(3, channels=6)], fusion="add").stages[0],
    describe(
        [conv([3, 1]), conv([1, 3])], [{"op": "stacked", "channels": 8, "kernel": 3}], fusion="add"
    ).stages[0],
    describe([{"op": "depthwise_separable", "channels": 8, "bias": True}], downsample="stride").stages[0],
    describe([{"op": "identity"}], [{"op": "identity"}], fusion="add", channels=6).stages[0],
    describe([conv()], [conv(5)], fusion="add", connection="dense", channels=16).stages[0],
    describe([{"op": "bottleneck", "channels": 8, "kernel": 5, "dilation": 2}]).stages[0],
]
UNFOLDABLE = [
    describe([conv()], [conv(5)], fusion="concat", channels=16).stages[0],
    describe([conv()], [conv(5)], fusion="concat_project").stages[0],
    describe([conv()], [conv(5)], fusion="selective").stages[0],
    describe([conv()], [conv(5)], fusion="add", branch_activation=True).stages[0],
    describe([conv(), conv()]).stages[0],
    describe([conv(1, bias=True), conv(3)]).stages[0],
    describe([conv(1), conv(3)], [conv(1), conv(3)], fusion="add", connection="dense", channels=16).stages[0],
    describe([{"op": "pool", "function": "avg"}], [conv(3)], fusion="add").stages[0],
    describe([{"op": "stacked", "channels": 8}]).stages[0],
    describe([{"op": "depthwise_separable", "channels": 8, "inner_activation": True}]).stages[0],
    describe([{"op": "identity"}], [{"op": "identity"}], fusion="add").stages[0],
    describe([{"op": "pyramid", "channels": 8, "level_groups": [1, 2, 2, 1]}]).stages[0],
]


@pytest.mark.parametrize(
    ("stage", "is_one"), [(stage, True) for stage in FOLDABLE] + [(stage, False) for stage in UNFOLDABLE]
)
def test_foldable_stages_are_those_that_leave_one_convolution(stage: Stage, is_one: bool) -> None:
    assert is_foldable(stage) == is_one
    assert leaves_one_convolution(stage, (8, 9, 8)) == is_one


@pytest.mark.parametrize("family", families.names())
def test_sampled_stages_fold_where_their_words_say_so(family: str) -> None:
    for seed in range(20):
        stage = resolve_space(family).sample(RandomTrial(seed), (3, 17, 20), 5).stages[0]
        if stage.connection == "none":
            assert is_foldable(stage) == leaves_one_convolution(stage, (3, 17, 20)), stage


def leaves_one_convolution(stage: Stage, shape: tuple[int, ...]) -> bool:
    alone = replace(stage, norm="none", attention=None, self_attention=None, downsample="none")
    network = build(Architecture(shape, 3, (alone,)), seed=0)
    nodes = fold(network, merge="always").graph.nodes
    kinds = [node.layer.kind for node in nodes if node.name.startswith("stage1.")]
    return kinds.count("convolution") == 1 and kinds[1] == "activation"
