"""Xception: depthwise separable convolutions in series under residual connections, dilated ones included."""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="xception",
    summary="Two to five stages of separable convolutions in series under residual connections",
    source="Chollet: Xception, arXiv:1610.02357 (2017); "
    "Chen et al.: atrous separable convolution, arXiv:1802.02611 (2018)",
    space=SearchSpace.from_dict(
        {
            "depth": [2, 3, 4, 5],
            "stage": {
                "branch": {
                    "operation": "depthwise_separable",
                    "kernel": [3, 5, 7],
                    "dilation": [1, 2],
                    "repeat": [1, 2, 3],
                },
                "width": ["x1", "x1.5", "x2"],
                "branch_activation": [False, True],
                "connection": ["residual", "none"],
                "downsample": ["none", "max", "stride"],
            },
            "stage1": {
                "branch": {"operation": "conv", "dilation": 1, "repeat": 1},
                "width": [8, 16, 24, 32, 48, 64],
                "connection": "none",
                "downsample": ["max", "avg", "stride"],
            },
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
