"""Inception modules: 1x1, 3x3, 5x5 behind a narrowing 1x1, and pooling, side by side.

The larger kernel may be one convolution, two 3x3 in its place, or kx1 and then 1xk.
"""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="inception",
    summary="One to three modules of 1x1, 3x3, a larger kernel and pooling side by side",
    source="Szegedy et al.: Going deeper with convolutions, arXiv:1409.4842 (2015); "
    "Szegedy et al.: Rethinking the Inception architecture, arXiv:1512.00567 (2016)",
    space=SearchSpace.from_dict(
        {
            "depth": [2, 3, 4],
            "layouts": {
                "classic": [
                    {"kernel": 1},
                    {"kernel": 3, "bottleneck": [1, 2], "share": 2},
                    {"kernel": [5, 7], "bottleneck": [2, 4]},
                    {"operation": "pool", "kernel": 3, "function": ["max", "avg"]},
                ],
                "factorised": [
                    {"kernel": 1},
                    {"kernel": 3, "bottleneck": [1, 2]},
                    {"operation": "stacked", "kernel": [5, 7], "bottleneck": 2},
                    {"operation": "pool", "kernel": 3},
                ],
                "asymmetric": [
                    {"kernel": 1},
                    {"kernel": [3, 5, 7], "shape": "column_row", "share": 2},
                    {"operation": "identity"},
                ],
            },
            "stage": {
                "layout": ["classic", "factorised", "asymmetric"],
                "width": ["x1", "x1.5", "x2"],
                "branch_activation": [False, True],
                "downsample": ["none", "max", "stride"],
            },
            # The first stage is the stem.
            "stage1": {
                "layout": "free",
                "branch": {"kernel": [3, 5, 7]},
                "width": [8, 16, 24, 32, 48],
                "downsample": ["max", "avg", "stride"],
            },
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
