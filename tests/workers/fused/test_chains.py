"""Which layers of a network are computed at once, and what becomes of them where that is impossible."""

import logging
import sys
from typing import Any

import pytest
import torch

from search_spaces import Architecture
from search_spaces.modules import Network, build
from workers.training.fused import apply, fused_layers
from workers.training.fused.chain import Operation


def network_of(*stages: dict[str, Any], input_shape: tuple[int, ...] = (1, 8, 8)) -> Network:
    fields = {"input_shape": list(input_shape), "classes": 10, "stages": list(stages)}
    return build(Architecture.from_dict(fields), seed=0)


def stage(**fields: Any) -> dict[str, Any]:
    return {"branches": [[{"op": "conv", "channels": 8, "kernel": 3}]], "channels": 8, **fields}


def chains(network: Network) -> list[list[str]]:
    nodes = network.graph.nodes
    return [[nodes[index].name for index in chain] for chain in apply.chains(network.graph)]


def test_pooling_normalisation_and_activation_are_a_chain() -> None:
    assert chains(network_of(stage(downsample="max"), stage())) == [
        ["stage1.pool", "stage1.norm", "stage1.activation"],
        ["stage2.norm", "stage2.activation"],
    ]


def test_a_chain_ends_where_something_else_reads_a_map() -> None:
    network = network_of(stage(), stage(connection="residual", attention=4, downsample="max"))
    assert chains(network) == [
        ["stage1.norm", "stage1.activation"],
        # Squeeze-and-excitation comes before the activation.
        ["stage2.pool", "stage2.norm"],
        ["stage2.shortcut.pool"],
    ]


@pytest.mark.parametrize("downsample", ["avg", "stride"])
def test_other_ways_to_shrink_a_map_are_not_part_of_a_chain(downsample: str) -> None:
    assert chains(network_of(stage(downsample=downsample))) == [["stage1.norm", "stage1.activation"]]


def test_only_batch_normalisation_of_images_is_part_of_a_chain() -> None:
    assert chains(network_of(stage(norm="group", downsample="max"))) == [["stage1.pool"]]
    assert chains(network_of(stage(downsample="max"), input_shape=(1, 16))) == []


@pytest.mark.parametrize(("device", "compiler"), [("cpu", "llvmlite"), ("cuda", "triton")])
def test_without_a_compiler_layers_are_trained_one_by_one(
    device: str, compiler: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # As where it is not installed, whatever another test has loaded.
    monkeypatch.setitem(sys.modules, compiler, None)
    for name in ("compiling", "vectors", "passes", "kernels", "operation"):
        monkeypatch.delitem(sys.modules, f"workers.training.fused.{device}.{name}", raising=False)
        monkeypatch.delattr(f"workers.training.fused.{device}.{name}", raising=False)
    monkeypatch.setattr(apply, "_OPERATIONS", {})
    network = network_of(stage(downsample="max"))
    for _ in range(2):
        with caplog.at_level(logging.WARNING), fused_layers(network, torch.device(device)):
            assert not any("forward" in vars(module) for module in network.modules())
    assert caplog.text.count(f"layer by layer: import of {compiler} halted") == 1


def test_a_moment_without_memory_is_not_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    operation = Operation(lambda chain, x: x, (), lambda device: None)
    answers = iter([torch.OutOfMemoryError("full"), operation])

    def tried(device: torch.device) -> Operation:
        answer = next(answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(apply, "_OPERATIONS", {})
    monkeypatch.setattr(apply, "_tried", tried)
    with pytest.raises(torch.OutOfMemoryError):
        apply.operation_of(torch.device("cpu"))
    assert apply.operation_of(torch.device("cpu")) is operation
    assert apply.operation_of(torch.device("cpu")) is operation
