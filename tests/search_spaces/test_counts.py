"""Published and hand-computed counts, to the unit."""

from typing import Any

import pytest

from search_spaces import Architecture, analyse

Step = dict[str, Any]


def conv(channels: int, kernel: Any, **fields: Any) -> Step:
    return {"op": "conv", "channels": channels, "kernel": kernel, **fields}


def stage_of(*branches: list[Step], channels: int, **fields: Any) -> dict[str, Any]:
    return {"branches": list(branches), "channels": channels, "norm": "none", **fields}


def params_of(input_channels: int, *stages: dict[str, Any], side: int = 32) -> int:
    """Count the parameters of stages alone, without the head."""
    shape = [input_channels, side, side]
    architecture = Architecture.from_dict({"input_shape": shape, "classes": 2, "stages": list(stages)})
    return sum(layer.params for layer in analyse(architecture).layers if not layer.name.startswith("head."))


PYRAMID_64 = [[conv(16, 3)], [conv(16, 5, groups=4)], [conv(16, 7, groups=8)], [conv(16, 9, groups=16)]]


@pytest.mark.parametrize(
    ("inputs", "branches", "fields", "expected"),
    [
        (64, [[conv(128, 3)]], {"channels": 128}, 73_728),
        (64, [[conv(128, 5)]], {"channels": 128}, 204_800),
        (64, [[conv(128, 3)], [conv(128, 5)]], {"channels": 256}, 278_528),
        (64, [[conv(128, 5, groups=2)]], {"channels": 128}, 102_400),
        (64, [[conv(64, 3)], [conv(64, 5, groups=4)]], {"channels": 128}, 62_464),
        (256, [[conv(256, 3)]], {"channels": 256}, 589_824),
        (256, [[conv(256, 3, groups=8)]], {"channels": 256}, 73_728),
        (256, [[conv(64, 1), conv(64, 3), conv(256, 1)]], {"channels": 256}, 69_632),
        (3, [[conv(256, 3)]], {"channels": 256}, 6_912),
        (3, [[{"op": "depthwise_separable", "channels": 256, "kernel": 3}]], {"channels": 256}, 795),
        (64, [[conv(64, 3)], [conv(64, 5)]], {"channels": 64, "fusion": "concat_project"}, 147_456),
        (64, [[conv(64, 3)], [conv(64, 5)]], {"channels": 64, "fusion": "add"}, 139_264),
        (64, [[conv(64, 3)], [conv(64, 7)]], {"channels": 64, "fusion": "concat_project"}, 245_760),
        (64, PYRAMID_64, {"channels": 64}, 9_216 + 6_400 + 6_272 + 5_184),
        (128, [[conv(32, 3)], [conv(32, 5, groups=4)], [conv(64, 7, groups=8)]], {"channels": 128}, 112_640),
        (256, [[conv(128, 3)], [conv(128, 5, groups=4)]], {"channels": 256}, 499_712),
        (128, [[conv(32, kernel, groups=32)] for kernel in (3, 5, 7, 9)], {"channels": 128}, 20_992),
    ],
)
def test_weights_of_one_stage(
    inputs: int, branches: list[list[Step]], fields: dict[str, Any], expected: int
) -> None:
    assert params_of(inputs, stage_of(*branches, **fields)) == expected


def test_pyramidal_bottleneck_with_its_batch_norms() -> None:
    stages = [
        stage_of([conv(64, 1)], channels=64, norm="batch"),
        stage_of(*PYRAMID_64, channels=64, norm="batch"),
        stage_of([conv(256, 1)], channels=256, norm="batch"),
    ]
    assert params_of(256, *stages) == 60_608


@pytest.mark.parametrize(
    ("shape", "pool", "has_bias", "expected"),
    [
        ([1, 28, 28], "avg", True, 38_218),
        ([3, 32, 32], "avg", True, 38_794),
        ([1, 28, 28], "avg", False, 38_218 - 96),
        ([3, 32, 32], "avg", False, 38_794 - 96),
        ([1, 28, 28], "flatten", True, 824_650),
        ([3, 32, 32], "flatten", True, 1_070_986),
    ],
)
def test_canonical_two_conv_networks(shape: list[int], pool: str, has_bias: bool, expected: int) -> None:
    stages = [
        {"branches": [[conv(width, 3, bias=has_bias)]], "channels": width, "downsample": "max"}
        for width in (32, 64)
    ]
    head = {"pool": pool, "dense": [256]}
    data = {"input_shape": shape, "classes": 10, "stages": stages, "head": head}
    assert analyse(Architecture.from_dict(data)).params == expected


def test_resnet_8_of_mlperf_tiny() -> None:
    """Two of its three shortcuts carry a biased projection; here these are normalised instead."""
    wide = [(16, "none"), (32, "stride"), (64, "stride")]
    stages = [{"branches": [[conv(16, 3, bias=True)]], "channels": 16}]
    for width, downsample in wide:
        steps = [conv(width, 3, bias=True), conv(width, 3, bias=True)]
        block = {"branches": [steps], "channels": width, "branch_activation": True}
        stages.append({**block, "connection": "residual", "downsample": downsample})
    cost = analyse(Architecture.from_dict({"input_shape": [3, 32, 32], "classes": 10, "stages": stages}))
    assert cost.macs == 12_501_632
    assert cost.params == 78_186 + (32 + 64)


def test_mobilenet_v1_quarter_of_mlperf_tiny() -> None:
    """It also has norms behind the depthwise parts, and a bias in each convolution."""
    first = conv(8, 3)
    rows = [[16], [32, 32], [64, 64], [128, 128, 128], [128, 128, 128], [256, 256]]
    downsamples = ["stride", "stride", "stride", "stride", "none", "stride"]
    stages = []
    for row, downsample in zip(rows, downsamples, strict=True):
        steps = [{"op": "depthwise_separable", "channels": width} for width in row]
        branch = [first, *steps] if row == [16] else steps
        block = {"branches": [branch], "channels": row[-1], "branch_activation": True}
        stages.append({**block, "downsample": downsample})
    cost = analyse(Architecture.from_dict({"input_shape": [3, 96, 96], "classes": 2, "stages": stages}))
    widths = [8, *(width for row in rows for width in row)]
    norms, biases = 2 * sum(widths[:-1]), sum(widths) + sum(widths[:-1])
    assert cost.macs == 7_489_664
    assert cost.params == 216_322 - norms - biases


def test_macs_count_outputs_times_what_each_sees() -> None:
    stage = stage_of([conv(16, 3)], channels=16, downsample="stride")
    data = {"input_shape": [3, 32, 32], "classes": 10, "stages": [stage]}
    cost = analyse(Architecture.from_dict(data))
    assert cost.layers[0].macs == 16 * 16 * 16 * 3 * 9
    assert cost.macs == 110_592 + 16 * 10


def test_squeeze_and_excitation_counts_both_dense_layers() -> None:
    plain, gated = (
        Architecture.from_dict(
            {
                "input_shape": [8, 16],
                "classes": 2,
                "stages": [{"branches": [[conv(32, 3)]], "channels": 32, "attention": attention}],
            }
        )
        for attention in (None, 4)
    )
    more = analyse(gated).params - analyse(plain).params
    assert more == 32 * 8 + 8 + 8 * 32 + 32
    assert analyse(gated).macs - analyse(plain).macs == 2 * 32 * 8


def test_peak_memory_counts_what_is_alive_at_once() -> None:
    """The input of 1x8x8 and the first map of 4x8x8 are alive together; the norm and ReLU write in place."""
    data = {
        "input_shape": [1, 8, 8],
        "classes": 2,
        "stages": [{"branches": [[conv(4, 3)]], "channels": 4, "downsample": "max"}],
    }
    assert analyse(Architecture.from_dict(data)).peak_activation_bytes == 4 * (64 + 256)


def test_receptive_field_spans_the_branches() -> None:
    stages = [
        stage_of([conv(8, 3)], [conv(8, 7)], channels=16, downsample="max"),
        stage_of([conv(8, [3, 1])], [conv(8, 3, dilation=2)], channels=16),
    ]
    data = {"input_shape": [1, 32, 32], "classes": 2, "stages": stages}
    field = analyse(Architecture.from_dict(data)).receptive_field
    # 3 or 7, then a pool of 2 adds 1, then two or four steps of 2; [3, 1] adds nothing across.
    assert field.smallest == (3 + 1 + 4, 3 + 1 + 0)
    assert field.largest == (7 + 1 + 8, 7 + 1 + 8)
