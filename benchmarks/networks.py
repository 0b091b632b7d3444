"""The five networks whose training is measured."""

from typing import Any

from search_spaces import Architecture

CLASSES = 10
PYRAMID_GROUPS = {3: 1, 5: 4, 7: 8, 9: 16}


def two_conv(input_shape: tuple[int, ...]) -> Architecture:
    """Two 3x3 convolutions of 32 and 64 channels, each pooled."""
    return _network(
        input_shape, [_stage([_conv(32)], downsample="max"), _stage([_conv(64)], downsample="max")]
    )


def two_conv_block(input_shape: tuple[int, ...]) -> Architecture:
    """Two blocks of a 3x3 beside a 7x7 convolution, concatenated."""
    stages = [
        _stage([_conv(width, kernel=3), _conv(width, kernel=7)], downsample="max") for width in (16, 32)
    ]
    return _network(input_shape, stages)


def pyramid(input_shape: tuple[int, ...]) -> Architecture:
    """Two pyramids of four levels (PyConv4, arXiv:2006.11538) behind a 3x3 convolution."""
    levels = [_conv(16, kernel=kernel, groups=groups) for kernel, groups in PYRAMID_GROUPS.items()]
    return _network(
        input_shape, [_stage([_conv(64)], downsample="max"), _stage(levels), _stage(levels, downsample="max")]
    )


def depthwise_separable(input_shape: tuple[int, ...]) -> Architecture:
    """Three depthwise separable stages behind a 3x3 convolution."""
    separable = [
        _stage([{"op": "depthwise_separable", "channels": width, "kernel": 3}], downsample=downsample)
        for width, downsample in ((64, "max"), (64, "none"), (128, "max"))
    ]
    return _network(input_shape, [_stage([_conv(32)]), *separable])


def residual_se(input_shape: tuple[int, ...]) -> Architecture:
    """Two residual stages with squeeze-and-excitation behind a 3x3 convolution."""
    residual = [
        _stage([_conv(width)], connection="residual", attention=4, downsample="max") for width in (32, 64)
    ]
    return _network(input_shape, [_stage([_conv(32)]), *residual])


NETWORKS = {
    "two_conv": two_conv,
    "2conv 3x3+7x7": two_conv_block,
    "PyConv4": pyramid,
    "depthwise": depthwise_separable,
    "residual SE": residual_se,
}


def _conv(channels: int, *, kernel: int = 3, groups: int = 1) -> dict[str, Any]:
    return {"op": "conv", "channels": channels, "kernel": kernel, "groups": groups}


def _stage(branches: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    total = sum(branch["channels"] for branch in branches)
    return {"branches": [[branch] for branch in branches], "channels": total, **fields}


def _network(input_shape: tuple[int, ...], stages: list[dict[str, Any]]) -> Architecture:
    return Architecture.from_dict({"input_shape": list(input_shape), "classes": CLASSES, "stages": stages})
