"""Densely connected stages: one to three convolutions in series, each reading all maps before it."""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="dense",
    summary="Two to five stages in which every convolution reads all maps before it",
    source="Huang, Liu, van der Maaten, Weinberger: DenseNet, arXiv:1608.06993 (2017)",
    space=SearchSpace.from_dict(
        {
            "depth": [2, 3, 4, 5],
            "stage": {
                "branch": {"kernel": [3, 5], "repeat": [1, 2, 3], "bottleneck": [1, 2], "groups": [1, 4]},
                "width": [8, 12, 16, 24, 32],
                "branch_activation": [True, False],
                "connection": "dense",
                "downsample": ["none", "max", "avg"],
            },
            "stage1": {
                "branch": {"repeat": 1, "bottleneck": 1, "groups": 1},
                "width": [16, 24, 32, 48],
                "connection": "none",
                "downsample": ["max", "avg", "stride"],
            },
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
