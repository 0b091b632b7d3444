"""Residual bottlenecks: wide, narrow, wide, with a plain, grouped or larger kernel in the middle."""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="bottleneck",
    summary="Two to five stages of residual bottlenecks behind a plain convolution",
    source="He, Zhang, Ren, Sun: Deep residual learning, arXiv:1512.03385 (2016); Xie et al.: ResNeXt, "
    "arXiv:1611.05431 (2017)",
    space=SearchSpace.from_dict(
        {
            "depth": [2, 3, 4],
            "tied": ["connection"],
            "stage": {
                "branches": [1, 2],
                "branch": {
                    "operation": "bottleneck",
                    "kernel": [3, 5, 7],
                    "groups": [1, 4, 8],
                    "ratio": [2, 4],
                },
                "fusion": ["add", "concat"],
                "width": ["x1", "x1.5", "x2"],
                "branch_activation": True,
                "connection": ["residual", "none"],
                "downsample": ["none", "max", "stride"],
            },
            "stage1": {
                "branches": 1,
                "branch": {"operation": "conv", "groups": 1},
                "width": [16, 24, 32, 48, 64],
                "connection": "none",
                "downsample": ["max", "avg", "stride"],
            },
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
