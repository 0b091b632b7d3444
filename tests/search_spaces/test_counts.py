"""Published and hand-computed counts, to the unit."""

from collections.abc import Iterable
from typing import Any

import pytest

from search_spaces import Architecture, analyse
from search_spaces.cost import Tally
from search_spaces.head import Head
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.layer import Shape
from search_spaces.layers.merging import Add
from search_spaces.layers.normalisation import BatchNorm
from search_spaces.layers.pointwise import Activation
from search_spaces.lowering import lower_head, lower_stage, lower_stages
from search_spaces.stage import Stage, fit_stage, size_after, stage_from

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


def pyramid(channels: int, kernels: list[int], groups: list[int], shares: list[int] | None = None) -> Step:
    fields = {"kernels": kernels, "level_groups": groups, "shares": shares}
    return {"op": "pyramid", "channels": channels, **fields}


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
        (64, [[pyramid(64, [3, 5, 7, 9], [1, 4, 8, 16])]], {"channels": 64}, 27_072),
        (128, [[pyramid(128, [3, 5, 7], [1, 4, 8], [1, 1, 2])]], {"channels": 128}, 112_640),
        (256, [[pyramid(256, [3, 5], [1, 4])]], {"channels": 256}, 499_712),
        (128, [[pyramid(128, [3, 5, 7, 9], [32, 32, 32, 32])]], {"channels": 128}, 20_992),
        (256, [[{"op": "bottleneck", "channels": 256}]], {"channels": 256}, 69_632),
    ],
)
def test_weights_of_one_stage(
    inputs: int, branches: list[list[Step]], fields: dict[str, Any], expected: int
) -> None:
    assert params_of(inputs, stage_of(*branches, **fields)) == expected


def test_residual_pyramidal_bottleneck_with_its_batch_norms() -> None:
    steps = [conv(64, 1), pyramid(64, [3, 5, 7, 9], [1, 4, 8, 16]), conv(256, 1)]
    fields = {"norm": "batch", "branch_activation": True, "connection": "residual"}
    assert params_of(256, stage_of(steps, channels=256, **fields)) == 60_608


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


def fitted(stages: Iterable[dict[str, Any]], shape: Shape) -> list[Stage]:
    """Read stages one behind the other, as many as there are."""
    fitting, channels, size = [], shape[0], shape[1:]
    for number, stage in enumerate(stages, start=1):
        fitting.append(fit_stage(stage_from(stage, number), number, channels, size))
        channels, size = fitting[-1].channels, size_after(fitting[-1], size)
    return fitting


def bottlenecks(
    middles: Iterable[Step], blocks: Iterable[int], expansion: int, *, strides_first: bool
) -> list[dict[str, Any]]:
    """Return residual bottlenecks, so many blocks of each middle; each row but perhaps the first strides."""
    stages = []
    for row, (middle, count) in enumerate(zip(middles, blocks, strict=True)):
        for block in range(count):
            narrow, wide = middle["channels"], expansion * middle["channels"]
            steps = [conv(narrow, 1), middle, conv(wide, 1)]
            strides = block == 0 and (row > 0 or strides_first)
            fields = {"connection": "residual", "branch_activation": True}
            fields["downsample"] = "stride" if strides else "none"
            stages.append({"branches": [steps], "channels": wide, **fields})
    return stages


STEM = {"branches": [[conv(64, 7)]], "channels": 64, "downsample": "stride"}
MAX_POOL = {
    "branches": [[{"op": "pool", "kernel": 3}]],
    "channels": 64,
    "norm": "none",
    "downsample": "stride",
}
PLAIN = [conv(width, 3) for width in (64, 128, 256, 512)]
PYRAMIDS = [
    pyramid(64, [3, 5, 7, 9], [1, 4, 8, 16]),
    pyramid(128, [3, 5, 7], [1, 4, 8], [1, 1, 2]),
    pyramid(256, [3, 5], [1, 4]),
    conv(512, 3),
]
HEAVY_PYRAMIDS = [
    pyramid(128, [3, 5, 7, 9], [32, 32, 32, 32]),
    pyramid(256, [3, 5, 7], [32, 64, 64], [1, 1, 2]),
    pyramid(512, [3, 5], [32, 64]),
    conv(1024, 3, groups=32),
]
PYRAMIDAL_50 = [STEM, *bottlenecks(PYRAMIDS, (3, 4, 6, 3), 4, strides_first=True)]
PYRAMIDAL_101 = [STEM, *bottlenecks(PYRAMIDS, (3, 4, 23, 3), 4, strides_first=True)]
PYRAMIDAL_HEAVY_50 = [STEM, *bottlenecks(HEAVY_PYRAMIDS, (3, 4, 6, 3), 2, strides_first=True)]
RESNET_50 = [STEM, MAX_POOL, *bottlenecks(PLAIN, (3, 4, 6, 3), 4, strides_first=False)]


@pytest.mark.parametrize(
    ("stages", "params", "gmacs"),
    [
        pytest.param(PYRAMIDAL_50, 24_847_720, 3.820, id="PyConvResNet-50"),
        pytest.param(PYRAMIDAL_101, 42_307_944, 7.232, id="PyConvResNet-101"),
        pytest.param(PYRAMIDAL_HEAVY_50, 25_234_728, 4.534, id="PyConvHGResNet-50"),
        pytest.param(RESNET_50, 25_557_032, 4.089, id="ResNet-50"),
    ],
)
def test_deep_networks_of_residual_bottlenecks(
    stages: list[dict[str, Any]], params: int, gmacs: float
) -> None:
    """Duta et al. 2020, arXiv:2006.11538; ResNet-50 strides in its 3x3, as torchvision's."""
    tally = Tally((3, 224, 224))
    lower_head(tally, Head(), 1000, lower_stages(tally, fitted(stages, (3, 224, 224))))
    assert tally.counts().params == params
    assert round(tally.counts().macs / 1e9, 3) == gmacs


def separable(channels: int) -> Step:
    """MobileNet's convolution: a norm and an activation between its parts, a bias in both."""
    return {"op": "depthwise_separable", "channels": channels, "inner_activation": True, "bias": True}


def test_resnet_8_of_mlperf_tiny() -> None:
    """Banbury et al. 2021, arXiv:2106.07597, on CIFAR-10, from a description but for two projections.

    The reference code gives them a bias and no norm, where a described shortcut has a norm and no bias.
    """
    tally = Tally((3, 32, 32))
    steps = [conv(16, 3, bias=True), conv(16, 3, bias=True)]
    block = {"branches": [steps], "channels": 16, "branch_activation": True, "connection": "residual"}
    stem = {"branches": [steps[:1]], "channels": 16}
    node = lower_stages(tally, fitted([stem, block], (3, 32, 32)))
    for width in (32, 64):
        node = biased_residual(tally, width, node)
    lower_head(tally, Head(), 10, node)
    assert (tally.counts().params, tally.counts().macs) == (78_186, 12_501_632)


def biased_residual(tally: Tally, width: int, start: int) -> int:
    """Add two convolutions, the first of which strides, and a 1x1 shortcut, all with a bias."""
    shortcut = tally.add("shortcut", Convolution(width, (1, 1), 2, bias=True), start)
    node = start
    for stride in (2, 1):
        node = tally.add("conv", Convolution(width, (3, 3), stride, bias=True), node)
        node = tally.add("norm", BatchNorm(), node)
        if stride == 2:
            node = tally.add("activation", Activation("relu"), node)
    return tally.add("activation", Activation("relu"), tally.add("residual", Add(), node, shortcut))


def test_ds_cnn_of_mlperf_tiny() -> None:
    """Banbury et al. 2021, arXiv:2106.07597, on spectrograms of 49x10, from a description but for its stem.

    That is a convolution of 10x4, an even kernel, which a description cannot have.
    """
    tally = Tally((1, 49, 10))
    node = tally.add("stem", Convolution(64, (10, 4), 2, bias=True), tally.start)
    node = tally.add("activation", Activation("relu"), tally.add("norm", BatchNorm(), node))
    stages = [{"branches": [[separable(64)] * 2], "channels": 64, "branch_activation": True}] * 2
    for number, stage in enumerate(fitted(stages, tally.shape(node)), start=1):
        node = lower_stage(tally, f"stage{number}", stage, node, None)
    lower_head(tally, Head(), 12, node)
    assert (tally.counts().params, tally.counts().macs) == (23_756, 2_656_768)


def test_mobilenet_v1_quarter_of_mlperf_tiny() -> None:
    """Banbury et al. 2021, arXiv:2106.07597, on Visual Wake Words of 96x96, from a description alone."""
    rows = [[16], [32, 32], [64, 64], [128, 128, 128], [128, 128, 128], [256, 256]]
    stages = []
    for number, row in enumerate(rows):
        steps = [*([conv(8, 3, bias=True)] if number == 0 else []), *map(separable, row)]
        fields = {"branch_activation": True, "downsample": "none" if number == 4 else "stride"}
        stages.append({"branches": [steps], "channels": row[-1], **fields})
    cost = analyse(Architecture.from_dict({"input_shape": [3, 96, 96], "classes": 2, "stages": stages}))
    assert (cost.params, cost.macs) == (216_322, 7_489_664)


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
