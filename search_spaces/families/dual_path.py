"""Dual paths: half of each stage's map is added to the input, all of it goes on beside the input."""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="dual_path",
    summary="Two to five stages that add to one path and concatenate to the other",
    source="Chen et al.: Dual path networks, arXiv:1707.01629 (2017)",
    space=SearchSpace.from_dict(
        {
            "depth": [2, 3, 4],
            "stage": {
                "branches": [1, 2],
                "branch": {
                    "operation": ["conv", "bottleneck"],
                    "kernel": [3, 5, 7],
                    "groups": [1, 4],
                    "ratio": 2,
                },
                "fusion": ["concat", "add"],
                "width": [16, 24, 32, 48],
                "connection": "dual_path",
                "downsample": ["none", "max", "avg"],
            },
            "stage1": {
                "branches": 1,
                "branch": {"operation": "conv", "groups": 1},
                "width": [16, 24, 32, 48],
                "connection": "none",
                "downsample": ["max", "avg", "stride"],
            },
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
