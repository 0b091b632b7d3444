"""Interleaved group convolutions: two group convolutions that complement each other replace one dense one."""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="igc",
    summary="Two to five stages of interleaved group convolutions",
    source="Zhang, Qi, Xiao, Wang: Interleaved group convolutions, arXiv:1707.02725 (2017)",
    space=SearchSpace.from_dict(
        {
            "depth": [2, 3, 4],
            "tied": ["connection"],
            "stage": {
                "branches": [1, 2],
                "branch": {
                    "operation": "igc",
                    "kernel": [3, 5, 7],
                    "groups": [2, 4, 8, 16],
                    "dilation": [1, 2],
                },
                "fusion": ["add", "concat"],
                "width": ["x1", "x1.5", "x2"],
                "connection": ["none", "residual"],
                "downsample": ["none", "max", "stride"],
            },
            "stage1": {
                "branches": 1,
                "branch": {"operation": "conv", "groups": 1, "dilation": 1},
                "width": [16, 24, 32, 48, 64],
                "connection": "none",
                "downsample": ["max", "avg", "stride"],
            },
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
