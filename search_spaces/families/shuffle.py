"""Channel shuffle: ShuffleNet units, and grouped convolutions that mix their groups before or after."""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="shuffle",
    summary="Two to five stages of ShuffleNet units or shuffled grouped convolutions",
    source="Zhang, Zhou, Lin, Sun: ShuffleNet, arXiv:1707.01083 (2018)",
    space=SearchSpace.from_dict(
        {
            "depth": [2, 3, 4, 5],
            "layouts": {
                "unit": [
                    {"operation": "shuffle_unit", "kernel": [3, 5], "groups": [1, 2, 4, 8], "ratio": [2, 4]}
                ],
                "grouped": [{"kernel": [3, 5], "groups": [2, 4, 8], "shuffle": ["before", "after"]}],
                "pair": [
                    {"kernel": 3, "groups": [2, 4], "shuffle": "after"},
                    {"kernel": [5, 7], "groups": [4, 8], "shuffle": "after"},
                ],
            },
            "stage": {
                "layout": ["unit", "grouped", "pair"],
                "width": ["x1", "x1.5", "x2"],
                "branch_activation": [True, False],
                "connection": ["residual", "none"],
                "downsample": ["none", "max", "stride"],
            },
            "stage1": {
                "layout": "free",
                "branch": {"kernel": [3, 5]},
                "width": [16, 24, 32, 48, 64],
                "connection": "none",
                "downsample": ["max", "avg", "stride"],
            },
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
